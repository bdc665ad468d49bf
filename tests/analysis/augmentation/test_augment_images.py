import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hallmark.analysis.augmentation.augment_images import AugmentImages, crop, file_stem, rotate

ALL = ["rotate", "brightness", "contrast", "crop", "flip", "blur"]


def augment(transforms=ALL, seed=0, **changes):
    amounts = {"degrees": 10, "jitter": 0.3, "cut": 0.15, "radius": 1.5, "skip_label_issues": True}
    return AugmentImages(transforms, seed, **{**amounts, **changes})


@pytest.fixture
def state(make_state, table):
    return make_state(table(["cat"], [[1, 0]]))


def mined(state, paths, **columns):
    names = [f"0{i}" for i in range(len(paths))]
    frame = pd.DataFrame({"guid": names, "target": "cat", "path": paths, "mined_from": "val", **columns})
    state.save_table("bad_cases", frame)


def written(state):
    return {path.name: path.read_bytes() for path in sorted((state.directory / "analysis" / "augmented").iterdir())}


def test_index_and_pictures(state, picture, read_csv):
    mined(state, [picture("a", 1), picture("b", 2)], text=["x", "y"])
    augment().run(state)
    rows = read_csv(state.directory, "augment_images")
    assert list(rows) == ["id", "source_id", "target", "image", "text", "transform", "mined_from"]
    assert rows["id"].tolist() == [f"{source}~{name}" for source in ("00", "01") for name in ALL]
    assert rows["text"].tolist() == ["x"] * 6 + ["y"] * 6
    assert set(rows["mined_from"]) == {"val"}
    assert all(Path(path).is_absolute() and Image.open(path).size == (40, 24) for path in rows["image"])
    assert len(written(state)) == 12


def test_every_transform_changes_the_picture(picture):
    source = Image.open(picture()).convert("RGB")
    for name in ALL:
        changed = augment().apply(source, name, "s")
        assert np.abs(np.asarray(changed, float) - np.asarray(source, float)).mean() > 1, name


def test_bytes_depend_on_seed_id_and_transform_alone(state, picture):
    paths = [picture("a", 1), picture("b", 1)]
    mined(state, paths)
    augment().run(state)
    first = written(state)
    augment(list(reversed(ALL))).run(state)
    assert written(state) == first
    assert first["00~rotate.jpg"] != first["01~rotate.jpg"]
    augment(seed=1).run(state)
    again = written(state)
    assert again["00~rotate.jpg"] != first["00~rotate.jpg"]
    assert again["00~flip.jpg"] == first["00~flip.jpg"]


def test_flip_mirrors():
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[:, 0] = 200
    flipped = np.asarray(augment().apply(Image.fromarray(pixels), "flip", "s"))
    assert flipped[0, :, 0].tolist() == [0, 0, 200]


def test_brightness_scales_by_at_most_the_jitter():
    gray = Image.new("RGB", (4, 4), (100, 100, 100))
    values = {int(np.asarray(augment().apply(gray, "brightness", str(i)))[0, 0, 0]) for i in range(40)}
    assert all(70 <= value <= 85 or 115 <= value <= 130 for value in values)
    assert min(values) < 90 and max(values) > 110


def test_rotation_leaves_no_empty_corner():
    turned = np.asarray(rotate(Image.new("RGB", (30, 20), (90, 90, 90)), 45))
    assert turned.shape == (20, 30, 3) and (turned == 90).all()


def test_crop_keeps_the_window_it_is_told():
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:, 5:] = 255
    right = np.asarray(crop(Image.fromarray(pixels), 0.5, 1.0, 0.0))
    left = np.asarray(crop(Image.fromarray(pixels), 0.5, 0.0, 0.0))
    assert (right[:, 4:] == 255).all() and (left[:, :6] == 0).all()


def test_an_unreadable_picture_is_left_out_and_told(state, picture, tmp_path, read_csv, caplog):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no")
    mined(state, [str(tmp_path / "broken.jpg"), picture()])
    with caplog.at_level(logging.WARNING):
        augment(["flip"]).run(state)
    assert "case 00 is left out" in caplog.text
    assert read_csv(state.directory, "augment_images")["source_id"].tolist() == ["01"]


def test_file_names_of_odd_ids_are_safe_and_different():
    assert file_stem("12") == "12"
    names = {file_stem(name) for name in ("a/b", "a:b", "a_b", "../../x", "y" * 300)}
    assert len(names) == 5 and all("/" not in name and len(name) < 120 for name in names)


def test_without_bad_cases_the_message_names_the_command(state):
    with pytest.raises(ValueError, match=r"bad_cases\.csv.*analysis=\[bad_cases,augment_images\]"):
        augment().run(state)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("transforms", ["melt"]),
        ("transforms", []),
        ("degrees", 0),
        ("degrees", 90),
        ("jitter", 1),
        ("cut", 0),
        ("radius", 0),
    ],
)
def test_nonsense_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        augment(**{key: value})
