"""Objects from config nodes, with errors that name the key as a user would type it."""

import re
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from hallmark.checks import SettingError, UserError, check_type, require
from hallmark.engine.config.foreign import check_foreign
from hallmark.engine.config.targets import is_trusted, node_class
from hallmark.storage.failures import is_stated
from hallmark.wording import did_you_mean

_LIBRARIES = {"lightning", "optuna", "timm", "torch", "torchmetrics", "torchvision"}
_UNKNOWN = object()  # the kind of an argument whose constructor does not say it


def build(node: DictConfig, kind: Any = object, *, trusted: Sequence[str] = (), **arguments: Any) -> Any:
    """Instantiate `node`, whose classes `admitted_class` admits.

    Args:
        kind: the class or protocol of what is built.
        trusted: packages whose classes are admitted beside Hallmark's.

    Raises:
        SettingError: a class is not admitted or not of this kind; a value has the wrong type or range; the key is its
            whole path in the config.
        ValueError: any other complaint of a constructor about its arguments, or about which there are.
    """
    # Before anything below `node` is built: a constructor may load weights for minutes and then meet a wrong value.
    check_types(node, trusted)
    _check_kind(_class(node, trusted), node, kind, trusted)
    try:
        built = instantiate(node, _convert_="all", **arguments)
    except InstantiationException as error:
        raise _named(error, node) from error
    _refuse_hidden_methods(built)
    return built


def _refuse_hidden_methods(built: Any) -> None:
    """Raise ValueError where an attribute of a module has the name of a method or property of its base classes.

    A method would be hidden by it, or, since torch keeps layers and parameters apart, the attribute by the method: a
    layer called `loss` would never be asked.
    """
    bases = [base for base in type(built).__mro__ if base.__module__.split(".")[0] in ("hallmark", "lightning")]
    attributes = dict(vars(built)) if bases and hasattr(built, "__dict__") else {}
    for registered in ("_modules", "_parameters", "_buffers"):
        attributes |= attributes.get(registered, {})
    for name in attributes:
        for base in bases:
            if isinstance(vars(base).get(name), FunctionType | property | classmethod | staticmethod):
                raise ValueError(
                    f"{type(built).__module__}.{type(built).__qualname__}: its attribute {name} has the name of a "
                    f"method of {base.__qualname__}; give the attribute another one"
                )


def check_types(node: DictConfig, trusted: Sequence[str] = ()) -> None:
    """Compare every class and plain value below `node` with the annotation of the constructor it goes to.

    Raises:
        SettingError: a class that is not admitted or of another kind, a value of another type, or a missing one.
    """
    for child in _targets(node):
        built = _class(child, trusted)
        hints = _hints(built)
        # A package that is trusted knows what it does with the objects that it is given.
        unknown = _UNKNOWN if is_trusted(child["_target_"], trusted) else None
        for name, value in child.items():
            if hints and name not in hints and not str(name).startswith("_"):
                hint = did_you_mean(str(name), sorted(hints.keys() - {"return"}))
                raise SettingError(_key(child, name), value, f"no such argument of {built.__qualname__}{hint}")
            if _builds_something(value):
                _check_nested(value, hints.get(str(name), unknown), trusted)
            elif name in hints:
                plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
                check_type(hints[str(name)], _key(child, name), plain)
        if not built.__module__.startswith("hallmark."):
            check_foreign(built, child)


def _targets(node: Any) -> list[DictConfig]:
    if not isinstance(node, DictConfig):
        return [target for child in node for target in _targets(child)] if OmegaConf.is_list(node) else []
    missing = [str(key) for key in node if OmegaConf.is_missing(node, key)]
    if missing:
        raise SettingError(_key(node, missing[0]), "???", "a value; it has no default")
    below = [target for key in node for target in _targets(node[key])]
    return [node, *below] if "_target_" in node else below


def _class(node: DictConfig, trusted: Sequence[str]) -> type:
    return node_class(node, _key(node), trusted)


