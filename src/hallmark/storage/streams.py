"""What is printed reaches any terminal, whatever characters it knows."""

import codecs
import sys

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


def _nearest(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_ASCII.get(letter, "?") for letter in error.object[error.start : error.end]), error.end
