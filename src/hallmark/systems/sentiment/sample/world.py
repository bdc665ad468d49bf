"""The sample corpus on disk: which posts there are, what they mean, and the files that hold them."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hallmark.checks import require
from hallmark.data.generated import generated
from hallmark.storage.files import write_csv
from hallmark.systems.sentiment.sample import pictures, tweets

VERSION = 1
TAGS = ("negative", "neutral", "positive")
KIND_SHARES = {"agree": 0.44, "sarcasm": 0.20, "text_only": 0.18, "neither": 0.18}
POSITIVE_SHARE = {"agree": 0.65, "sarcasm": 0.5, "text_only": 0.65}
RETWEET_SHARE = 0.05
REUSED_PICTURE_SHARE = 0.02
RETWEET_PREFIX_SHARE = 0.15
GB18030_SHARE = 0.08
UTF8_FOREIGN_SHARE = 0.04
MINIMUM_ROWS, MINIMUM_IMAGE_SIZE = 30, 32
# Independent random streams of one row: its picture stays when, say, the label noise changes.
_COPY, _LATENT, _PICTURE, _TEXT, _WRAP, _LABEL, _ORDER = range(1, 8)


@dataclass(frozen=True)
class Latent:
    """What a post means. `text_cue` is a tag or "ambiguous"; `true_tag` follows from the two cues."""

    true_tag: str
    image_cue: str
    text_cue: str
    kind: str
    scene: str


def _stream(seed: int, row: int, stream: int) -> np.random.Generator:
    return np.random.default_rng((seed, row, stream))


def _copied(seed: int, row: int) -> tuple[str, int]:
    """What `row` repeats ("retweet", "reused_picture" or "") and the earlier, original row it repeats."""
    rng = _stream(seed, row, _COPY)
    draw = rng.random()
    if row == 0 or draw >= RETWEET_SHARE + REUSED_PICTURE_SHARE:
        return "", row
    while _copied(seed, source := int(rng.integers(row)))[0]:
        pass
    return ("retweet" if draw < RETWEET_SHARE else "reused_picture"), source


def _latent(rng: np.random.Generator) -> Latent:
    kind = str(rng.choice(list(KIND_SHARES), p=list(KIND_SHARES.values())))
    scene = str(rng.choice(list(pictures.DRAW)))
    if kind == "neither":
        return Latent("neutral", "neutral", "neutral", kind, scene)
    tag = "positive" if rng.random() < POSITIVE_SHARE[kind] else "negative"
    image_cue = "neutral" if kind == "text_only" else tag
    text_cue = "ambiguous" if kind == "sarcasm" else tag
    return Latent(tag, image_cue, text_cue, kind, scene)


def _text(seed: int, row: int, latent: Latent, source: int | None) -> tuple[bytes, str]:
    """The bytes of a row's tweet, a retweet of row `source` if there is one, and their encoding."""
    author = row if source is None else source
    draw = _stream(seed, author, _WRAP).random()
    encoding = "gb18030" if draw < GB18030_SHARE else "utf-8"
    rng = _stream(seed, author, _TEXT)
    foreign = draw < GB18030_SHARE + UTF8_FOREIGN_SHARE  # the text holds a foreign name
    text = tweets.compose(rng, cue=latent.text_cue, scene=latent.scene, foreign=foreign)
    if source is not None:
        text = tweets.retweet(_stream(seed, row, _TEXT), text)
    elif rng.random() < RETWEET_PREFIX_SHARE:
        text = f"RT @{tweets.handle(rng)}: {text}"
    return f"{text}\n".encode(encoding), encoding


def _build(
    folder: Path, *, rows: int, unlabelled: int, seed: int, label_noise: float, image_size: int
) -> Counter[str]:  # fmt: skip
    """Fill `folder` and count what is in it."""
    (folder / "data").mkdir(parents=True)
    order = _stream(seed, 0, _ORDER)
    guids = [str(guid) for guid in order.permutation(rows + unlabelled) + 1]
    tags, latents, counts = [], [], Counter[str]()
    for row, guid in enumerate(guids):
        copy, source = _copied(seed, row)
        latent = _latent(_stream(seed, source, _LATENT))
        brush = _stream(seed, source if copy == "reused_picture" else row, _PICTURE)
        picture = pictures.render(brush, scene=latent.scene, cue=latent.image_cue, image_size=image_size)
        text, encoding = _text(seed, row, latent, source if copy == "retweet" else None)
        (folder / "data" / f"{guid}.jpg").write_bytes(picture)
        (folder / "data" / f"{guid}.txt").write_bytes(text)
        labelled, rng, tag = row < rows, _stream(seed, row, _LABEL), latent.true_tag
        if rng.random() < label_noise:
            tag = str(rng.choice([other for other in TAGS if other != tag]))
            counts["wrong_label"] += labelled
        tags.append(tag)
        latents.append({"guid": guid, **asdict(latent)})
        counts.update([latent.kind, encoding, f"labelled_{tag}" if labelled else "unlabelled"])
        counts.update([copy] if copy else [])
    posts = pd.DataFrame({"guid": guids, "tag": tags})
    write_csv(folder / "train.txt", posts.iloc[order.permutation(rows)], exact=True)
    write_csv(folder / "test_without_label.txt", posts[rows:].assign(tag="null"), exact=True)
    write_csv(folder / "latent.csv", pd.DataFrame(latents), exact=True)
    return +counts  # without kinds of which there are none


def generate(folder: Path, *, rows: int, unlabelled: int, seed: int, label_noise: float, image_size: int = 96) -> Path:
    """Writes a generated sentiment corpus in the layout of the real one, and returns `folder`.

    `data/GUID.jpg` and `data/GUID.txt` hold the posts, `train.txt` the tags of `rows` of them and
    `test_without_label.txt` the other `unlabelled` ones. A share `label_noise` of the written tags is wrong.
    The short side of a picture has `image_size` pixels. The same arguments give the same bytes.

    `latent.csv` tells what each post really means; it is for tests and explanations, and no data module
    reads it. `sample.json` records the arguments and is there only when everything else is: a complete
    folder is left alone, and the corpus appears under its name in one step, whoever else writes it too.

    Raises:
        ValueError: an argument is out of range, or `folder` already holds something else.
    """
    arguments: dict[str, Any] = {
        "rows": rows, "unlabelled": unlabelled, "seed": seed, "label_noise": label_noise, "image_size": image_size,
    }  # fmt: skip
    minima = {"rows": MINIMUM_ROWS, "unlabelled": 0, "seed": 0, "image_size": MINIMUM_IMAGE_SIZE}
    for name, least in minima.items():
        require(arguments[name] >= least, name, arguments[name], f"must be at least {least}")
    require(0 <= label_noise < 0.5, "label_noise", label_noise, "must be at least 0 and below 0.5")
    return generated(folder, arguments, VERSION, lambda built: _build(built, **arguments))
