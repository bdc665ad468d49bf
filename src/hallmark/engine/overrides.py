"""What was typed as key=value, looked through before Hydra composes or anything is written."""

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from hallmark.storage.secrets import has_login, refuse_secrets


def refuse_typed_secrets(arguments: Sequence[str]) -> None:
    """Commands are recorded: refuse one that has a secret in it.

    Raises:
        ValueError: a key says that its value is a secret, a value is one of the environment, or an address has a
            password in it; the message names the key and not the value.
    """
    for argument in arguments:
        key, found, value = argument.partition("=")
        name = key.lstrip("+~")
        if "{" in value:
            refuse_secrets({name: _parsed(argument)})
        refuse_secrets({name: None if value == "null" else value})
        if found and has_login(value):
            raise ValueError(
                f"{name}: this address has a password in it, and commands are recorded; put it into an environment "
                f"variable NAME and give '{name}=${{oc.env:NAME}}'"
            )


def _parsed(argument: str) -> Any:
    try:
        return OverridesParser.create().parse_override(argument).value()
    except HydraException:
        return None  # Hydra will say what is wrong with it
