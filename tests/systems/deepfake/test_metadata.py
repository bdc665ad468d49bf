import numpy as np
import pytest
from PIL import Image

from hallmark.storage.hashing import digest_file
from hallmark.systems.deepfake.metadata import read_headers, shortcuts


def _headers(folder, images: dict[str, tuple[Image.Image, dict]]) -> np.ndarray:
    paths = []
    for name, (image, options) in images.items():
        paths.append(folder / name)
        image.save(paths[-1], **options)
    return read_headers(paths, [digest_file(path) for path in paths], folder / "cache")


def test_headers_say_format_size_depth_and_tables(tmp_path):
    color = Image.new("RGB", (12, 8), "red")
    deep = Image.fromarray(np.arange(96, dtype=np.uint16).reshape(8, 12) * 500)
    headers = _headers(tmp_path, {
        "color.png": (color, {}), "fine.jpg": (color, {"quality": 95}), "coarse.jpg": (color, {"quality": 50}),
        "deep.png": (deep, {}), "gray.png": (color.convert("L"), {}),
    })  # fmt: skip
    assert headers["format"].tolist() == [b"PNG", b"JPEG", b"JPEG", b"PNG", b"PNG"]
    assert headers["size"].tolist() == [[12, 8]] * 5
    assert headers["deep"].tolist() == [False, False, False, True, False]
    assert headers["mode"][4] == b"L"
    # The first numbers of the tables of Annex K of the JPEG standard, as they are at quality 50.
    assert headers["tables"][2, 0, 0] == 16 and headers["tables"][2, 1, 0] == 17
    assert headers["tables"][1, 0, 0] < 16 and not headers["tables"][0].any()


@pytest.mark.parametrize("shortcut", ["format", "size", "JPEG quantization tables"])
def test_a_property_that_goes_with_the_label_is_found_on_groups_that_were_not_seen(tmp_path, shortcut):
    rng = np.random.default_rng(0)
    fake = np.arange(80) % 2 == 1
    images = {}
    for row in range(80):
        size = (16, 16) if shortcut != "size" or not fake[row] else (20, 16)
        picture = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
        png = fake[row] if shortcut == "format" else row % 4 < 2
        quality = 70 + 20 * fake[row] if shortcut == "JPEG quantization tables" else 80
        images[f"{row}.{'png' if png else 'jpg'}"] = (picture, {} if png else {"quality": int(quality)})
    auc = shortcuts(_headers(tmp_path, images), fake, [str(row // 2) for row in range(80)]).set_index("what")["auc"]
    assert auc[shortcut] > 0.7
    assert all(auc[what] < 0.6 for what in ("format", "size") if what != shortcut)


def test_too_few_groups_say_nothing(tmp_path):
    image = Image.new("RGB", (8, 8))
    headers = _headers(tmp_path, {"a.png": (image, {}), "b.jpg": (image, {})})
    assert shortcuts(headers, np.array([False, True]), ["a", "b"]).empty
