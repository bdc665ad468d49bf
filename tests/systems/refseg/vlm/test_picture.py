import base64
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.systems.refseg.vlm.conftest import picture

from hallmark.systems.refseg.vlm.picture import PictureEncoder


def decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1024, 20_000))
def test_pictures_shrink_to_the_limit_and_never_grow(width: int, height: int, most: int):
    image = PictureEncoder(most, "png").picture(picture((width, height)))
    assert image.width * image.height <= most or min(image.size) == 1
    if width * height <= most:
        assert image.size == (width, height)


@pytest.mark.parametrize("format", ["jpeg", "png"])
def test_the_same_content_gives_the_same_bytes_from_a_file_or_from_memory(tmp_path: Path, format: str):
    noise = np.random.default_rng(0).integers(0, 255, (80, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    first, second = (PictureEncoder(4096, format).data_uri(tmp_path / "a.png") for _ in range(2))
    assert first == second == PictureEncoder(4096, format).data_uri((tmp_path / "a.png").read_bytes())
    assert first.startswith(f"data:image/{format};base64,")
    assert decoded(first).format == format.upper()


def test_a_png_holds_the_pixels_themselves():
    address = PictureEncoder(4096, "png").data_uri(picture((10, 20), "teal"))
    assert decoded(address).getcolors() == [(200, (0, 128, 128))]


def test_settings():
    for changes, key in (((10, "png"), "max_pixels"), ((4096, "gif"), "format")):
        with pytest.raises(ValueError, match=f"^{key}="):
            PictureEncoder(*changes)
    assert PictureEncoder(4096, "png").settings() == {
        "max_pixels": 4096, "format": "png", "compress_level": 6,
    }  # fmt: skip
