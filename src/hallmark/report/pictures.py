"""Small pictures for a page."""

from io import BytesIO

from PIL import Image

from hallmark.analysis.bad_cases import readable_picture

_SIDE = 240
_QUALITY = 82


def thumbnail(path: object) -> bytes | None:
    """A JPEG of at most 240 pixels a side, without metadata; None where `path` is no readable picture."""
    picture = readable_picture(path, draft=_SIDE)
    if picture is None:
        return None
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    written = BytesIO()
    Image.frombytes("RGB", picture.size, picture.tobytes()).save(written, "JPEG", quality=_QUALITY, optimize=True)
    return written.getvalue()
