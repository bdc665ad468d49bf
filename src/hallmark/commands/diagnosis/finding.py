"""What a check found."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(NamedTuple):
    """One line: how it stands, and what to do where something has to be done."""

    level: Level
    text: str


Findings = Iterator[Finding]


def ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def warning(text: str) -> Finding:
    return Finding(Level.WARNING, text)


def failed(text: str) -> Finding:
    return Finding(Level.FAILED, text)
