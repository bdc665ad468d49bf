"""Pictures that a user gives: files, pictures that are open already, or arrays."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hallmark.checks import UserError, require
from hallmark.data.images import UnreadableImageError, read_image
from hallmark.learning.encoders.base import ImageEncoder
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.printing import shortened
from hallmark.storage.regular import UnreadableFileError, read_regular

Picture = str | Path | Image.Image | NDArray[np.uint8]
"""A file, an open picture, or its values [H, W, 3]."""

_AT_ONCE = 32  # pictures that are embedded together


def picture_list(images: Iterable[Picture]) -> list[Picture]:
    """Raises SettingError unless there is at least one."""
    is_several = isinstance(images, Iterable) and not isinstance(images, str | np.ndarray)
    listed = list(images) if is_several else []
    require(bool(listed), "images", shortened(repr(images)), "a list of at least one picture")
    return listed


def read_pictures(images: Sequence[Picture]) -> tuple[list[str], list[Image.Image]]:
    """Hashes of the content of each picture, and the pictures.

    Raises:
        UserError: those that cannot be read, all of them by name.
    """
    contents, pictures, problems = [], [], []
    for image in images:
        try:
            if isinstance(image, str | Path):
                path = Path(image).expanduser()
                content = read_regular(path)
                picture, digest = read_image(content, name=str(path)), digest_bytes(content)
            else:
                picture = _converted(image)
                digest = digest_bytes(repr(picture.size).encode(), picture.tobytes())
        except (UnreadableFileError, UnreadableImageError) as error:
            problems.append(str(error))
        else:
            pictures.append(picture)
            contents.append(digest)
    if problems:
        raise UserError("\n".join(["nothing was changed, because of", *(f"  {problem}" for problem in problems)]))
    return contents, pictures


def _converted(image: Any) -> Image.Image:
    """An open picture or an array as RGB; raises UnreadableImageError."""
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        image = Image.fromarray(image) if image.size else Image.new("RGB", image.shape[1::-1])
    if not isinstance(image, Image.Image):
        expected = "expected a path, a picture of Pillow or an array of uint8 [H, W, 3]"
        raise UnreadableImageError(f"{picture_name(image)}: {expected}")
    if 0 in image.size:
        raise UnreadableImageError(f"{picture_name(image)}: it has no pixels")
    try:
        return image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:  # a file that is closed or cut
        raise UnreadableImageError(f"{picture_name(image)}: {error}") from error


def embeddings(encoder: ImageEncoder, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
    """[N, D]"""
    pixels = [torch.from_numpy(np.array(encoder.transform(picture))) for picture in pictures]
    with torch.inference_mode():
        parts = [
            encoder(torch.stack(pixels[start : start + _AT_ONCE])).float().cpu().numpy()
            for start in range(0, len(pixels), _AT_ONCE)
        ]
    return np.concatenate(parts)


def picture_name(image: Any) -> str:
    """For a sentence to a reader."""
    if isinstance(image, Image.Image):
        return f"a picture of {image.width}×{image.height}"
    if isinstance(image, np.ndarray):
        return f"an array of {image.dtype} [{', '.join(map(str, image.shape))}]"
    return shortened(str(image))
