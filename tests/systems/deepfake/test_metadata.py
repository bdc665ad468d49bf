import numpy as np
import pytest
from PIL import Image

from hallmark.data.images import scan_images
from hallmark.storage.hashing import digest_file
from hallmark.systems.deepfake.metadata import shortcuts


def _scans(folder, images: dict[str, tuple[Image.Image, dict]]) -> np.ndarray:
    paths = []
    for name, (image, options) in images.items():
        paths.append(folder / name)
        image.save(paths[-1], **options)
    return scan_images(paths, [digest_file(path) for path in paths], folder / "cache")


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
    auc = shortcuts(_scans(tmp_path, images), fake, [str(row // 2) for row in range(80)]).set_index("what")["auc"]
    assert auc[shortcut] > 0.7
    assert all(auc[what] < 0.6 for what in ("format", "size") if what != shortcut)


def test_too_few_groups_say_nothing(tmp_path):
    image = Image.new("RGB", (8, 8))
    scans = _scans(tmp_path, {"a.png": (image, {}), "b.jpg": (image, {})})
    assert shortcuts(scans, np.array([False, True]), ["a", "b"]).empty
