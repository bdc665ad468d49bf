"""Numbers, times and commands as a reader wants them; nothing secret among them."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hallmark.statistics.text import NOTHING
from hallmark.storage.secrets import is_secret_name, redacted

SPLITS = {"val": "validation", "test": "test"}  # those with numbers of their own

_SETTING = re.compile(r"([\w.+~-]+)=(\S+)")
_USER = re.compile(r"(\w+://[^\s/:@]*):[^\s/@]+@")
_HIDDEN = "***"


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(text: str) -> str:
    """`2026-01-31 12:00 UTC` of an ISO 8601 time."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def plural(n: int, noun: str) -> str:
    """`1 row`, `3 rows`; a noun in -y takes -ies."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{n:,} {noun if n == 1 else many}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def kinds_of(calls: Mapping[str, Any]) -> str:
    """`connection 8, timeout 1`: failed calls by kind; `none`."""
    return ", ".join(f"{kind} {count}" for kind, count in sorted(calls["fallbacks"].items())) or "none"


def value_text(value: Any) -> str:
    """A setting or a value of a trial: four digits of a number with a fraction, a dash where there is none."""
    if value is None or value != value:
        return NOTHING
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def command_text(words: Sequence[str]) -> str:
    """A recorded command in one line, secrets hidden."""
    return without_secrets(" ".join(words))


def without_secrets(text: str) -> str:
    """A command less the secrets of the environment, values of settings named so, and passwords in addresses."""
    hidden = _SETTING.sub(lambda found: f"{found[1]}={_HIDDEN}" if is_secret_name(found[1]) else found[0], text)
    return _USER.sub(rf"\1:{_HIDDEN}@", redacted(hidden))
