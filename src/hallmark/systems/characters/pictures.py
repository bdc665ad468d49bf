"""Pictures that a user gives: files, or pictures that are open already."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hallmark.checks import UserError
from hallmark.data.images import UnreadableImageError, read_image
from hallmark.learning.encoders.base import ImageEncoder
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.printing import shortened
from hallmark.storage.regular import UnreadableFileError, read_regular

Picture = str | Path | Image.Image
_AT_ONCE = 32  # pictures that are embedded together


def read_pictures(images: Sequence[Picture]) -> tuple[list[str], list[Image.Image]]:
    """Hashes of the content of each picture, and the pictures.

    Raises:
        UserError: those that cannot be read, all of them by name.
    """
    contents, pictures, problems = [], [], []
    for image in images:
        if isinstance(image, Image.Image):
            picture = image.convert("RGB")
            contents.append(digest_bytes(repr(picture.size).encode(), picture.tobytes()))
            pictures.append(picture)
            continue
        path = Path(image).expanduser()
        try:
            content = read_regular(path)
            pictures.append(read_image(content, name=str(path)))
            contents.append(digest_bytes(content))
        except (UnreadableFileError, UnreadableImageError) as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(["nothing was changed, because of", *(f"  {problem}" for problem in problems)]))
    return contents, pictures


def embeddings(encoder: ImageEncoder, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
    """[N, D]"""
    pixels = [torch.from_numpy(np.array(encoder.transform(picture))) for picture in pictures]
    with torch.inference_mode():
        parts = [
            encoder(torch.stack(pixels[start : start + _AT_ONCE])).float().cpu().numpy()
            for start in range(0, len(pixels), _AT_ONCE)
        ]
    return np.concatenate(parts)


def picture_name(image: Picture) -> str:
    """For a sentence to a reader."""
    return f"a picture of {image.width}×{image.height}" if isinstance(image, Image.Image) else shortened(str(image))
