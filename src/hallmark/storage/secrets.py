"""Secrets come from environment variables and are written nowhere."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

_WORDS = {"key", "apikey", "token", "password", "passwd", "secret", "credential", "credentials"}
_SHORTEST = 8  # of a value that is looked for; TOKEN=1 is no secret, and would be found everywhere
_LOGIN = re.compile(r"\w+://[^/\s:@]+:[^/\s@]+@")


def is_secret_name(name: str) -> bool:
    """Whether the last word of a setting's name says secret: `api_key` and `token` do, `token_length` does not."""
    return re.split(r"[_\W]+", name.lower())[-1] in _WORDS


def has_login(text: str) -> bool:
    """Whether `text` holds an address with a user's password in it."""
    return _LOGIN.search(text) is not None


def secret_values() -> list[str]:
    """Values of the environment variables whose name says secret (WANDB_API_KEY, PGPASSWORD), the longest first."""
    named = {value for name, value in os.environ.items() if _holds_secret(name)}
    return sorted((value for value in named if len(value) >= _SHORTEST), key=len, reverse=True)


def _holds_secret(variable: str) -> bool:
    return is_secret_name(variable.removesuffix("_ID")) or "PASSWORD" in variable.upper()


def redacted(text: str) -> str:
    """`text` with every secret of the environment replaced by `***`."""
    for value in secret_values():
        text = text.replace(value, "***")
    return text


def refuse_secrets(settings: Mapping[str, Any]) -> None:
    """Nothing, where no setting is a secret or holds one of the environment.

    Raises:
        ValueError: one does; the message names its key and not its value.
    """
    values = secret_values()
    for key, value in _leaves(settings, ""):
        if not isinstance(value, str) or not value:
            continue
        if is_secret_name(key) or any(secret in value for secret in values):
            raise ValueError(
                f"{key}: this is a secret, and settings are written to files; secrets come from environment "
                "variables only, such as WANDB_API_KEY, HF_TOKEN or OPENAI_API_KEY"
            )


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item, path)
    else:
        yield path, value
