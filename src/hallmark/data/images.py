"""Images as they come from the wild, read once: a scan for every file, decoded pixels for those that train."""

import functools
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy.fft import dctn

from hallmark.storage.arrays import ArrayStore, Rows
from hallmark.storage.hashing import digest
from hallmark.storage.regular import UnreadableFileError, read_regular

_THUMBNAIL = 32
_SCAN = np.dtype([("thumbnail", "u1", (_THUMBNAIL, _THUMBNAIL, 3)), ("size", "i4", (2,)),
                  ("format", "S8"), ("mode", "S8"), ("deep", "?"), ("tables", "u2", (2, 64)),
                  ("readable", "?"), ("metadata", "?")])  # fmt: skip
_SIDES = 1000  # at most so many times as long as the other: a square of the shorter side needs that much memory
_EXTERNAL = {"EPS"}  # formats that Pillow hands to another program
_ORIENTATION = 0x0112  # tag of EXIF
# Up to twice this limit Pillow warns, without a name, and decodes; beyond it raises, and the file is listed.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


GRAY_MODES = (b"1", b"L", b"LA", b"I", b"F", b"I;16", b"I;16B", b"I;16L", b"I;16N")
"""Modes of Pillow of a picture without color, as `scan_images` names them."""

_PNG, _PNG_DEPTH = b"\x89PNG", 24  # how a PNG file begins, and its byte that holds the bits of a channel


class UnreadableImageError(OSError):
    """An image that cannot be decoded; the message names its file and says why."""


def read_image(source: Path | bytes, *, draft: int | None = None, name: str | None = None) -> Image.Image:
    """Decode to RGB, upright by its EXIF orientation, transparency on white; of an animation the first picture.

    Args:
        draft: let JPEG decode at the smallest scale that is no smaller than this many pixels a side.
        name: of the file in messages; needed for bytes.

    Raises:
        UnreadableFileError: missing, or no regular file that can be read.
        UnreadableImageError: truncated, damaged, too large, or not an image.
    """
    name = name or ("<bytes>" if isinstance(source, bytes) else str(source))
    content = source if isinstance(source, bytes) else read_regular(source)
    try:
        with Image.open(BytesIO(content), formats=_formats()) as image:
            if draft:
                image.draft("RGB", (draft, draft))
            image.load()
            if min(image.size) < 1 or max(image.size) > _SIDES * min(image.size):
                raise ValueError(f"sides of {image.width}×{image.height} pixels")
            return upright_rgb(image)
    except Exception as error:  # decoders raise whatever a damaged file leads them to, struct.error and the like
        kind = "" if isinstance(error, (OSError, ValueError, SyntaxError)) else f"{type(error).__name__}: "
        cause = "cannot identify an image in it" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UnreadableImageError(f"{name}: {kind}{cause or 'cannot be decoded'}") from error


@functools.cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.OPEN if name not in _EXTERNAL]


