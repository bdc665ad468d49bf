"""An epoch of pictures from the decode cache against a plain ImageFolder: python -m benchmarks.decode_cache FOLDER

Without FOLDER the pictures are 600 photographs' worth of noise at 640×480.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.results import count_cell, number_cell, write_result
from benchmarks.timing import alternate
from hallmark.data.images import SquareCrop, decoded_images
from hallmark.storage.hashing import digest_file

SIZE, BATCH, LIMIT, REPEATS = 224, 32, 600, 5


def write_pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(LIMIT):
        coarse = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=90)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch) / "pictures"
        if len(sys.argv) == 1:
            source.mkdir()
            write_pictures(source)
        root = Path(scratch) / "root" / "one"
        root.mkdir(parents=True)
        paths = sorted(source.glob("*.jpg"))[:LIMIT]
        for path in paths:
            (root / path.name).symlink_to(path.resolve())
        transform = v2.Compose([v2.PILToTensor(), v2.Resize(SIZE, antialias=True), v2.CenterCrop(SIZE)])
        plain = DataLoader(ImageFolder(str(root.parent), transform), BATCH)
        digests = [digest_file(path) for path in paths]
        cached = decoded_images(paths, digests, SquareCrop(SIZE), Path(scratch) / "cache")

        def read_cached() -> None:
            for start in range(0, len(paths), BATCH):
                torch.from_numpy(cached.take(range(start, min(start + BATCH, len(paths)))))

        medians = alternate(
            {"ImageFolder": lambda: sum(len(batch) for batch, _ in plain), "cached": read_cached}, REPEATS
        )
    rates = {name: len(paths) / spent for name, spent in medians.items()}
    kind = "photographs of a folder" if len(sys.argv) > 1 else "generated pictures of 640×480"
    write_result(
        "decode_cache",
        rows=f"Processor time of {len(paths)} {kind}, read at {SIZE} pixels, median of {REPEATS}, by turns.",
        intervals="",
        values={
            "image_folder": count_cell(round(rates["ImageFolder"])),
            "cached": count_cell(round(rates["cached"])),
            "ratio": number_cell(rates["cached"] / rates["ImageFolder"], 0, "×"),
        },
    )


if __name__ == "__main__":
    main()
