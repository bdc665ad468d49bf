"""Names of classes in texts from which a model should tell the classes: a text with its label in it."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

Spans = Callable[[str], Sequence[tuple[int, int]]]
"""(text) → start and end in it of each piece that a tokenizer makes of it."""

WORD, PIECE = "name in text", "name in sub-tokens"
_LONG = 4  # letters of a name that is found within a word: shorter ones are part of too many

# Scripts whose words have no spaces between them, or case endings without one: every letter may end a word.
_UNSPACED = ("CJK ", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "THAI", "LAO ", "KHMER", "MYANMAR", "TIBETAN")

_MARKS = ("COMBINING ", "ARABIC ", "HEBREW ", "SYRIAC ", "VARIATION SELECTOR")
_TATWEEL, _VOICING = "\u0640", "\u3099\u309a"


class Finding(NamedTuple):
    """The name `name` (or an alias of that class) in the text at `position`; `kind` is `WORD` or `PIECE`."""

    position: int
    kind: str
    name: str
    alias: str


@dataclass(frozen=True)
class NamedTexts:
    """What the gate compares.

    Attributes:
        texts: of the rows, "" where there is none.
        names: by class all that it is called by: its name, aliases, translations.
        spans: of the tokenizer by which texts are read; None where it is not known.
    """

    texts: Sequence[str]
    names: Mapping[str, Sequence[str]]
    spans: Spans | None

    def find(self) -> list[Finding]:
        """Every name in every text, at most once a text.

        Names and texts are compared without case, accents of Latin, Greek and Cyrillic, vowel marks of Arabic and
        Hebrew, width (NFKC), spaces and punctuation. A name is a `WORD` where words of the text begin and end with it,
        or numbers; in scripts without spaces it may begin and end at any letter. It is a `PIECE` where it has four
        letters or more and is a part of a word that the tokenizer cuts out of it. A name without letters and digits is
        looked for as it is written, one of punctuation alone between spaces.
        """
        aliases, symbols = {}, {}
        for name, of_class in self.names.items():
            for alias in of_class:
                if plain := _Letters.of(alias, None).text:
                    aliases[plain] = (name, alias)
                elif plain := _plain(alias).strip():
                    symbols[plain] = (name, alias)
        lengths = sorted({len(letters) for letters in aliases})
        findings = []
        for position, text in enumerate(self.texts):
            letters = _Letters.of(text, self.spans)
            kinds: dict[str, str] = {}
            for start in np.flatnonzero(letters.words | letters.pieces).tolist():
                for length in lengths:
                    end = start + length
                    if end > len(letters.text):
                        break
                    if (name := letters.text[start:end]) not in aliases:
                        continue
                    if letters.words[start] and letters.words[end]:
                        kinds[name] = WORD
                    elif letters.pieces[start] and letters.pieces[end] and length >= _LONG:
                        kinds.setdefault(name, PIECE)
            findings += [Finding(position, kind, *aliases[name]) for name, kind in kinds.items()]
            literal = _plain(text) if symbols else ""
            findings += [
                Finding(position, WORD, *alias) for name, alias in symbols.items() if _has_symbols(literal, name)
            ]
        return findings

    def findings(self, samples: pd.DataFrame) -> pd.DataFrame:
        """As the gate lists them: the row, and the name in the place of the second row."""
        rows = [
            (finding.kind, samples["id"].iloc[finding.position], samples["split"].iloc[finding.position],
             finding.alias if finding.alias == finding.name else f"{finding.alias} ({finding.name})", "name")
            for finding in self.find()
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["kind", "first_id", "first_split", "second_id", "second_split"])


class _Letters(NamedTuple):
    """The letters and digits of a text alone, and where words and pieces begin or end: bool [len(text) + 1]."""

    text: str
    words: np.ndarray
    pieces: np.ndarray

    @classmethod
    def of(cls, text: str, spans: Spans | None) -> "_Letters":
        cuts = sorted({cut for span in spans(text) for cut in span}) if spans is not None and text else []
        letters: list[str] = []
        words, pieces = {0}, set[int]()
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            if start:
                pieces.add(len(letters))
            for letter in _plain(text[start:end]):
                category = unicodedata.category(letter)[0]
                if category in "LMN":
                    if letters and (unicodedata.category(letters[-1])[0] == "N") != (category == "N"):
                        words.add(len(letters))
                    if _is_unspaced(letter):
                        words |= {len(letters), len(letters) + 1}
                    letters.append(letter)
                else:
                    words.add(len(letters))
        words.add(len(letters))
        if spans is not None:
            pieces |= {0, len(letters)}
        places = np.arange(len(letters) + 1)
        return cls("".join(letters), np.isin(places, list(words)), np.isin(places, list(pieces)))


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in decomposed if not _is_mark(letter))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", bare).casefold())


def _is_mark(letter: str) -> bool:
    """Whether a word is the same without `letter`; the vowel signs of India and the voicing of kana are letters."""
    if letter.isascii() or (unicodedata.category(letter) != "Mn" and letter != _TATWEEL):
        return False
    return unicodedata.name(letter, "").startswith(_MARKS) and letter not in _VOICING


def _has_symbols(text: str, name: str) -> bool:
    if all(unicodedata.category(letter).startswith("P") for letter in name):
        return name in text.split()
    return name in text


def _is_unspaced(letter: str) -> bool:
    return not letter.isascii() and unicodedata.name(letter, "").startswith(_UNSPACED)
