"""The classes that a configuration may name as `_target_`.

What a configuration names is imported and called, so it is chosen from a list of what may be, and not kept from a list
of what may not: a run folder can come from anyone.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from hallmark.checks import SettingError, require
from hallmark.wording import did_you_mean

FOREIGN = frozenset({
    "lightning.Trainer",
    "lightning.pytorch.callbacks.EarlyStopping",
    "lightning.pytorch.callbacks.RichProgressBar",
    "optuna.pruners.MedianPruner",
})  # fmt: skip
"""Classes of other packages that presets use, by the names that they use."""

_DOTTED = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", re.ASCII)
_PACKAGE = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*", re.ASCII)


def trusted_packages(config: DictConfig) -> tuple[str, ...]:
    """`trusted_packages` of a configuration that was composed for this command.

    Raises:
        SettingError: not a list of packages.
    """
    value = config.get("trusted_packages")
    names: Any = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_list(value) else value
    expected = "a list of packages of your own, such as [mypackage]"
    valid = names is None or (
        isinstance(names, list) and all(isinstance(name, str) and _PACKAGE.fullmatch(name) for name in names)
    )
    require(valid, "trusted_packages", names, expected)
    packages = tuple(names or ())
    reserved = [name for name in packages if _top(name) in {*sys.stdlib_module_names, "hallmark"}]
    require(not reserved, "trusted_packages", list(packages), f"{expected}, without {', '.join(reserved)}")
    return packages


def check_targets(config: Any, trusted: Sequence[str] = (), key: str = "") -> None:
    """See that `admitted_class` admits every `_target_` in `config`, however deep in lists and mappings it lies.

    Raises:
        SettingError: it does not.
    """
    if isinstance(config, DictConfig | ListConfig):
        config = OmegaConf.to_container(config, resolve=True)
    if isinstance(config, dict):
        if "_target_" in config:
            node_class(config, key, trusted)
        for name, value in config.items():
            check_targets(value, trusted, f"{key}.{name}" if key else str(name))
    elif isinstance(config, list):
        for number, value in enumerate(config):
            check_targets(value, trusted, f"{key}[{number}]")


def node_class(node: Mapping[Any, Any], key: str, trusted: Sequence[str] = ()) -> type:
    """As `admitted_class` of the node's `_target_`, which is given its arguments by their names.

    Raises:
        SettingError: likewise, and for keys of Hydra with which arguments would not be what they look like.
    """
    for name, expected in (("_args_", "arguments by their names"), ("_recursive_", "no such key: nodes build theirs")):
        require(name not in node, f"{key}.{name}", node.get(name), expected)
    return admitted_class(node.get("_target_"), key, trusted)


def is_trusted(target: str, trusted: Sequence[str]) -> bool:
    """Whether `target` lies in one of the `trusted` packages."""
    return any(target.startswith(f"{package}.") for package in trusted)


def admitted_class(target: Any, key: str, trusted: Sequence[str] = ()) -> type:
    """The class that `target` names: a public one of Hallmark, one of `FOREIGN`, or one of a trusted package.

    A name that is not admitted is not imported.

    Args:
        key: of the node that holds the target, for the message.
        trusted: packages whose classes are admitted as well.

    Raises:
        SettingError: any other name, a function, or a class that another package defines.
    """
    expected = f"a public class of hallmark or one of {', '.join(sorted(FOREIGN))}"
    top = _top(target) if isinstance(target, str) else ""
    if top != "hallmark" and top not in sys.stdlib_module_names and _PACKAGE.fullmatch(top):
        expected += f"; trusted_packages=[{top}] on the command line admits classes of {top}, if you trust it"
    error = SettingError(f"{key}._target_" if key else "_target_", target, expected)
    if not isinstance(target, str) or not _DOTTED.fullmatch(target):
        raise error
    if target in FOREIGN:
        return _class_at(target, error.key)
    packages = [package for package in ("hallmark", *trusted) if target.startswith(f"{package}.")]
    if not packages:
        raise error
    built = _class_at(target, error.key)
    if not any(built.__module__ == package or built.__module__.startswith(f"{package}.") for package in packages):
        raise error
    return built


def _class_at(target: str, key: str) -> type:
    module, _, name = target.rpartition(".")
    try:
        imported = import_module(module)
    except ImportError as cause:
        raise SettingError(key, target, f"a class that can be imported ({cause})") from cause
    if not isinstance(attribute := getattr(imported, name, None), type):
        classes = [each for each, value in vars(imported).items() if isinstance(value, type) and each[0] != "_"]
        hint = did_you_mean(name, classes)
        raise SettingError(key, target, f"a class of {module}, which has none called {name}{hint}")
    return attribute


def _top(name: str) -> str:
    return name.partition(".")[0]
