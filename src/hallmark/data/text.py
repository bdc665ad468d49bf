"""Texts as they come from the wild: bytes of unknown encoding, retweets, links."""

import re

_RETWEET = re.compile(r"^\s*(rt\s+@\w+\s*:?\s*)+", re.IGNORECASE)
_LINK_OR_HANDLE = re.compile(r"https?:\S*|@\w+", re.IGNORECASE)
_NOT_WORD = re.compile(r"[\W_]+")


def decode_text(raw: bytes) -> str:
    """UTF-8 if the bytes are valid UTF-8, else GB18030 with replacement marks; surrounding space stripped."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("gb18030", errors="replace")
    return text.strip()


def normalise_text(text: str) -> str:
    """What two copies of one text share: no retweet marks, links, handles, punctuation, case or spacing.

    Empty when nothing but those is there; an empty result says nothing about equality.
    """
    bare = _LINK_OR_HANDLE.sub(" ", _RETWEET.sub("", text))
    return _NOT_WORD.sub(" ", bare.casefold()).strip()
