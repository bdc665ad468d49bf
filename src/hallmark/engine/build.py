"""Objects from config nodes, with errors that name the key as a user would type it."""

import inspect
import re
from typing import Any, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from hallmark.checks import SettingError, check_type


def build(node: DictConfig, **arguments: Any) -> Any:
    """Instantiate `node`.

    Raises:
        SettingError: a value has the wrong type or range; the key is its whole path in the config.
        ValueError: any other complaint of a constructor about its arguments, or about which there are.
    """
    check_types(node)
    try:
        return instantiate(node, _convert_="all", **arguments)
    except InstantiationException as error:
        raise _named(error) from error


def check_types(node: DictConfig) -> None:
    """Compare every plain value below `node` with the annotation of the constructor it goes to."""
    for child in _targets(node):
        hints = _hints(child["_target_"])
        for name, value in child.items():
            if name in hints and not _builds_something(value):
                plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
                check_type(hints[name], f"{child._get_full_key('')}.{name}", plain)


def _targets(node: Any) -> list[DictConfig]:
    if not isinstance(node, DictConfig):
        return [found for item in node for found in _targets(item)] if OmegaConf.is_list(node) else []
    missing = [str(key) for key in node if OmegaConf.is_missing(node, key)]
    if missing:
        raise SettingError(f"{node._get_full_key('')}.{missing[0]}", "???", "a value; it has no default")
    below = [found for key in node for found in _targets(node[key])]
    return [node, *below] if "_target_" in node else below


def _hints(target: str) -> dict[str, Any]:
    built = get_object(target)
    function = built.__init__ if inspect.isclass(built) else built
    if not target.startswith("hallmark."):
        return {}
    return get_type_hints(function)


def _builds_something(value: Any) -> bool:
    return bool(_targets(value)) if OmegaConf.is_config(value) else False


def _named(error: InstantiationException) -> Exception:
    found = re.search(r"full_key: (\S+)", str(error))
    cause = error.__cause__
    if isinstance(cause, SettingError):
        return cause.under(found.group(1) if found else "")
    if isinstance(cause, MissingMandatoryValue):
        return ValueError(str(cause))
    if isinstance(cause, ValueError):
        return cause
    if isinstance(cause, TypeError) and " argument" in str(cause):  # a key too many or too few
        return ValueError(f"{found.group(1) if found else 'configuration'}: {cause}")
    return error
