"""A million pictures through the search for near-duplicates: python -m benchmarks.leakage_scale FOLDER

Thumbnails of random squares of the photographs in FOLDER; one in twenty is a copy of another with other brightness
and noise, and one in a hundred is flat.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.results import Cell, count_cell, number_cell, write_result
from hallmark.data.duplicate_images import near_duplicates
from hallmark.data.groups import connected_groups
from hallmark.data.hamming import pairs_within
from hallmark.data.images import perceptual_hashes, read_image

COPIES, FLAT = 0.05, 0.01
CHECKED = 30_000  # of which every pair is compared
_CHUNK = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        thumbnails, sources = draw(arguments.folder, arguments.rows, Path(scratch) / "thumbnails.npy")
        tables = {"recall": recall(thumbnails), "search": search(thumbnails, sources)}
    write_result(
        "leakage_scale",
        rows=f"{arguments.rows:,} thumbnails of squares of photographs: {COPIES:.0%} are altered copies of others, "
        f"{FLAT:.0%} are flat. The peak of memory holds the mapped file of thumbnails, whose pages the system may take "
        "back.",
        intervals="",
        tables=tables,
    )


def draw(folder: Path, n: int, path: Path) -> tuple[NDArray, NDArray]:
    """Thumbnails uint8 [n, 32, 32, 3] in a memory map, and for each row the row that it is a copy of, or itself."""
    rng = np.random.default_rng(0)
    photographs = sorted(folder.rglob("*.jpg"))
    thumbnails = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, 32, 32, 3))
    originals = round(n * (1 - COPIES - FLAT))
    row = 0
    for photograph, squares in zip(photographs, np.bincount(np.arange(originals) % len(photographs)), strict=True):
        image = read_image(photograph, draft=256)
        for _ in range(squares):
            side = min(image.size) * rng.uniform(0.2, 0.6)
            x, y = (rng.uniform(0, length - side) for length in image.size)
            thumbnails[row] = np.asarray(image.resize((32, 32), Image.Resampling.BOX, (x, y, x + side, y + side)))
            row += 1
    sources = np.arange(n)
    flat = round(n * FLAT)
    thumbnails[row : row + flat] = rng.integers(0, 256, (flat, 1, 1, 3))
    copied = np.sort(rng.choice(originals, n - originals - flat, replace=False))
    sources[row + flat :] = copied
    for start in range(0, len(copied), _CHUNK):
        pixels = thumbnails[copied[start : start + _CHUNK]] * rng.uniform(0.8, 1.1) + rng.normal(0, 2, (32, 32, 3))
        thumbnails[row + flat + start : row + flat + start + len(pixels)] = np.clip(pixels, 0, 255)
    return thumbnails, sources


def recall(thumbnails: NDArray) -> list[dict[str, Cell]]:
    """Pairs of hashes within 10 bits that the search and the comparison of all with all find."""
    rows_checked = np.linspace(0, len(thumbnails) - 1, CHECKED).astype(int)
    codes, mirrored = (
        np.packbits(perceptual_hashes(view), axis=1).view(np.uint64).ravel()
        for view in (thumbnails[rows_checked], thumbnails[rows_checked][:, :, ::-1])
    )
    rows: list[dict[str, Cell]] = []
    for name, second_codes in (("with themselves", None), ("with their mirror images", mirrored)):
        listed = np.sort(np.concatenate([i * CHECKED + j for i, j in pairs_within(codes, second_codes, 10)]))
        table, expected = codes if second_codes is None else second_codes, []
        for start in range(0, CHECKED, 500):
            i, j = np.nonzero(np.bitwise_count(codes[start : start + 500, None] ^ table) <= 10)
            expected.append((i + start) * CHECKED + j)
        keys = np.concatenate(expected)
        keys = keys if second_codes is not None else keys[keys // CHECKED < keys % CHECKED]
        common = len(np.intersect1d(keys, listed))
        assert len(listed) == len(set(listed.tolist()))
        rows.append({
            f"hashes of {CHECKED:,} thumbnails": name,
            "pairs within 10 bits": count_cell(len(keys)),
            "found by the search": count_cell(common),
            "others listed": count_cell(len(listed) - common),
        })  # fmt: skip
    return rows


def search(thumbnails: NDArray, sources: NDArray) -> list[dict[str, Cell]]:
    began = time.process_time()  # not wall time, which says how busy the machine was
    pairs = near_duplicates(thumbnails)
    processor = time.process_time() - began
    groups = connected_groups(len(thumbnails), [pairs])
    copies = np.flatnonzero(sources != np.arange(len(sources)))
    joined = np.mean(groups[copies] == groups[sources[copies]])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        {
            "thumbnails": count_cell(len(thumbnails)),
            "copies": count_cell(len(copies)),
            "found": number_cell(100 * float(joined), 1, " %"),
            "pairs listed": count_cell(len(pairs)),
            "processor time": number_cell(processor / 60, 1, " min"),
            "peak memory": number_cell(peak, 1, " GiB"),
        }
    ]


if __name__ == "__main__":
    main()
