"""What is printed reaches any terminal, whatever characters it knows."""

import codecs
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 160
_HANDLER = "hallmark_readable"
_ASCII = {
    "±": "+/-", "→": "->", "←": "<-", "×": "x", "·": "|", "•": "*", "–": "-", "—": "-", "−": "-", "…": "...",
    "≥": ">=", "≤": "<=", "≈": "~", "│": "|", "─": "-", "━": "-", "╸": "-", "╺": "-", "’": "'", "“": '"', "”": '"',
}  # fmt: skip


def make_streams_tolerant() -> None:
    """From now on a character that the terminal's encoding lacks is printed as its nearest in ASCII, or as `?`."""
    codecs.register_error(_HANDLER, _nearest)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's streams have no encoding to fail at
            stream.reconfigure(errors=_HANDLER)


def wide_console() -> "Console":
    """The terminal; a file or a pipe, which has no width of its own, is given one that breaks no interval."""
    from rich.console import Console  # a misspelled key is answered without it

    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=_WIDTH)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_ASCII.get(letter, "?") for letter in error.object[error.start : error.end]), error.end
