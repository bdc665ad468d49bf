"""What was typed as key=value, looked through before Hydra composes or anything is written."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString
from hydra.errors import HydraException

from hallmark.checks import SettingError
from hallmark.storage.secrets import refuse_secrets


def refuse_typed_secrets(arguments: Sequence[str]) -> None:
    """Commands are recorded: refuse one that has a secret in it.

    Raises:
        SecretError: a key says that its value is a secret, a value is one of the environment or has the form of one, an
            address has a password in it, or a setting that names a variable is none; the message names the key and
            not the value.
        SettingError: a number of more digits than Python reads.
    """
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            refuse_secrets({"command line": argument})
            continue
        name = key.lstrip("+~")
        for typed in _values(argument, value):
            refuse_secrets({name: typed})
            for override in _overrides_in(typed):
                refuse_typed_secrets([override])


def _values(argument: str, value: str) -> list[Any]:
    """What Hydra makes of `value`: each one of a sweep; the text itself where it cannot tell."""
    try:
        parsed = OverridesParser.create().parse_override(argument)
    except HydraException:
        return [value]  # Hydra will say what is wrong with it
    except ValueError as error:
        raise SettingError(
            argument.partition("=")[0].lstrip("+~"), "…", f"a value that can be read ({error})"
        ) from error
    read = parsed.value()
    if isinstance(read, ChoiceSweep):
        return [_plain(choice) for choice in read.list]
    return [_plain(read)] if read is None or isinstance(read, dict | list | QuotedString | str) else [value]


def _plain(value: Any) -> Any:
    return value.text if isinstance(value, QuotedString) else value


def _overrides_in(value: Any) -> Iterator[str]:
    """Texts of the form key=value in lists, as the jobs of a sweep have them."""
    if isinstance(value, dict):
        for child in value.values():
            yield from _overrides_in(child)
    elif isinstance(value, list):
        for child in value:
            text = _plain(child)
            if isinstance(text, str) and re.match(r"[+~]*[\w./@-]+=", text):
                yield text
            elif isinstance(text, dict | list):
                yield from _overrides_in(text)
