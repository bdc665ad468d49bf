"""The settings of a command itself, which no constructor takes: checked before anything is read or made."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hallmark.checks import check_type, require
from hallmark.engine.config.symbolic import plain
from hallmark.runs.configuration import resampling_of
from hallmark.statistics import Resampling

_LARGEST_SEED = 2**32 - 1  # of NumPy's generators
_LONGEST_NAME = 200  # bytes, of a folder

_Setting = tuple[Any, Callable[[Any], bool], str]
"""The type of a value, whether one of that type is right, and what would be."""

_ANY: Callable[[Any], bool] = lambda value: True  # noqa: E731


def _is_folder_name(value: str) -> bool:
    return (
        bool(value.strip())
        and value not in (".", "..")
        and not set(value) & set("/\\\0")
        and len(value.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME
    )


def _can_be_folder(value: str | None) -> bool:
    """Whether a folder is at `value`, or can be made as far as the names above it say."""
    if value is None:
        return True
    if not value.strip() or "\0" in value:
        return False
    path = Path(value).expanduser().absolute()
    nearest = next(parent for parent in (path, *path.parents) if parent.exists() or parent.is_symlink())
    return nearest.is_dir()


_FOLDER: _Setting = (str, _can_be_folder, "a folder, there or to be made; a file is in its place, or it has no name")
_RUN: dict[str, _Setting] = {
    "name": (str, _is_folder_name, f"a name for a folder, without / and of at most {_LONGEST_NAME} bytes"),
    "seed": (int, lambda value: 0 <= value <= _LARGEST_SEED, f"a whole number from 0 to {_LARGEST_SEED}"),
    "profile": (str, lambda value: value in ("sample", "full"), "sample or full"),
    "rerun": (bool, _ANY, ""),
    "on_code_change": (str, lambda value: value in ("refuse", "warn"), "refuse or warn"),
    "repeat": (Any, _ANY, ""),  # its forms are those of `engine.repeats`
    "init_from": (str | None, lambda value: value is None or bool(value.strip()), "a finished run, or null"),
    "parents": (dict[str, Any] | None, _ANY, ""),  # its forms are those of `engine.config.parents`
    "monitor.metric": (str, lambda value: bool(value.strip()), "a validation metric"),
    "monitor.mode": (str, lambda value: value in ("min", "max"), "min or max"),
    "monitor.second": (str | None, _ANY, ""),
    "out_of_fold.folds": (int, lambda value: value >= 2, "at least 2"),
    "features.enabled": (bool, _ANY, ""),
    "features.folder": _FOLDER,
    "features.batch_size": (int, lambda value: value >= 1, "at least 1"),
    "paths.outputs": _FOLDER,
    "paths.cache": _FOLDER,
    "paths.seals": _FOLDER,
    "paths.run_dir": (str | None, _can_be_folder, _FOLDER[2]),
}
_EVALUATION: dict[str, _Setting] = {
    "run": (str | None, lambda value: value is None or bool(value.strip()), "a finished run, or null"),
    "split": (str, lambda value: bool(value.strip()), "val, train, calibration, meta, test, predict or out_of_fold"),
    "seal.reason": (str | None, _ANY, ""),
}
_SEARCH: dict[str, _Setting] = {
    "jobs": (int, lambda value: value >= 1, "at least one worker"),
    "storage": (str | None, lambda value: value is None or bool(value.strip()), "an address of a database, or null"),
    "sweep.name": (str, _is_folder_name, _RUN["name"][2]),
}
_NODES = ("data", "model", "trainer")  # each builds one object
_COLLECTIONS = ("callbacks", "logger", "analysis")  # each builds an object by name, or null


def check_run_settings(config: DictConfig) -> None:
    """See that a run can be made of the resolved `config`, as far as its own keys say.

    Raises:
        SettingError: a value of another type, or out of range.
    """
    _check(config, _RUN)
    check_resampling(config)
    for key in _NODES:
        node = config.get(key)
        require(_is_node(node), key, plain(node), f"a preset, such as {key}=...; it has no _target_")
    for key in _COLLECTIONS:
        check_collection(config, key)
    for name, node in check_collection(config, "callbacks").items():
        # A callback that watches the monitored metric watches it the same way round.
        if node is not None and node.get("monitor") == config.monitor.metric and "mode" in node:
            key, mode = f"callbacks.{name}.mode", config.monitor.mode
            require(node.mode == mode, key, plain(node.mode), f"{mode}, as monitor.mode for the same metric")


def check_evaluation_settings(config: DictConfig) -> None:
    """As `check_run_settings`, for what an evaluation has besides.

    Raises:
        SettingError: a value of another type, or empty.
    """
    _check(config, _EVALUATION)
    check_resampling(config)


def check_search_settings(config: DictConfig) -> None:
    """As `check_run_settings`, for what a sweep has besides.

    Raises:
        SettingError: a value of another type, or out of range.
    """
    _check(config, _SEARCH)


def check_resampling(config: DictConfig) -> Resampling:
    """`statistics` of a configuration.

    Raises:
        SettingError: see `resampling_of`.
    """
    return resampling_of({"statistics": plain(config, "statistics") if config.get("statistics") is not None else None})


def _check(config: DictConfig, settings: Mapping[str, _Setting]) -> None:
    for key, (hint, is_right, expected) in settings.items():
        try:
            value = plain(OmegaConf.select(config, key))
        except OmegaConfBaseException:  # a list stands where the section should be
            value = None
        check_type(hint, key, value)
        require(is_right(value), key, value, expected)


def check_collection(config: DictConfig, key: str) -> Mapping[str, Any]:
    """The nodes of `config[key]` by name, each None or with a `_target_`; {} for null.

    Raises:
        SettingError: something else stands there.
    """
    nodes = config.get(key)
    if nodes is None or (OmegaConf.is_list(nodes) and not nodes):
        return {}
    require(OmegaConf.is_dict(nodes), key, plain(nodes), f"presets by name, such as {key}=[...], or null")
    for name, node in nodes.items():
        fits = node is None or _is_node(node)
        require(fits, f"{key}.{name}", plain(node), "null, or a mapping with a _target_")
    return {str(name): nodes[name] for name in nodes}


def _is_node(value: Any) -> bool:
    return OmegaConf.is_dict(value) and isinstance(value.get("_target_"), str)
