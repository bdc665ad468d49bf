import numpy as np
import pytest
import torch
from PIL import Image

from hallmark.data.images import SquareCrop
from hallmark.data.inputs import InputRows, Pixels
from hallmark.data.sampling import SampleIndex
from hallmark.storage.hashing import digest_file


@pytest.fixture
def pixels(tmp_path) -> Pixels:
    """Black, a file that is not opened, and white."""
    paths = [tmp_path / f"{name}.png" for name in ("black", "damaged", "white")]
    for path, color in zip(paths, ("black", "red", "white"), strict=True):
        Image.new("RGB", (8, 8), color).save(path)
    paths[1].write_bytes(b"")
    return Pixels.of_files(
        [str(path) for path in paths], [digest_file(path) for path in paths], readable=np.array([True, False, True]),
        transform=SquareCrop(4), size=4, cache=tmp_path / "cache",
    )  # fmt: skip


def test_a_picture_that_cannot_be_read_is_gray(pixels):
    images = pixels.take([2, 1, 0])
    assert images.dtype == torch.uint8 and images.shape == (3, 3, 4, 4)
    assert [int(picture.unique()) for picture in images] == [255, 128, 0]


def test_a_batch_has_each_input_as_its_kind_is_read(pixels):
    inputs = {
        "image": pixels,
        "tokens": {"ids": torch.arange(6).view(3, 2)},
        "sound": torch.eye(3),
        "text": ["a", "b", "c"],
    }
    rows = InputRows(target=torch.tensor([0, 1, -1]), inputs=inputs, transform=None)
    batch = rows.__getitems__([SampleIndex(2, 0), SampleIndex(0, 0)])
    assert len(rows) == 3
    assert batch["index"].tolist() == [2, 0] and batch["target"].tolist() == [-1, 0]
    assert batch["tokens"]["ids"].tolist() == [[4, 5], [0, 1]]
    assert batch["sound_features"].tolist() == [[0, 0, 1], [1, 0, 0]] and "sound" not in batch
    assert batch["text"] == ["c", "a"]
    assert rows[SampleIndex(1, 0)]["text"] == ["b"]


def test_the_transform_changes_pixels_with_the_seed_of_the_row(pixels):
    rows = InputRows(
        target=torch.zeros(3, dtype=torch.int64), inputs={"image": pixels},
        transform=lambda image, seed: torch.full_like(image, seed),
    )  # fmt: skip
    batch = rows.__getitems__([SampleIndex(0, 7), SampleIndex(2, 9)])
    assert batch["image"].flatten(1).float().mean(dim=1).tolist() == [7, 9]
