import filecmp
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hallmark.checks import SettingError
from hallmark.systems.deepfake.sample.world import generate

SMALL = {
    "train": 4, "val": 3, "calibration": 0, "meta": 0, "test": 8, "frames": 2, "image_size": 32, "checkerboard": 4.0,
    "seed": 3,
}  # fmt: skip


def _frames(folder, manifest: str) -> pd.DataFrame:
    """The rows of a manifest with `pixels`."""
    rows = pd.read_csv(folder / f"{manifest}_manifest.csv", keep_default_na=False)
    pixels = [np.asarray(Image.open(folder / path), float) for path in rows["path"]]
    return rows.assign(pixels=pixels)


def test_equal_arguments_give_equal_bytes_and_a_split_does_not_depend_on_the_others(tmp_path):
    first, second = generate(tmp_path / "a", **SMALL), generate(tmp_path / "b", **SMALL)
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert len(names) == 1 + 3 + 2 * 2 * (4 + 3 + 8)
    assert filecmp.cmpfiles(first, second, names, shallow=False)[0] == names
    larger = generate(tmp_path / "c", **{**SMALL, "train": 40})
    equal = [name for name in names if not name.startswith(("train", "sample"))]
    assert filecmp.cmpfiles(first, larger, equal, shallow=False)[0] == equal
    other = generate(tmp_path / "d", **{**SMALL, "seed": 4})
    frames = [name for name in names if name.endswith(".jpg")]
    assert not filecmp.cmpfiles(first, other, frames, shallow=False)[0]


def test_forgeries_are_of_three_methods_and_of_a_fourth_in_the_test_split(tmp_path):
    folder = generate(tmp_path / "world", **SMALL)
    train, test = (pd.read_csv(folder / f"{split}_manifest.csv", keep_default_na=False) for split in ("train", "test"))
    assert train["method"].value_counts().to_dict() == {"": 8, "easy": 4, "mid": 2, "hard": 2}
    assert test["method"].value_counts().to_dict() == {"": 16, "easy": 4, "mid": 4, "hard": 4, "other": 4}
    assert train["quality"].groupby(train["video"].str[:10]).nunique().eq(1).all()
    assert not (folder / "meta_manifest.csv").exists()


def test_a_forgery_leaves_what_is_around_the_face_as_it_was(world):
    rows = _frames(world, "train")
    real, fake = rows[rows["label"] == "real"], rows[rows["label"] == "fake"]
    change = np.abs(np.stack(fake["pixels"].tolist()) - np.stack(real["pixels"].tolist())).mean(axis=3)
    size = change.shape[1]
    border = np.concatenate([change[:, : size // 8].reshape(len(change), -1),
                             change[:, :, : size // 8].reshape(len(change), -1)], axis=1)  # fmt: skip
    inside = change[:, size * 3 // 8 : size * 5 // 8, size * 3 // 8 : size * 5 // 8].reshape(len(change), -1)
    by_method = pd.DataFrame({"method": fake["method"].tolist(), "inside": inside.mean(axis=1)})
    # Noise and compression differ everywhere.
    assert border.mean() < 8 and (inside.mean(axis=1) > border.mean(axis=1)).all()
    means = by_method.groupby("method")["inside"].mean()
    assert means["easy"] > means["mid"] > means["hard"]


def test_hard_forgeries_have_a_checkerboard_that_a_picture_of_half_the_size_does_not_show(tmp_path):
    size = 64
    folder = generate(tmp_path / "world", **{**SMALL, "train": 24, "image_size": size, "checkerboard": 8.0})
    rows = _frames(folder, "train")
    board = 1 - 2 * (np.add.outer(np.arange(size), np.arange(size)) % 2)
    middle = (slice(size * 3 // 8, size * 5 // 8),) * 2
    strength = rows["pixels"].map(lambda pixels: abs((pixels.mean(axis=2) * board)[middle].mean()))
    small = rows["pixels"].map(lambda pixels: pixels.reshape(size // 2, 2, size // 2, 2, 3).mean(axis=(1, 3)))
    board = board[: size // 2, : size // 2]
    middle = (slice(size * 3 // 16, size * 5 // 16),) * 2
    left = small.map(lambda pixels: abs((pixels.mean(axis=2) * board)[middle].mean()))
    hard, real = rows["method"] == "hard", rows["label"] == "real"
    assert strength[hard].mean() > 4 > 1 > strength[real].mean()
    assert left[hard].mean() < 2 * left[real].mean() + 0.3


@pytest.mark.parametrize(
    ("name", "value"), [("train", 0), ("frames", 0), ("image_size", 16), ("checkerboard", -1.0), ("seed", -1)]
)
def test_arguments_out_of_range_are_named(tmp_path, name, value):
    with pytest.raises(SettingError) as error:
        generate(tmp_path / "world", **{**SMALL, name: value})
    assert error.value.key == name


def test_files_are_jpeg_of_the_stated_qualities(world):
    rows = pd.read_csv(world / "train_manifest.csv", keep_default_na=False)
    for path, quality in rows[["path", "quality"]].to_numpy():
        first = Image.open(world / path).quantization[0]
        levels = range(80, 88) if quality == "low" else range(90, 97)
        assert any(first == _table(level) for level in levels)


def _table(quality: int) -> list[int]:
    file = BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
    return Image.open(file).quantization[0]
