"""Altered copies of real photographs that the leakage gate finds: python -m benchmarks.leakage_copies FOLDER

Of every alteration the same photographs are altered, saved as JPEG and compared with all photographs of FOLDER.
"""

import argparse
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from benchmarks.results import Cell, count_cell, write_result
from hallmark.data.duplicate_images import near_duplicates
from hallmark.data.images import read_image, scan_images
from hallmark.storage.hashing import digest_file

COPIES = 240
QUALITY = 90


def crop(image: Image.Image, first: float, last: float) -> Image.Image:
    """Cut shares of the sides off the left and upper, and off the right and lower edge."""
    width, height = image.size
    return image.crop(
        (round(first * width), round(first * height), round((1 - last) * width), round((1 - last) * height))
    )


ALTERATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "brightness ×0.75": lambda image: ImageEnhance.Brightness(image).enhance(0.75),
    "brightness ×1.1": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "brightness ×1.25": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "contrast ×1.3": lambda image: ImageEnhance.Contrast(image).enhance(1.3),
    "gray": ImageOps.grayscale,
    "half the size": lambda image: image.resize((max(1, image.width // 2), max(1, image.height // 2))),
    "JPEG quality 30": lambda image: image,
    "mirrored": ImageOps.mirror,
    "mirrored and gray": lambda image: ImageOps.grayscale(ImageOps.mirror(image)),
    "1 % cut off each edge": lambda image: crop(image, 0.01, 0.01),
    "2 % cut off each edge": lambda image: crop(image, 0.02, 0.02),
    "2 % cut off two edges": lambda image: crop(image, 0.0, 0.02),
    "4 % cut off two edges": lambda image: crop(image, 0.0, 0.04),
    "5 % cut off each edge": lambda image: crop(image, 0.05, 0.05),
}


def thumbnails(paths: list[Path], cache: Path) -> NDArray:
    return scan_images(paths, [digest_file(path) for path in paths], cache)["thumbnail"]


def saved(image: Image.Image, path: Path, quality: int) -> Path:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    path.write_bytes(buffer.getvalue())
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    paths = sorted(parser.parse_args().folder.rglob("*.jpg"))
    chosen = np.random.default_rng(0).choice(len(paths), COPIES, replace=False).tolist()
    rows: list[dict[str, Cell]] = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        photographs = thumbnails(paths, scratch / "cache")
        among = len(near_duplicates(photographs))
        for number, (alteration, alter) in enumerate(ALTERATIONS.items()):
            folder = scratch / str(number)
            folder.mkdir()
            quality = 30 if alteration.startswith("JPEG") else QUALITY
            copies = [saved(alter(read_image(paths[row])), folder / f"{row}.jpg", quality) for row in chosen]
            pairs = near_duplicates(np.concatenate([photographs, thumbnails(copies, scratch / "cache")]))
            matches = {(first, second - len(paths)) for first, second in pairs.tolist() if second >= len(paths)}
            hits = sum((row, copy) in matches for copy, row in enumerate(chosen))
            rows.append({"altered copy, saved as JPEG": alteration, f"found of {COPIES}": count_cell(hits)})
            print(f"{alteration}: {hits}", flush=True)
    write_result(
        "leakage_copies",
        rows=f"{COPIES} of {len(paths):,} photographs, altered, among all of them.",
        intervals="",
        tables={"alterations": rows},
        values={"photographs": count_cell(len(paths)), "pairs": count_cell(among)},
    )


if __name__ == "__main__":
    main()
