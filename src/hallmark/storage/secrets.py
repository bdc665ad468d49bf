"""Secrets come from environment variables and are written nowhere."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

_WORDS = {
    "key", "apikey", "token", "password", "passwd", "passphrase", "pass", "pwd", "pw", "secret", "credential",
    "credentials", "auth", "dsn", "jwt",
}  # fmt: skip
_ANYWHERE = ("PASSWORD", "SECRET", "CREDENTIAL", "API_KEY", "APIKEY", "CONNECTION_STRING")  # in a variable's name
_FOLDERS = ("PWD", "OLDPWD")  # the working folder, by which a shell means no password
_VARIABLE_WORDS = {"variable", "var", "env", "envvar"}
_SHORTEST = 8  # of a value that is looked for; TOKEN=1 is no secret, and would be found everywhere
# A user and a password before the host; a port with a path that holds an @ is none.
_LOGIN = re.compile(r"(\w://[^/\s:@\[]*:)(?!\d*(?:[/?#]|$))([^\s@]+)@")
_USER = re.compile(r"(?:https?|wss?|ftp)://[^/\s@]+@", re.IGNORECASE)  # where a user's name may be a token
_ASSIGNED = re.compile(r"([A-Za-z][\w.-]*)\s*=\s*(?!\$\{|null\b|\*\*\*)[^\s;&,]+")
_ISSUED = re.compile(  # the forms in which services issue keys
    r"(?<![A-Za-z0-9_-])(?:sk-(?=[\w-]*\d)[\w-]{16,}|gh[opsur]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_\w{20,}"
    r"|xox[abprs]-[\w-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|wandb_v\d_\w{20,}|pypi-\w{20,}|npm_\w{30,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*)|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_SETTING = re.compile(r"([\w.+~-]+)=(\S+)")
_FROM_ENVIRONMENT = re.compile(r"oc\.env\s*:\s*([^,}]*)")
_ADVICE = (
    "settings are written to files; secrets come from environment variables only, such as WANDB_API_KEY, HF_TOKEN or "
    "OPENAI_API_KEY"
)


class SecretError(ValueError):
    """A secret stands where files would keep it."""


def is_secret_name(name: str) -> bool:
    """Whether the last word of a setting's name says secret: `api_key` and `token` do, `token_length` does not."""
    words = _words(name)
    return bool(words) and words[-1] in _WORDS


def names_variable(name: str) -> bool:
    """Whether a setting's name says that it names the variable of a secret: `key_variable` and `api_key_env` do."""
    words = _words(name)
    return bool(words) and words[-1] in _VARIABLE_WORDS and not _WORDS.isdisjoint(words[:-1])


def _words(name: str) -> list[str]:
    """Words of the last part of a dotted name, without a number at its end."""
    last = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.rpartition(".")[2])
    return [word for word in re.split(r"[_\W]+", re.sub(r"_?\d+$", "", last.lower())) if word]


def has_login(text: str) -> bool:
    """Whether `text` holds an address with a user's password in it."""
    return _LOGIN.search(text) is not None


def secret_values() -> list[str]:
    """Values of the environment variables whose name says secret (WANDB_API_KEY, PGPASSWORD), and the passwords in
    addresses that others hold (DATABASE_URL, HTTPS_PROXY), the longest first."""
    named = {value for name, value in os.environ.items() if _holds_secret(name)}
    # The path of a file may hold a secret and is none.
    named = {value for value in named if not (value.startswith("/") and os.access(value, os.F_OK))}
    passwords = {form for value in os.environ.values() for form in _passwords(value)}
    return sorted((value for value in named | passwords if len(value) >= _SHORTEST), key=len, reverse=True)


def _holds_secret(variable: str) -> bool:
    name = variable.upper()
    if name in _FOLDERS:
        return False
    return is_secret_name(variable.removesuffix("_ID")) or any(word in name for word in _ANYWHERE)


def _passwords(text: str) -> Iterator[str]:
    """Passwords in the addresses of `text`, as written and decoded; one that repeats the user's name is none."""
    for match in _LOGIN.finditer(text):
        user = match[1].rpartition("://")[2].removesuffix(":")
        if match[2] != user:
            yield from (match[2], unquote(match[2]))


