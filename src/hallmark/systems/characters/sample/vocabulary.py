"""Makes the text encoder of the sample profile: `python -m hallmark.systems.characters.sample.vocabulary`.

It writes `assets/tiny_bert` (architecture and a vocabulary of the words of descriptions, no weights). The descriptions
are of characters of another seed than any preset's.
"""

from pathlib import Path

import numpy as np

from hallmark.learning.encoders.tiny_bert import train_tokenizer, write_tiny_bert
from hallmark.systems.characters.sample.avatars import cast
from hallmark.systems.characters.sample.words import describe

ASSETS = Path(__file__).parents[1] / "assets"
TEXTS, SEED, VOCABULARY = 4000, 90210, 400


def main() -> None:
    rng = np.random.default_rng(SEED)
    people = cast(48, SEED)
    texts = [text for number in range(TEXTS) for text in describe(people[number % 48], rng, wrong=0.5).values()]
    write_tiny_bert(ASSETS / "tiny_bert", train_tokenizer(texts, VOCABULARY))


if __name__ == "__main__":
    main()
