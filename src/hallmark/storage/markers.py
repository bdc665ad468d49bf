"""Regions of a Markdown file between two comments, which a program writes and a reader of the page does not see."""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """What stands between two markers.

    Attributes:
        name: the group `name` of the opening marker's pattern, or the whole marker.
        start: index of the first character behind the opening marker.
        end: index of the first character of the closing marker.
    """

    name: str
    start: int
    end: int


def regions(text: str, opening: str, closing: str) -> Iterator[Region]:
    """The regions of `text` in order; they do not nest.

    Args:
        opening: regular expression of the opening marker.
        closing: the closing marker as it is.

    Raises:
        ValueError: an opening marker without a closing one behind it, or the reverse; it gives the line.
    """
    marker = re.compile(f"(?P<_opening>{opening})|{re.escape(closing)}")
    opened: re.Match[str] | None = None
    for match in marker.finditer(text):
        if bool(match["_opening"]) == (opened is not None):
            fault = "follows no opening marker" if opened is None else f"within {opened[0]}"
            raise ValueError(f"line {line_of(text, match.start())}: {match[0]} {fault}")
        if opened is not None:
            yield Region(opened.groupdict().get("name") or opened[0], opened.end(), match.start())
        opened = match if match["_opening"] else None
    if opened is not None:
        raise ValueError(f"line {line_of(text, opened.start())}: {opened[0]} has no {closing} behind it")


def line_of(text: str, index: int) -> int:
    """Number of the line, from 1, that holds the character at `index`."""
    return text.count("\n", 0, index) + 1