def upright_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode as `read_image` gives it."""
    return _rgb(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    # ImageOps.exif_transpose would write the EXIF data anew, and fails where it holds what cannot be written.
    try:
        turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata says nothing of the pixels; `scan_images` reports it
        turn = None
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    image = _eight_bit(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        straight = image.convert("LA") if image.mode == "La" else image
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), straight.convert("RGBA"))
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    # Pillow clips gray of more than eight bits instead of scaling it, which leaves white paper.
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in ("I", "F"):
        return image
    gray = np.nan_to_num(np.asarray(image, np.float64))
    top = gray.max()
    scale = 255 if image.mode == "F" and top <= 1 else 1 if top <= 255 else 255 / max(top, 65535.0)
    return Image.fromarray((gray * scale).clip(0, 255).astype(np.uint8))


def scan_images(paths: Sequence[Path], digests: Sequence[str], cache: Path) -> NDArray:
    """Read every image once at low scale: structured array [N] with `thumbnail` uint8 [32, 32, 3],
    `size` (width, height) in pixels, `format` and `mode` of Pillow, `deep` (more than 8 bits a channel), `tables` (the
    first two quantization tables of JPEG, zeros of other formats), `readable` (False for a damaged file), and
    `metadata` (True where it is damaged although the pixels are not).

    Results are kept under `cache` by content, so that a readable file is scanned once in its life; whether another
    one has become readable, as after a shortage of memory, is tried again.
    """
    if not len(paths):
        return np.empty(0, dtype=_SCAN)
    store = ArrayStore(cache / "scans" / digest(_SCAN.descr))
    rows = store.rows(digests, lambda positions: np.array([_scan(paths[p]) for p in positions], dtype=_SCAN))
    scans = rows.take(range(len(paths)))
    for position in np.flatnonzero(~scans["readable"]).tolist():
        scans[position] = _scan(paths[position])
    return scans


def _scan(path: Path) -> tuple[Any, ...]:
    tables = np.zeros((2, 64), np.uint16)
    try:
        content = read_regular(path)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            small = read_image(content, draft=2 * _THUMBNAIL).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
            with Image.open(BytesIO(content), formats=_formats()) as image:
                for number, table in enumerate(list(getattr(image, "quantization", {}).values())[:2]):
                    tables[number] = np.minimum(table, np.iinfo(np.uint16).max)
                # Pillow gives PNG of 16 bits a channel as RGB of 8.
                deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
                deep |= content.startswith(_PNG) and content[_PNG_DEPTH] > 8
                header = (image.size, (image.format or "").encode(), image.mode.encode(), deep, tables)
            damaged = has_damaged_metadata(content)
        damaged |= any(not issubclass(warning.category, Image.DecompressionBombWarning) for warning in caught)
        return np.asarray(small), *header, True, damaged
    except (UnreadableFileError, UnreadableImageError):
        return np.zeros(_SCAN["thumbnail"].shape, np.uint8), (0, 0), b"", b"", False, tables, False, False


def has_damaged_metadata(content: bytes) -> bool:
    """Whether the EXIF data of a readable image cannot be written again, as programs that turn it would."""
    try:
        with Image.open(BytesIO(content), formats=_formats()) as image:
            image.getexif().tobytes()
    except Exception:
        return True
    return False


def perceptual_hashes(thumbnails: NDArray) -> NDArray:
    """64-bit pHash of uint8 thumbnails [N, 32, 32, 3] as bits [N, 64]: signs of the lowest 8×8 DCT
    coefficients of the luma against their median (Zauner 2010)."""
    luma = thumbnails @ np.array([0.299, 0.587, 0.114])
    low = dctn(luma, axes=(1, 2), norm="ortho")[:, :8, :8].reshape(len(thumbnails), 64)
    return low > np.median(low, axis=1, keepdims=True)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """An image file of `image`; the options are those of Pillow for the format."""
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


class PixelTransform(Protocol):
    """From an RGB image to uint8 [3, H, W], the same for every image.

    Attributes:
        settings: all that decides the pixels of an image, in plain values.
    """

    settings: Mapping[str, Any]

    def __call__(self, image: Image.Image, /) -> NDArray: ...


class SquareCrop:
    """The transform of networks that come without one: shorter side to `size` (bicubic), center crop."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.settings: Mapping[str, Any] = {"resize": "shorter side, bicubic", "crop": "center", "size": size}

    def __call__(self, image: Image.Image, /) -> NDArray:
        """uint8 [3, size, size]."""
        # As torchvision counts: the longer side rounds down, the margin to the nearest even number of halves.
        size = [max(self.size, self.size * side // min(image.size)) for side in image.size]
        left, top = (round((side - self.size) / 2) for side in size)
        resized = image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        return np.asarray(resized.crop((left, top, left + self.size, top + self.size))).transpose(2, 0, 1)


def decoded_images(paths: Sequence[Path], digests: Sequence[str], transform: PixelTransform, cache: Path) -> Rows:
    """Pixels of each image as `transform` gives them.

    Decoded once for each content and settings of the transform, then read from memory maps. Every image is decoded at
    its full scale, because a JPEG decoded at a smaller one has other pixels.
    """

    def compute(positions: Sequence[int]) -> NDArray:
        return np.stack([transform(read_image(paths[position])) for position in positions])

    return ArrayStore(cache / "pixels" / digest({"transform": dict(transform.settings)})).rows(digests, compute)
