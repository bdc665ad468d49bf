"""The configuration that a run folder holds, read as data: nothing in it is resolved or built."""

import copy
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import hallmark
from hallmark.checks import check_type, require, setting

if TYPE_CHECKING:
    from hallmark.statistics import Resampling

FILE = "config.yaml"
_STATISTICS = Path("statistics", "default.yaml")
_TARGET = "hallmark.statistics.Resampling"
_DEEPEST = 50
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_BYTES = 4 << 20  # a thousand times what a run has


def load_config(path: Path) -> DictConfig:
    """The configuration in a file, unresolved.

    Raises:
        ValueError: no file, or no configuration in it.
    """
    return parse_config(path, read_text(path))


def load_plain(path: Path) -> dict[str, Any]:
    """As `load_config`, in plain containers; {} where there is no such file."""
    config = OmegaConf.to_container(load_config(path)) if path.exists() else {}
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def read_text(path: Path) -> str:
    """The text of a configuration file.

    Raises:
        ValueError: no file, one that is no text, or one that is too long for a configuration.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; a run has its configuration there")
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise ValueError(f"{path}: {size:,} bytes; a configuration has at most {_MOST_BYTES:,}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a configuration; it is no UTF-8 ({error})") from error


def parse_config(path: Path, text: str) -> DictConfig:
    """As `load_config`, of a text that was read from `path`."""
    try:
        config = copy.deepcopy(_parsed(text))
    except (yaml.YAMLError, OmegaConfBaseException, RecursionError) as error:
        first = str(error).strip().partition("\n")[0][:200]
        raise ValueError(f"{path}: not a configuration ({type(error).__name__}: {first})") from error
    if not isinstance(config, DictConfig):
        raise ValueError(f"{path}: not a configuration; expected keys with values, at most {_DEEPEST} levels of them")
    return config


def project_conf() -> Path | None:
    """`conf/` of the working folder, or beside the sources that are installed."""
    places = (Path.cwd(), Path(hallmark.__file__).parents[2])
    return next((folder / "conf" for folder in places if (folder / "conf" / "train.yaml").is_file()), None)


def resampling_of(config: Mapping[str, Any]) -> "Resampling":
    """`statistics` of a configuration in plain containers; the project's where it was stored without it.

    Raises:
        SettingError: another class, a key that is missing or unknown, a value of another type or out of range.
        ValueError: there is none, and the project's is not found.
    """
    from hallmark.statistics import Resampling  # heavy: `--help` and a misspelled key are answered without it

    values = config.get("statistics")
    if values is None:
        return default_resampling()
    require(isinstance(values, Mapping), "statistics", values, "a preset, such as statistics=default")
    arguments = {str(key): value for key, value in values.items() if key != "_target_"}
    with setting("statistics"):
        require(values.get("_target_", _TARGET) == _TARGET, "_target_", values.get("_target_"), _TARGET)
        hints = {field.name: field.type for field in fields(Resampling)}
        for name in {**hints, **arguments}:
            require(name in hints, name, arguments.get(name), f"no such key; there are {', '.join(hints)}")
            check_type(hints[name], name, arguments.get(name))
        return Resampling(**arguments)


def stored_resampling(directory: Path) -> "Resampling":
    """`resampling_of` the configuration in a run folder; the project's where the folder has none."""
    return resampling_of(load_plain(directory / FILE))


def default_resampling() -> "Resampling":
    """The project's own setting, in `conf/statistics/default.yaml`.

    Raises:
        ValueError: that file is not found.
    """
    conf = project_conf()
    if conf is None or not (conf / _STATISTICS).is_file():
        raise ValueError(f"no conf/{_STATISTICS} in {Path.cwd()}: start this command in the project's folder")
    return resampling_of({"statistics": load_plain(conf / _STATISTICS)})


@lru_cache(maxsize=32)  # a command reads the configurations of a run and of its parents several times
def _parsed(text: str) -> DictConfig | ListConfig | None:
    return OmegaConf.create(text) if _is_plain(text) else None


def _is_plain(text: str) -> bool:
    """Whether YAML is without aliases, a few lines of which can stand for more than fits into memory, and not deep."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST:
            return False
    return True
