"""Pictures as they are sent: small enough, and the same bytes for the same content."""

import base64
import math
from pathlib import Path

from PIL import Image

from hallmark.checks import require
from hallmark.data.images import encoded, read_image

_OPTIONS: dict[str, dict] = {"jpeg": {"quality": 90, "subsampling": 0}, "png": {"compress_level": 6}}


class PictureEncoder:
    """Upright RGB pictures of at most `max_pixels` (width × height), as `format` jpeg or png."""

    def __init__(self, max_pixels: int, format: str) -> None:
        require(max_pixels >= 1024, "max_pixels", max_pixels, "a number of pixels, 1024 or more")
        require(format in _OPTIONS, "format", format, "jpeg or png")
        self.max_pixels, self.format = max_pixels, format

    def settings(self) -> dict[str, int | str]:
        """What the bytes depend on beside the image."""
        return {"max_pixels": self.max_pixels, "format": self.format, **_OPTIONS[self.format]}

    def picture(self, source: Path | bytes) -> Image.Image:
        """Raises OSError for what is not an image; the message names the file."""
        image = read_image(source)
        scale = math.sqrt(self.max_pixels / (image.width * image.height))
        if scale >= 1:
            return image
        size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
        return image.resize(size, Image.Resampling.BICUBIC)

    def data_uri(self, source: Path | bytes) -> str:
        """The encoded picture in an address of its own (RFC 2397)."""
        content = encoded(self.picture(source), self.format, **_OPTIONS[self.format])
        return f"data:image/{self.format};base64,{base64.b64encode(content).decode()}"
