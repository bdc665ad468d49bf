"""Small pictures for a page."""

import logging
from io import BytesIO
from pathlib import Path

from PIL import Image

from hallmark.data.images import read_image

log = logging.getLogger(__name__)

_SIDE = 240
_QUALITY = 82


def thumbnail(path: object) -> bytes | None:
    """A JPEG of at most 240 pixels a side, without metadata; None where `path` is no readable picture."""
    if not isinstance(path, str) or not path:
        return None
    try:
        picture = read_image(Path(path), draft=_SIDE)
    except OSError as error:
        log.warning("no picture: %s", error)
        return None
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    written = BytesIO()
    Image.frombytes("RGB", picture.size, picture.tobytes()).save(written, "JPEG", quality=_QUALITY, optimize=True)
    return written.getvalue()