def _hints(built: type) -> dict[str, Any]:
    """Annotations of the constructor of a Hallmark class, with those of the ones that it passes `**arguments` on to."""
    if not built.__module__.startswith("hallmark."):
        return {}
    bases = [base for base in reversed(built.__mro__) if base.__module__.startswith("hallmark.")]
    constructors = [vars(base)["__init__"] for base in bases if "__init__" in vars(base)]
    return {name: hint for each in map(get_type_hints, constructors) for name, hint in each.items()}


def _check_nested(value: Any, hint: Any, trusted: Sequence[str]) -> None:
    """See that every node in `value` builds what `hint` asks for, itself or as a part of a list or mapping."""
    if isinstance(value, DictConfig) and "_target_" in value:
        _check_kind(_class(value, trusted), value, hint, trusted)
        return
    parts = list(_alternatives(hint)) if hint is not _UNKNOWN else []
    inner = [get_args(part)[-1] for part in parts if get_origin(part) is not None and get_args(part)]
    of_parts = _UNKNOWN if hint is _UNKNOWN else tuple(inner)
    for child in value.values() if isinstance(value, DictConfig) else value:
        if _builds_something(child):
            _check_nested(child, of_parts, trusted)


def _check_kind(built: type, node: DictConfig, kind: Any, trusted: Sequence[str]) -> None:
    target = node["_target_"]
    if kind is _UNKNOWN or is_trusted(target, trusted):
        return
    partial = bool(node.get("_partial_", False))
    fits = any(_fits(built, part, partial=partial) for part in _alternatives(kind))
    parts = [part for part in _alternatives(kind) if part not in (type(None), None, Any)]
    names = [str(getattr(part, "__name__", part)) for part in parts]
    expected = f"a {' or '.join(names)}" if names else "a plain value, which no class stands for"
    require(fits, _key(node, "_target_"), target, expected)


def _key(node: DictConfig, name: Any = None) -> str:
    """The path of a node, or of `name` in it, from the root of its configuration."""
    path = str(node._get_full_key("-" if name is None else name))  # of a node in a list itself it would be wrong
    return path.removesuffix("-").removesuffix(".") if name is None else path


def _alternatives(hint: Any) -> Iterator[Any]:
    parts = hint if isinstance(hint, tuple) else get_args(hint) if get_origin(hint) in (Union, UnionType) else None
    if parts is not None:
        for part in parts:
            yield from _alternatives(part)
    else:
        yield hint


def _fits(built: type, kind: Any, *, partial: bool) -> bool:
    """Whether an object of `built`, or with `partial` a function that makes one, is of `kind`."""
    origin = get_origin(kind) or kind
    if origin is Callable:
        result = get_args(kind)[-1] if get_args(kind) else Any
        if partial:
            return result is Any or any(_fits(built, part, partial=False) for part in _alternatives(result))
        return any("__call__" in vars(base) for base in built.__mro__)
    if partial or not isinstance(origin, type):
        return False
    if getattr(origin, "_is_protocol", False):
        methods = [name for name, value in vars(origin).items() if callable(value) and not name.startswith("_")]
        return all(callable(getattr(built, name, None)) for name in methods)
    return issubclass(built, origin)


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
        # Whatever the constructor of a library raises is about a setting, which is all that it was given.
        message = " ".join(str(cause).split())
        parent = OmegaConf.select(node._get_root(), key) if key else node
        settings = parent if isinstance(parent, DictConfig) else node
        named = next((str(each) for each in settings if re.search(rf"\b{re.escape(str(each))}\b", message)), None)
        path, value = (f"{key}.{named}", settings[named]) if named is not None else (key, name)
        return SettingError(path, value, f"what {name} takes ({message})")
    if name.startswith("hallmark.") and isinstance(cause, ValueError):
        return cause if is_stated(cause) else UserError(f"{key}: {cause}")
    return cause
