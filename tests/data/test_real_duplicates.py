"""Near-duplicate pictures among real photographs and altered copies of them."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from hallmark.data.duplicate_images import near_duplicates
from hallmark.data.hamming import pairs_within
from hallmark.data.images import perceptual_hashes, read_image, scan_images
from hallmark.storage.hashing import digest_file

pytestmark = pytest.mark.realdata

PAIRS = 121  # of the photographs themselves: copies, looked at
PATCHES = 10_000  # beyond what is compared all with all


@pytest.fixture(scope="module")
def paths(real_data) -> list[Path]:
    folder = real_data / "sentiment" / "data"
    if not folder.is_dir():
        pytest.skip(f"no photographs in {folder}")
    return sorted(folder.glob("*.jpg"))


@pytest.fixture(scope="module")
def photographs(paths, cache) -> np.ndarray:
    return scan_images(paths, [digest_file(path) for path in paths], cache)["thumbnail"]


def crop(image: Image.Image, left: float, right: float) -> Image.Image:
    width, height = image.size
    return image.crop((left * width, left * height, (1 - right) * width, (1 - right) * height))


ALTERED = {
    "brightness 1.1": (lambda image: ImageEnhance.Brightness(image).enhance(1.1), 55),
    "brightness 1.25": (lambda image: ImageEnhance.Brightness(image).enhance(1.25), 55),
    "2 % off each edge": (lambda image: crop(image, 0.02, 0.02), 45),
    "2 % off two edges": (lambda image: crop(image, 0.0, 0.02), 45),
    "gray": (ImageOps.grayscale, 55),
    "mirrored": (ImageOps.mirror, 50),
}


def saved(image: Image.Image, folder: Path, name: int) -> Path:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=90)
    path = folder / f"{name}.jpg"
    path.write_bytes(buffer.getvalue())
    return path


def test_only_copies_are_found_among_the_photographs(photographs) -> None:
    assert len(near_duplicates(photographs)) == PAIRS


@pytest.mark.parametrize("alteration", ALTERED)
def test_altered_copies_are_found_and_no_further_pair(paths, photographs, cache, tmp_path, alteration) -> None:
    alter, least = ALTERED[alteration]
    chosen = np.random.default_rng(0).choice(len(paths), 60, replace=False)
    copies = [saved(alter(read_image(paths[row])), tmp_path, row) for row in chosen]
    altered = scan_images(copies, [digest_file(path) for path in copies], cache)["thumbnail"]
    pairs = near_duplicates(np.concatenate([photographs, altered]))
    matches = {(row, int(chosen[copy - len(paths)])) for row, copy in pairs.tolist() if copy >= len(paths)}
    assert sum((row, row) in matches for row in chosen.tolist()) >= least
    assert (pairs[:, 1] < len(paths)).sum() == PAIRS


def test_the_search_finds_what_comparing_all_with_all_finds(paths) -> None:
    rng = np.random.default_rng(0)
    patches = []
    for path, n in zip(paths, np.bincount(rng.integers(0, len(paths), PATCHES), minlength=len(paths)), strict=True):
        image = read_image(path, draft=128)
        for _ in range(n):
            side = min(image.size) * rng.uniform(0.2, 0.6)
            x, y = (rng.uniform(0, length - side) for length in image.size)
            patches.append(np.asarray(image.resize((32, 32), Image.Resampling.BOX, (x, y, x + side, y + side))))
    pixels = np.stack(patches)
    codes, mirrored = (
        np.packbits(perceptual_hashes(view), axis=1).view(np.uint64).ravel() for view in (pixels, pixels[:, :, ::-1])
    )
    for others in (None, mirrored):
        table = codes if others is None else others
        expected = []
        for start in range(0, PATCHES, 500):
            i, j = np.nonzero(np.bitwise_count(codes[start : start + 500, None] ^ table) <= 10)
            expected.append((i + start) * PATCHES + j)
        keys = np.concatenate(expected)
        if others is None:
            keys = keys[keys // PATCHES < keys % PATCHES]
        pair_keys = np.concatenate([i * PATCHES + j for i, j in pairs_within(codes, others, 10)])
        assert len(keys) > 400
        assert np.array_equal(np.sort(pair_keys), np.sort(keys))
