"""The generated folders on disk: one for each character, as a user has them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from hallmark.checks import require
from hallmark.data.generated import generated
from hallmark.data.images import encoded
from hallmark.storage.files import write_csv
from hallmark.storage.regular import is_class_name
from hallmark.systems.characters.descriptions import DESCRIPTIONS
from hallmark.systems.characters.sample.avatars import Avatar, Character, cast
from hallmark.systems.characters.sample.words import describe

VERSION = 1
KNOWN, UNKNOWN = "characters", "unknown"
_DRAWN_LARGER = 4  # so that edges are smooth when the picture is made smaller
_QUALITIES = (75, 96)  # of JPEG


def generate(
    folder: Path, *, characters: Sequence[str], unknown: Sequence[str], pictures: int, image_size: int, seed: int,
    wrong_descriptions: float | None = None,
) -> Path:  # fmt: skip
    """Write `pictures` of each character into a folder of its name, and return `folder`.

    The folders of `characters` are in `characters/`, those of people whom no model has seen in `unknown/`. Of the first
    four characters two pairs differ in one attribute (`avatars.cast`). Pose, expression, background, light, line width,
    place and JPEG quality are drawn for each picture. Three faults are made for the checks of the data: the last
    picture of the first character is a copy of its first, that of the second character one of its first in another
    quality, and the last character's last is a picture of the first character.
    The same arguments give the same bytes, and the same pictures with descriptions as without.

    Args:
        characters: their names, in any script; `unknown` likewise.
        image_size: pixels of a side.
        wrong_descriptions: share of the pictures in whose description one attribute is wrong; None for no descriptions.
            `descriptions.csv` beside the folders has one of each picture in each language of `words.LANGUAGES`.

    Raises:
        ValueError: an argument is out of range, or `folder` already holds something else.
    """
    names = [*characters, *unknown]
    require(len(characters) >= 2, "characters", list(characters), "two or more names")
    for key, of_key in (("characters", characters), ("unknown", unknown)):
        require(len(set(of_key)) == len(of_key), key, list(of_key), "different names")
        for name in of_key:
            require(is_class_name(name), key, name, "a name that a folder may have")
    require(len(set(names)) == len(names), "unknown", list(unknown), "names of other people than `characters`")
    require(pictures >= 4, "pictures", pictures, "at least 4 of each character")
    require(image_size >= 32, "image_size", image_size, "at least 32 pixels")
    require(seed >= 0, "seed", seed, "at least 0")
    is_share = wrong_descriptions is None or 0 <= wrong_descriptions <= 1
    require(is_share, "wrong_descriptions", wrong_descriptions, "a share in [0, 1], or null")
    people = cast(len(names), seed)

    def build(built: Path) -> Counter[str]:
        held = Counter[str]()
        described: dict[str, list[tuple[str, str, str]]] = {KNOWN: [], UNKNOWN: []}
        for number, (name, person) in enumerate(zip(names, people, strict=True)):
            of_kind = KNOWN if number < len(characters) else UNKNOWN
            pictures_folder = built / of_kind / name
            pictures_folder.mkdir(parents=True)
            for picture in range(pictures):
                content = _picture(person, (seed, number, picture), image_size)
                (pictures_folder / f"{picture:03d}.jpg").write_bytes(content)
                if wrong_descriptions is not None:
                    mislabelled = number == len(characters) - 1 and picture == pictures - 1
                    texts = describe(
                        people[0] if mislabelled else person, np.random.default_rng((seed, number, picture, 1)),
                        wrong=wrong_descriptions,
                    )  # fmt: skip
                    file = f"{name}/{picture:03d}.jpg"
                    described[of_kind] += [(file, text, language) for language, text in texts.items()]
            held[of_kind] += pictures
        first, last = f"{0:03d}.jpg", f"{pictures - 1:03d}.jpg"
        known = [built / KNOWN / name for name in characters]
        (known[0] / last).write_bytes((known[0] / first).read_bytes())
        with Image.open(known[1] / first) as image:
            (known[1] / last).write_bytes(encoded(image, "JPEG", quality=60))
        (known[-1] / last).write_bytes((known[0] / f"{1:03d}.jpg").read_bytes())
        for of_kind, rows in described.items():
            if rows:
                write_csv(
                    built / of_kind / DESCRIPTIONS, pd.DataFrame(rows, columns=["file", "description", "language"])
                )
        return held

    arguments = {
        "characters": list(characters), "unknown": list(unknown), "pictures": pictures, "image_size": image_size,
        "seed": seed, **({} if wrong_descriptions is None else {"wrong_descriptions": wrong_descriptions}),
    }  # fmt: skip
    return generated(folder, arguments, VERSION, build)


def _picture(person: Character, seed: Sequence[int], size: int) -> bytes:
    rng = np.random.default_rng(seed)
    drawn = Avatar(person, rng, _DRAWN_LARGER * size).image.resize((size, size), Image.Resampling.BOX)
    noisy = np.asarray(drawn) + rng.normal(0, rng.uniform(0, 4), (size, size, 3))
    pixels = Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))
    return encoded(pixels, "JPEG", quality=int(rng.integers(*_QUALITIES)))
