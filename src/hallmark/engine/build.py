"""Objects from config nodes, with errors that name the key as a user would type it."""

import inspect
import re
from typing import Any, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from hallmark.checks import SettingError, UserError, check_type
from hallmark.engine.foreign import check_foreign
from hallmark.storage.failures import is_stated

_LIBRARIES = {"lightning", "optuna", "timm", "torch", "torchmetrics", "torchvision"}


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
        raise _named(error, node) from error


def check_types(node: DictConfig) -> None:
    """Compare every plain value below `node` with the annotation of the constructor it goes to."""
    for child in _targets(node):
        built = get_object(child["_target_"])
        if inspect.isclass(built) and not built.__module__.startswith("hallmark."):
            check_foreign(built, child)
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


def _named(error: InstantiationException, node: DictConfig) -> Exception:
    """What a constructor raised, as an error of its setting where settings are all that it was given.

    A class of one's own raises what it raises: that is code, but for the errors of Hallmark's own kinds.
    """
    matched = re.search(r"full_key: (\S+)", str(error))
    key, cause = matched.group(1) if matched else "", error.__cause__
    target = re.search(r"target '([^']+)'", str(error))
    name = target.group(1) if target else ""
    if isinstance(cause, SettingError):
        return cause.under(key)
    if not isinstance(cause, Exception) or isinstance(cause, UserError):
        return cause if isinstance(cause, UserError) else error
    if isinstance(cause, MissingMandatoryValue):
        return ValueError(str(cause))
    if isinstance(cause, TypeError) and " argument" in str(cause):  # a key too many or too few
        return ValueError(f"{key or 'configuration'}: {cause}")
    if name.partition(".")[0] in _LIBRARIES:
        return _of_library(name, key, node, cause)
    if name.startswith("hallmark.") and isinstance(cause, ValueError):
        return cause if is_stated(cause) else UserError(f"{key}: {cause}")
    return cause


def _of_library(target: str, key: str, node: DictConfig, cause: Exception) -> SettingError:
    """Whatever the constructor of a library raises is about a setting, which is all that it was given."""
    message = " ".join(str(cause).split())
    whole = OmegaConf.select(node._get_root(), key) if key else node
    settings = whole if isinstance(whole, DictConfig) else node
    name = next((str(name) for name in settings if re.search(rf"\b{re.escape(str(name))}\b", message)), None)
    path, value = (f"{key}.{name}", settings[name]) if name is not None else (key, target)
    return SettingError(path, value, f"what {target} takes ({message})")
