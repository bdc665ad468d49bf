"""Light rewritings of a tweet-like text that keep what it says; each takes a text and gives a tidy one."""

import re
from collections.abc import Callable

import emoji

_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_HANDLE = re.compile(r"(?<![\w.])@\w+:?")
_HASHTAG = re.compile(r"(?<![\w&])#(\w+)")
_REPEAT = re.compile(r"([^\W\d_]|[!?~])\1{2,}", re.IGNORECASE)
_WORD_BOUNDARY = re.compile(
    r"_+|(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-ZÀ-Þ])(?=[A-ZÀ-Þ][a-zß-ÿ])|(?<=\D)(?=\d)|(?<=\d)(?=\D)"
)

EMOJI_MARKER = "[emoji]"


def emoji_words(text: str) -> str:
    """Each emoji by its name in words: 😂 becomes `face with tears of joy`."""
    return tidy(emoji.replace_emoji(text, lambda symbol, _: f" {emoji.demojize(symbol, ('', '')).replace('_', ' ')} "))


def emoji_marker(text: str) -> str:
    """Each emoji by one and the same marker, which tells that there was one but not which."""
    return tidy(emoji.replace_emoji(text, f" {EMOJI_MARKER} "))


def collapse_repeats(text: str) -> str:
    """Three or more of one letter, `!`, `?` or `~` become two (soooo → soo); numbers and URLs stay."""
    parts = re.split(f"({_URL.pattern})", text, flags=re.IGNORECASE)
    return tidy("".join(part if index % 2 else _REPEAT.sub(r"\1\1", part) for index, part in enumerate(parts)))


def strip_urls(text: str) -> str:
    return tidy(_URL.sub(" ", text))


def strip_handles(text: str) -> str:
    """Without @names (and the colon of a retweet); e-mail addresses stay."""
    return tidy(_HANDLE.sub(" ", text))


def split_hashtags(text: str) -> str:
    """Hashtags as words: `#GoodMorning2016` becomes `Good Morning 2016`; digits alone (`#1`) stay."""
    return tidy(_HASHTAG.sub(lambda tag: tag[0] if tag[1].isdigit() else _WORD_BOUNDARY.sub(" ", tag[1]), text))


def lowercase(text: str) -> str:
    return tidy(text.lower())


def tidy(text: str) -> str:
    """One space between words, none at the ends."""
    return " ".join(text.split())


TRANSFORMS: dict[str, Callable[[str], str]] = {
    function.__name__: function
    for function in (
        emoji_words,
        emoji_marker,
        collapse_repeats,
        strip_urls,
        strip_handles,
        split_hashtags,
        lowercase,
    )
}
