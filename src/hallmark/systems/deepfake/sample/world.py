"""The generated videos on disk: real ones, each with a forgery of itself, and the manifests that list their frames."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from hallmark.checks import require
from hallmark.data.generated import generated
from hallmark.data.images import encoded
from hallmark.storage.files import write_csv
from hallmark.systems.deepfake.sample.faces import IDENTITY_SIZE, SCENE_SIZE, SKIN, Identities, Scenes, draw_faces
from hallmark.systems.deepfake.sample.forgeries import FORGE, METHODS, UNSEEN, Strength

VERSION = 2
SPLITS = ("train", "val", "calibration", "meta", "test")
_PAIRS_AT_ONCE = 32
_QUALITIES = {"low": (80, 88), "high": (90, 97)}  # of JPEG
_NOISE = (2.0, 5.0)  # standard deviation in gray levels


def generate(
    folder: Path, *, train: int, val: int, calibration: int, meta: int, test: int, frames: int, image_size: int,
    checkerboard: float, seed: int,
) -> Path:  # fmt: skip
    """Write frames and a manifest for each split, and return `folder`.

    A split has so many pairs of a real video and a forged one: its frames with the face of another identity, in turn
    by the methods easy, mid and hard, in the test split by a fourth as well. Who is forged and whose face it is occurs
    in no other pair. A pair has one JPEG quality and one strength of noise, so that neither tells real from fake.
    The same arguments give the same bytes, and a split does not depend on the size of another.

    Args:
        frames: of a video.
        image_size: pixels of a side.
        checkerboard: gray levels of the pattern that hard forgeries leave, on average over videos.

    Raises:
        ValueError: an argument is out of range, or `folder` already holds something else.
    """
    counts = {"train": train, "val": val, "calibration": calibration, "meta": meta, "test": test}
    for name, count in counts.items():
        least = 1 if name in ("train", "val") else 0
        require(count >= least, name, count, f"{least} or more pairs of videos")
    require(frames >= 1, "frames", frames, "at least 1")
    require(image_size >= 32, "image_size", image_size, "at least 32 pixels")
    require(checkerboard >= 0, "checkerboard", checkerboard, "gray levels, 0 or more")
    require(seed >= 0, "seed", seed, "at least 0")
    sizes = {"frames": frames, "image_size": image_size, "checkerboard": checkerboard, "seed": seed}

    def build(built: Path) -> Counter[str]:
        held = Counter[str]()
        for number, (split, count) in enumerate(counts.items()):
            rows: list[dict[str, str]] = []
            for first in range(0, count, _PAIRS_AT_ONCE):
                pairs = range(first, min(first + _PAIRS_AT_ONCE, count))
                rows += _write_pairs(
                    built, split, number, pairs, frames=frames, size=image_size, checkerboard=checkerboard, seed=seed
                )
            if rows:
                write_csv(built / f"{split}_manifest.csv", pd.DataFrame(rows), exact=True)
            held.update(row["method"] or "real" for row in rows)
        return held

    return generated(folder, {**counts, **sizes}, VERSION, build)


def _write_pairs(
    folder: Path, split: str, number: int, pairs: range, *, frames: int, size: int, checkerboard: float, seed: int
) -> list[dict[str, str]]:  # fmt: skip
    """Write the frames of `pairs` of split `number`; gives their rows of the manifest."""
    methods = (*METHODS, UNSEEN) if split == "test" else METHODS
    generators = [np.random.default_rng((seed, number, pair)) for pair in pairs]
    # All numbers of a pair but the noise, equal for its frames but for the pose.
    draws = np.stack([rng.random(2 * IDENTITY_SIZE + SCENE_SIZE + 8) for rng in generators])
    poses = np.stack([rng.standard_normal((frames, 5)) for rng in generators]).reshape(-1, 5).clip(-2, 2)
    faces, donors, scene, other = np.split(
        draws.repeat(frames, axis=0), np.cumsum([IDENTITY_SIZE, IDENTITY_SIZE, SCENE_SIZE]), axis=1
    )
    method = np.array([methods[pair % len(methods)] for pair in pairs]).repeat(frames)
    donors[method == "hard", :SKIN] = faces[method == "hard", :SKIN]  # whoever forges well looks for a like complexion
    scenes = Scenes(scene, poses, size)
    background = scenes.background()
    real, donor = background.copy(), background
    draw_faces(real, Identities(faces), scenes)
    draw_faces(donor, Identities(donors), scenes)
    fake, noise_share = real.copy(), np.ones(real.shape[:3], np.float32)
    for name in sorted(set(method)):
        at = np.flatnonzero(method == name)
        part = Scenes(scene[at], poses[at], size)
        forged = FORGE[name](real[at], donor[at], part, Strength(other[at, :4], checkerboard))
        fake[at], noise_share[at] = forged.pixels, forged.noise
    sigma = (_NOISE[0] + (_NOISE[1] - _NOISE[0]) * other[:, 4, None, None, None]).astype(np.float32)
    rows = []
    for label, pixels, share in (("real", real, None), ("fake", fake, noise_share)):
        noise = np.concatenate([rng.standard_normal((frames, size, size, 3), np.float32) for rng in generators])
        noise *= sigma if share is None else sigma * share[..., None]
        images = np.rint(pixels + noise).clip(0, 255).astype(np.uint8).reshape(len(pairs), frames, size, size, 3)
        rows += [
            row for position, pair in enumerate(pairs)
            for row in _write_video(folder, split, pair, label, str(method[position * frames]), images[position],
                                    other[position * frames, 5:7])
        ]  # fmt: skip
    return rows


def _write_video(
    folder: Path, split: str, pair: int, label: str, method: str, images: NDArray, compression: NDArray
) -> list[dict[str, str]]:
    quality = list(_QUALITIES)[int(compression[0] * len(_QUALITIES))]
    low, high = _QUALITIES[quality]
    factor = int(low + compression[1] * (high - low))
    person, video = f"{split}_p{pair:04d}", f"{split}_{pair:04d}"
    forged = label == "fake"
    video_id = f"{video}_{method}" if forged else video
    source = f"{video} {person}_donor" if forged else person
    (folder / "frames" / video_id).mkdir(parents=True)
    rows = []
    for frame, image in enumerate(images):
        path = f"frames/{video_id}/{frame:02d}.jpg"
        (folder / path).write_bytes(encoded(Image.fromarray(image), "JPEG", quality=factor, subsampling="4:2:0"))
        rows.append({
            "path": path, "label": label, "video": video_id, "method": method if forged else "", "quality": quality,
            "source": source,
        })  # fmt: skip
    return rows
