"""Texts as they come from the wild: retweets, links, handles."""

import re

_RETWEET = re.compile(r"^\s*(rt\s+@\w+\s*:?\s*)+", re.IGNORECASE)
_LINK = re.compile(r"https?:\S*", re.IGNORECASE)
_HANDLE = re.compile(r"@\w+")
_NOT_WORD = re.compile(r"[\W_]+")


def mark_links(text: str) -> str:
    """Links become `http` and handles `@user`, as TweetEval does it (Barbieri et al. 2020): their letters say
    nothing of the text, and each costs a tokenizer ten pieces."""
    return _HANDLE.sub("@user", _LINK.sub("http", text))


def normalize_text(text: str) -> str:
    """What two copies of one text share: no retweet marks, links, handles, punctuation, case or spacing.

    Empty when nothing but those is there; an empty result says nothing about equality.
    """
    bare = _HANDLE.sub(" ", _LINK.sub(" ", _RETWEET.sub("", text)))
    return _NOT_WORD.sub(" ", bare.casefold()).strip()
