"""The configuration that a run folder holds, read as data: nothing in it is resolved or built."""

from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

FILE = "config.yaml"
_DEEPEST = 50
_MOST_BYTES = 4 << 20  # a thousand times what a run has


def load_config(path: Path) -> DictConfig:
    """The configuration in a file, unresolved.

    Raises:
        ValueError: no file, or no configuration in it.
    """
    return parse_config(path, read_text(path))


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
        config = OmegaConf.create(text) if _is_plain(text) else None
    except (yaml.YAMLError, OmegaConfBaseException, RecursionError) as error:
        first = str(error).strip().partition("\n")[0][:200]
        raise ValueError(f"{path}: not a configuration ({type(error).__name__}: {first})") from error
    if not isinstance(config, DictConfig):
        raise ValueError(f"{path}: not a configuration; expected keys with values, at most {_DEEPEST} levels of them")
    return config


def _is_plain(text: str) -> bool:
    """Whether YAML is without aliases, a few lines of which can stand for more than fits into memory, and not deep."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST:
            return False
    return True
