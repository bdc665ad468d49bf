"""Tweets from templates and a sentiment lexicon."""

import re
from collections.abc import Sequence

import numpy as np

from hallmark.systems.sentiment.sample import lexicon
from hallmark.systems.sentiment.sample.lexicon import LEXICON, SLOTS, SUBJECTS

MINIMUM_WORDS, MAXIMUM_WORDS = 3, 27
CONTRAST_SHARE = 0.3
TITLE_SHARE = 0.2
EMOJI_COUNTS = (0.62, 0.24, 0.1, 0.04)
MATCHING_EMOJI_SHARE = 0.6
ELONGATED_SHARE = 0.12


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def handle(rng: np.random.Generator) -> str:
    return f"{_pick(rng, lexicon.NAMES)}_{rng.integers(10, 10_000)}"


def _link(rng: np.random.Generator) -> str:
    letters = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
    return "http://t.co/" + "".join(letters[i] for i in rng.integers(len(letters), size=10))


def _fill(rng: np.random.Generator, template: str, *, scene: str, polarity: str | None) -> str:
    def word(match: re.Match[str]) -> str:
        match match[1]:
            case "subject":
                return _pick(rng, SUBJECTS[scene])
            case "marker":
                return _pick(rng, lexicon.MARKERS)
            case "number":
                return str(rng.integers(2, 500))
            case "user":
                return handle(rng)
            case slot:
                return _pick(rng, SLOTS[slot] if slot in SLOTS else LEXICON[polarity or ""][slot])

    return re.sub(r"\{(\w+)\}", word, template)


def _core(rng: np.random.Generator, cue: str, scene: str) -> list[str]:
    """The clauses that carry the cue, and at times a word of the other side that does not."""
    if cue == "ambiguous":
        return [_fill(rng, _pick(rng, lexicon.AMBIGUOUS), scene=scene, polarity=None)]
    if cue == "neutral":
        clauses = [_fill(rng, _pick(rng, lexicon.NEWS), scene=scene, polarity=None)]
        if rng.random() < TITLE_SHARE:
            clauses.append(_fill(rng, lexicon.TITLE, scene=scene, polarity=_pick(rng, list(LEXICON))))
        return clauses
    clauses = [_fill(rng, _pick(rng, lexicon.FEELING), scene=scene, polarity=cue)]
    if rng.random() < CONTRAST_SHARE:
        clauses.append(_fill(rng, _pick(rng, lexicon.CONTRAST), scene=scene, polarity=lexicon.OPPOSITE[cue]))
    return clauses


def _emoji_and_hashtags(rng: np.random.Generator, cue: str, scene: str) -> list[str]:
    if cue in LEXICON and rng.random() < MATCHING_EMOJI_SHARE:
        options = LEXICON[cue]["emoji"]
    else:
        options = lexicon.NEUTRAL_EMOJI if cue == "neutral" else lexicon.AMBIGUOUS_EMOJI
    words = [_pick(rng, options) for _ in range(rng.choice(len(EMOJI_COUNTS), p=EMOJI_COUNTS))]
    if rng.random() < 0.4:
        words.append(f"#{_pick(rng, SUBJECTS[scene])}")
    if rng.random() < 0.15:
        words.append(f"#{_pick(rng, SLOTS['place'])}".lower())
    if cue in LEXICON and rng.random() < 0.15:
        words.append(_pick(rng, LEXICON[cue]["hashtag"]))
    return words


def _elongate(rng: np.random.Generator, text: str) -> str:
    """`text` with the last vowel of one word drawn out: "so" becomes "sooooo"."""
    matches = list(re.finditer(r"\b[a-z]*([aeou])[a-z]?\b", text))
    if not matches:
        return text
    at = matches[rng.integers(len(matches))].start(1)
    return text[:at] + text[at] * int(rng.integers(3, 7)) + text[at + 1 :]


def compose(rng: np.random.Generator, *, cue: str, scene: str, foreign: bool) -> str:
    """A tweet of 3 to 27 words about `scene`.

    `cue` is positive, neutral, negative, or ambiguous: words of sarcasm that fit either sign equally.
    A `foreign` tweet holds a name in curly quotes, so that its gb18030 bytes are not UTF-8.
    """
    clauses = _core(rng, cue, scene)
    if foreign:
        # In gb18030 the opening quote starts with byte 0xA1; after a space that is never valid UTF-8.
        clauses.insert(1, f"in \u201c{_pick(rng, lexicon.FOREIGN)}\u201d")
    tails = rng.permutation(lexicon.TAILS)[: rng.integers(0, 3)]
    clauses += [_fill(rng, str(tail), scene=scene, polarity=None) for tail in tails]
    text = _pick(rng, (" ", ", ", ". ")).join(clauses)
    if rng.random() < ELONGATED_SHARE:
        text = _elongate(rng, text)
    style = rng.random()
    text = text.upper() if style < 0.05 else text[0].upper() + text[1:] if style < 0.4 else text
    text += _pick(rng, ("", "", ".", "!", "!!!", " ..."))
    words = text.split() + _emoji_and_hashtags(rng, cue, scene)
    words += [_link(rng) for _ in range(rng.choice(3, p=(0.45, 0.4, 0.15)))]
    if len(words) < MINIMUM_WORDS:
        words.append(_link(rng))
    return " ".join(words[:MAXIMUM_WORDS])


def retweet(rng: np.random.Generator, text: str) -> str:
    """`text` as another account repeats it: a new prefix, other letter case or other spacing."""
    style = rng.integers(3)
    changed = text.lower() if style == 0 else text.upper() if style == 1 else text.replace(" ", "  ")
    return f"RT @{handle(rng)}: {changed}"
