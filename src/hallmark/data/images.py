"""Images as they come from the wild, read once: a scan for every file, decoded pixels for those that train."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.fft import dctn

from hallmark.storage.arrays import ArrayStore, Rows
from hallmark.storage.hashing import digest

_THUMBNAIL = 32
_SCAN = np.dtype([("thumbnail", "u1", (_THUMBNAIL, _THUMBNAIL, 3)), ("size", "i4", (2,)),
                  ("cmyk", "?"), ("readable", "?")])  # fmt: skip


def read_image(source: Path | bytes, *, draft: int | None = None) -> Image.Image:
    """Decode to RGB, upright by its EXIF orientation, transparency on white.

    Args:
        draft: let JPEG decode at the smallest scale that is no smaller than this many pixels a side.

    Raises:
        OSError: missing, truncated or not an image; the message names the file.
    """
    name = "<bytes>" if isinstance(source, bytes) else str(source)
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as image:
            if draft:
                image.draft("RGB", (draft, draft))
            upright = _eight_bit(ImageOps.exif_transpose(image))
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright.convert("RGBA"))
            return upright.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(f"{name}: {error}") from error


def _eight_bit(image: Image.Image) -> Image.Image:
    # Pillow clips 16-bit grey instead of scaling it, which leaves white paper.
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def scan_images(paths: Sequence[Path], digests: Sequence[str], cache: Path) -> NDArray:
    """Read every image once at low scale: structured array [N] with `thumbnail` uint8 [32, 32, 3],
    `size` (width, height) in pixels, `cmyk`, and `readable` (False for a damaged file).

    Results are kept under `cache` by content, so that a file is scanned once in its life.
    """
    store = ArrayStore(cache / "scans")
    rows = store.rows(digests, lambda positions: np.array([_scan(paths[p]) for p in positions], dtype=_SCAN))
    return rows.take(range(len(paths))) if paths else np.empty(0, dtype=_SCAN)


def _scan(path: Path) -> tuple[NDArray, tuple[int, int], bool, bool]:
    try:
        with Image.open(path) as image:
            size, cmyk = image.size, image.mode == "CMYK"
        small = read_image(path, draft=2 * _THUMBNAIL).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
        return np.asarray(small), size, cmyk, True
    except (OSError, Image.DecompressionBombError):
        return np.zeros((_THUMBNAIL, _THUMBNAIL, 3), np.uint8), (0, 0), False, False


def perceptual_hashes(thumbnails: NDArray) -> NDArray:
    """64-bit pHash of uint8 thumbnails [N, 32, 32, 3] as bits [N, 64]: signs of the lowest 8×8 DCT
    coefficients of the luma against their median (Zauner 2010)."""
    luma = thumbnails @ np.array([0.299, 0.587, 0.114])
    low = dctn(luma, axes=(1, 2), norm="ortho")[:, :8, :8].reshape(len(thumbnails), 64)
    return low > np.median(low, axis=1, keepdims=True)


def decoded_images(paths: Sequence[Path], digests: Sequence[str], size: int, cache: Path) -> Rows:
    """Pixels uint8 [3, size, size] of each image: shorter side resized (bicubic), centre crop.

    Decoded once for each content and size, then read from memory maps.
    """

    def compute(positions: Sequence[int]) -> NDArray:
        return np.stack([square_pixels(read_image(paths[position], draft=2 * size), size) for position in positions])

    return ArrayStore(cache / "pixels" / digest({"size": size, "fit": "bicubic-centre"})).rows(digests, compute)


def square_pixels(image: Image.Image, size: int) -> NDArray:
    """uint8 [3, size, size]: shorter side to `size` (bicubic), centre crop, as CLIP and timm evaluate."""
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
