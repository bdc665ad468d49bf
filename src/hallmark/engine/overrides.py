"""What was typed as key=value, looked through before Hydra composes or anything is written."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString
from hydra.errors import HydraException

from hallmark.storage.secrets import refuse_secrets


def refuse_typed_secrets(arguments: Sequence[str]) -> None:
    """Commands are recorded: refuse one that has a secret in it.

    Raises:
        SecretError: a key says that its value is a secret, a value is one of the environment or has the form of one, an
            address has a password in it, or a setting that names a variable is none; the message names the key and
            not the value.
    """
    for argument in arguments:
        key, found, value = argument.partition("=")
        if not found:
            refuse_secrets({"command line": argument})
            continue
        name = key.lstrip("+~")
        for item in _values(argument, value):
            refuse_secrets({name: item})
            for override in _overrides_in(item):
                refuse_typed_secrets([override])


def _values(argument: str, value: str) -> list[Any]:
    """What Hydra makes of `value`: each one of a sweep; the text itself where it cannot tell."""
    try:
        parsed = OverridesParser.create().parse_override(argument)
    except HydraException:
        return [value]  # Hydra will say what is wrong with it
    read = parsed.value()
    if isinstance(read, ChoiceSweep):
        return [_plain(item) for item in read.list]
    return [_plain(read)] if read is None or isinstance(read, dict | list | QuotedString | str) else [value]


def _plain(item: Any) -> Any:
    return item.text if isinstance(item, QuotedString) else item


def _overrides_in(value: Any) -> Iterator[str]:
    """Texts of the form key=value in lists, as the jobs of a sweep have them."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _overrides_in(item)
    elif isinstance(value, list):
        for item in value:
            text = _plain(item)
            if isinstance(text, str) and re.match(r"[+~]*[\w./@-]+=", text):
                yield text
            elif isinstance(text, dict | list):
                yield from _overrides_in(text)
