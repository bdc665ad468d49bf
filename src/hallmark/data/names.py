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

        Names and texts are compared without case, accents of Latin, Greek and Cyrillic, width (NFKC), spaces and
        punctuation. A name is a `WORD` where words of the text begin and end with it; in scripts without spaces it
        may begin and end at any letter. It is a `PIECE` where it is a part of a word that the tokenizer cuts out of it:
        the beginning, or any part if it has four letters or more.
        """
        aliases = {
            plain: (name, alias)
            for name, of_class in self.names.items()
            for alias in of_class
            if (plain := _Letters.of(alias, None).text)
        }
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
                    elif letters.pieces[start] and letters.pieces[end] and (letters.words[start] or length >= _LONG):
                        kinds.setdefault(name, PIECE)
            findings += [Finding(position, kind, *aliases[name]) for name, kind in kinds.items()]
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
                if unicodedata.category(letter)[0] in "LMN":
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
    bare = "".join(letter for letter in decomposed if not 0x300 <= ord(letter) < 0x370)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", bare).casefold())


def _is_unspaced(letter: str) -> bool:
    return not letter.isascii() and unicodedata.name(letter, "").startswith(_UNSPACED)
