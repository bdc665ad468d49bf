"""A table of synonyms for the words that the shipped encoder knows, by rule from WordNet 3.0 (Miller 1995).

python -m hallmark.systems.refseg.training.wordnet /usr/share/wordnet synonyms.json

Of every known word that is no function word: the lemmas of its first sense as noun, adjective and adverb, and those
one step below (hyponyms of a noun) or beside it (similar adjectives). Nobody chose among them, and the sample world's
dictionary was not looked at.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from hallmark.storage.files import write_text
from hallmark.systems.refseg.ranker.dual import DualEncoder
from hallmark.systems.refseg.training.regions import SHOWN
from hallmark.systems.refseg.vlm.words import FUNCTION_WORDS

_RELATED = {"noun": "~", "adj": "&", "adv": ""}
"""Files of WordNet, and the pointer that is followed in each."""


def synonyms(folder: Path, known: Iterable[str]) -> dict[str, str]:
    """Other word → known word, in alphabetical order.

    Where several known words have it as a lemma, one of the same sense wins over a related one, then the first by
    alphabet.

    Args:
        folder: with the database files `index.noun`, `data.noun`, … (wndb(5WN)).
        known: words that a ranker was trained on.
    """
    words = set(known) - FUNCTION_WORDS
    lemmas: dict[str, list[tuple[int, str]]] = {}
    for part in _RELATED:
        for word, steps, lemma in _lemmas(folder, part, words):
            lemmas.setdefault(lemma, []).append((steps, word))
    return {lemma: min(lemmas[lemma])[1] for lemma in sorted(lemmas) if lemma not in words | FUNCTION_WORDS}


def _lemmas(folder: Path, part: str, words: set[str]) -> Iterator[tuple[str, int, str]]:
    """(word, 0 or 1 steps away, lemma) of the first senses of `words` as this part of speech."""
    synsets = {fields[0]: fields for fields in _lines(folder / f"data.{part}")}
    for word, *fields in _lines(folder / f"index.{part}"):
        if word not in words:
            continue
        sense = synsets[fields[int(fields[2]) + 5]]  # after the pointers and two counts
        yield from ((word, 0, lemma) for lemma in _words(sense))
        count = 4 + 2 * int(sense[3], 16)
        pointers = [sense[at : at + 2] for at in range(count + 1, count + 1 + 4 * int(sense[count]), 4)]
        for symbol, offset in pointers:
            if symbol == _RELATED[part]:
                yield from ((word, 1, lemma) for lemma in _words(synsets[offset]))


def _words(synset: list[str]) -> list[str]:
    lemmas = synset[4 : 4 + 2 * int(synset[3], 16) : 2]
    return [lemma.partition("(")[0].replace("_", " ").lower() for lemma in lemmas]


def _lines(path: Path) -> Iterator[list[str]]:
    """Fields of the lines of a database file, without its license and glosses."""
    with path.open(encoding="utf-8") as lines:
        yield from (line.partition(" | ")[0].split() for line in lines if not line.startswith(" "))


if __name__ == "__main__":
    weights = "package:hallmark/systems/refseg/assets/dual_encoder.safetensors"
    encoder = DualEncoder(weights=weights, view=SHOWN, geometry=True, context=True)
    table = synonyms(Path(sys.argv[1]), encoder.network.known_words)
    write_text(Path(sys.argv[2]), json.dumps(table, indent=2) + "\n")
    print(f"{sys.argv[2]}: {len(table)} words")
