"""What a checkpoint says of the parts of its model, and the parts of what it says."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hallmark.checks import UserError
from hallmark.learning.encoders.lite0 import LITE0

CLASS = "class"
_PUBLISHED = ("pretrained", LITE0)


def stored_part(builder: Callable[..., Any]) -> dict[str, Any]:
    """`class` and plain arguments of what a configuration builds later; {} for another function."""
    if not isinstance(builder, partial):
        return {}
    return {CLASS: builder.func.__name__, **builder.keywords}


def restored_part(stored: Mapping[str, Any], classes: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """What builds the part again, without weights, which the checkpoint has; a frozen encoder with its published ones,
    which it has not.

    Args:
        classes: those that may be built, by name; the checkpoint may be a stranger's.

    Raises:
        UserError: another class, or frozen weights that are neither in the checkpoint nor published.
    """
    name = str(stored.get(CLASS, "model of an unknown class"))
    if name not in classes:
        raise UserError(f"the checkpoint holds a {name}: known are {', '.join(classes)}")
    arguments = {key: value for key, value in stored.items() if key != CLASS}
    if arguments.get("frozen"):
        if arguments.get("weights") not in _PUBLISHED:
            raise UserError("the checkpoint is of a frozen encoder, whose weights it does not hold")
    elif "weights" in arguments:
        arguments["weights"] = "random"  # those of the checkpoint take their place
    return partial(classes[name], **arguments)
