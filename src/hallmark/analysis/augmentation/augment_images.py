"""Lightly changed pictures of the bad cases, as extra training rows."""

import hashlib
import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from hallmark.analysis.augmentation.extra_rows import COLUMNS, check_transforms, extra_row, read_cases, show_counts
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.data.images import read_image
from hallmark.storage.files import atomic_path

log = logging.getLogger(__name__)

TABLE = "augment_images"
FOLDER = "augmented"
QUALITY = 95

Rng = np.random.Generator


class AugmentImages:
    """Write `augmented/*.jpg` and their index `augment_images.csv` for the pictures of `bad_cases.csv`.

    Every picture is a function of (seed, id, transform) alone, whatever the other cases and transforms are.
    Train on them with `data.extra=<path of augment_images.csv>`.

    Args:
        transforms: out of rotate, brightness, contrast, crop, flip, blur; each one alone gives a picture.
        seed: seed of the amounts.
        degrees: largest angle of `rotate`, either way; at most 45.
        jitter: largest relative change of `brightness` and `contrast`, within (0, 1).
        cut: largest share of each side that `crop` takes away, within (0, 1).
        radius: largest radius of `blur` in pixels.
        skip_label_issues: leave out cases whose label is in doubt, as more copies would teach it.
    """

    def __init__(
        self,
        transforms: list[str],
        seed: int,
        *,
        degrees: float,
        jitter: float,
        cut: float,
        radius: float,
        skip_label_issues: bool,
    ) -> None:
        require(0 < degrees <= 45, "degrees", degrees, "an angle above 0 and at most 45")
        require(0 < jitter < 1, "jitter", jitter, "a share strictly between 0 and 1")
        require(0 < cut < 1, "cut", cut, "a share strictly between 0 and 1")
        require(radius > 0, "radius", radius, "a number of pixels above 0")
        self._functions: dict[str, Callable[[Image.Image, Rng], Image.Image]] = {
            "rotate": lambda picture, rng: rotate(picture, _signed(rng, degrees)),
            "brightness": lambda picture, rng: ImageEnhance.Brightness(picture).enhance(1 + _signed(rng, jitter)),
            "contrast": lambda picture, rng: ImageEnhance.Contrast(picture).enhance(1 + _signed(rng, jitter)),
            "crop": lambda picture, rng: crop(picture, _amount(rng, cut), rng.random(), rng.random()),
            "flip": lambda picture, _: ImageOps.mirror(picture),
            "blur": lambda picture, rng: picture.filter(ImageFilter.GaussianBlur(_amount(rng, radius))),
        }
        check_transforms(transforms, list(self._functions))
        self.transforms, self.seed, self.skip_label_issues = list(transforms), seed, skip_label_issues

    def run(self, state: State) -> None:
        cases = read_cases(state.directory, "path", wanted_by=TABLE, skip_label_issues=self.skip_label_issues)
        rows = []
        for case in cases:
            try:
                picture = read_image(Path(case["path"]))
            except OSError as error:
                log.warning("case %s is left out, its picture cannot be read: %s", case["guid"], error)
                continue
            for name in self.transforms:
                target = state.directory / "analysis" / FOLDER / f"{file_stem(case['guid'])}~{name}.jpg"
                with atomic_path(target) as temporary:
                    self.apply(picture, name, case["guid"]).save(temporary, quality=QUALITY)
                rows.append(extra_row(case, name, image=str(target), text=case.get("text", "")))
        table = pd.DataFrame(rows, columns=COLUMNS)
        state.save_table(TABLE, table)
        show_counts("Changed pictures", table)

    def apply(self, picture: Image.Image, transform: str, sample: str) -> Image.Image:
        """The picture (RGB) of a sample after a transform, of the same size."""
        digest = hashlib.sha256(f"{self.seed}/{transform}/{sample}".encode()).digest()
        return self._functions[transform](picture, np.random.default_rng(list(digest)))


def rotate(picture: Image.Image, degrees: float) -> Image.Image:
    """Turned about its centre; the border is mirrored outwards, so that no empty corner tells the angle."""
    width, height = picture.size
    margin = int(np.hypot(width, height) / 2) + 2
    padded = np.pad(np.asarray(picture), ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    turned = Image.fromarray(padded).rotate(degrees, Image.Resampling.BICUBIC)
    return turned.crop((margin, margin, margin + width, margin + height))


def crop(picture: Image.Image, cut: float, across: float, down: float) -> Image.Image:
    """Without the share `cut` of each side, scaled back; `across` and `down` (0 to 1) place the window."""
    width, height = picture.size
    left, top = across * cut * width, down * cut * height
    box = (left, top, left + (1 - cut) * width, top + (1 - cut) * height)
    return picture.resize(picture.size, Image.Resampling.BICUBIC, box=box)


def file_stem(sample: str) -> str:
    """A file name for an id: itself where that is safe, else with a hash that keeps different ids apart."""
    safe = re.sub(r"[^\w.-]", "_", sample)[:80]
    return sample if safe == sample else f"{safe}-{hashlib.sha256(sample.encode()).hexdigest()[:10]}"


def _amount(rng: Rng, largest: float) -> float:
    """Half to all of `largest`: never so little that the picture stays the same."""
    return float(rng.uniform(0.5, 1) * largest)


def _signed(rng: Rng, largest: float) -> float:
    return float(rng.choice([-1.0, 1.0])) * _amount(rng, largest)