def redacted(text: str) -> str:
    """`text` with every secret of the environment, and all that has the form of one, replaced by `***`."""
    for value in secret_values():
        text = text.replace(value, "***")
    return _ISSUED.sub("***", _LOGIN.sub(r"\1***@", text))


def without_secrets(text: str) -> str:
    """A command less the secrets of the environment, values of settings named so, and passwords in addresses."""
    hidden = _SETTING.sub(lambda match: f"{match[1]}=***" if is_secret_name(match[1]) else match[0], text)
    return re.sub(r"(\w+://[^\s/:@]*):[^\s/@]+@", r"\1:***@", redacted(hidden))


def command_text(words: Sequence[str]) -> str:
    """A recorded command in one line, secrets hidden."""
    return without_secrets(" ".join(words))


def refuse_secrets(settings: Mapping[str, Any]) -> None:
    """Nothing, where no setting is a secret or holds one.

    Values may be as written or resolved; an interpolation of a variable whose name says secret is one.

    Raises:
        SecretError: one is; the message names its key and not its value.
    """
    values = secret_values()
    for key, value in _leaves(settings, ""):
        if _ISSUED.search(key) or any(secret in key for secret in values):
            raise SecretError(f"{redacted(key)}: this name has a secret in it, and {_ADVICE}")
        if (refusal := _refusal(key, value, values)) is not None:
            raise SecretError(f"{key}: {refusal}")


def _refusal(key: str, value: Any, values: list[str]) -> str | None:
    """Why `key` may not be `value`; None where it may."""
    if value is None or isinstance(value, bool) or value == "":
        return None
    text = str(value)
    if is_secret_name(key) and "${" not in text:
        return f"this is a secret, and {_ADVICE}"
    if not isinstance(value, str):
        return None
    if any(secret in text for secret in values) or _ISSUED.search(text) or _assigns_secret(text):
        return f"this is a secret, and {_ADVICE}"
    if names_variable(key) and "${" not in text and not _is_variable(text):
        return "expected the name of an environment variable, such as OPENAI_API_KEY, and not what the variable holds"
    # The address of a sweep's study may be read from a variable, because it is stored as written.
    is_storage = key.rpartition(".")[2] == "storage"
    if has_login(text):
        if not is_storage:
            return f"this address has a password in it, and {_ADVICE}"
        return (
            "this address has a password in it, and commands are recorded; put it into HALLMARK_STORAGE in the "
            f"environment, or into a variable NAME and give '{key}=${{oc.env:NAME}}'"
        )
    decorated = key.rpartition(".")[2].endswith("url") and re.match(r"https?://[^\s]*[?#]", text)
    if _USER.search(text) or decorated:
        return f"expected an address without user, password, ? and #, because {_ADVICE}"
    for match in _FROM_ENVIRONMENT.finditer(text):
        variable = match[1].strip().strip("'\"")
        if not re.fullmatch(r"[A-Za-z_]\w*|\$\{.*", variable):
            return "expected the name of an environment variable in ${oc.env:NAME}"
        if _holds_secret(variable) and os.environ.get(variable) and not is_storage:
            return f"this is a secret ({variable}), and {_ADVICE}"
    return None


def _assigns_secret(text: str) -> bool:
    """Whether `text` has a part `<secret name>=<value>`, as connection strings, queries and overrides have."""
    names = [match[1] for match in _ASSIGNED.finditer(text)]
    # Outside of an address `key=` alone is a word of any text.
    return any(is_secret_name(name) and (name.lower() != "key" or "://" in text) for name in names)


def _is_variable(text: str) -> bool:
    """Whether `text` names a variable: it is set, or its name says secret. A key in capitals is of neither kind."""
    return re.fullmatch(r"[A-Za-z_]\w{0,63}", text) is not None and (text in os.environ or _holds_secret(text))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, element in value.items():
            yield from _leaves(element, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for element in value:
            yield from _leaves(element, path)
    else:
        yield path, value
