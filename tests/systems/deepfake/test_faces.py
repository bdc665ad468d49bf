from importlib.util import find_spec
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from hallmark.checks import SettingError
from hallmark.data.problems import BadDataError
from hallmark.storage.hashing import digest_file
from hallmark.systems.deepfake import mtcnn
from hallmark.systems.deepfake.faces import FaceCrops, crop_box


def _picture(path: Path, *boxes: tuple[int, int, int, int]) -> Path:
    pixels = np.full((48, 64, 3), 20, np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 220
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("face", "box"),
    [
        ((20, 16, 36, 32), (16, 12, 40, 36)),  # a side of 1.5 · 16 about (28, 24)
        ((0, 0, 16, 16), (0, 0, 24, 24)),  # moved into the picture
        ((48, 20, 64, 40), (34, 15, 64, 45)),
        ((4, 4, 60, 44), (8, 0, 56, 48)),  # no larger than the picture
    ],
)
def test_a_crop_is_a_square_about_the_face_within_the_picture(face, box):
    assert crop_box(np.array([*face, 1.0]), (64, 48), 0.5) == box


def test_none_one_and_several_faces_are_states_of_their_own(crops, tmp_path):
    paths = [
        _picture(tmp_path / "none.png"), _picture(tmp_path / "one.png", (20, 16, 36, 32)),
        _picture(tmp_path / "two.png", (0, 16, 8, 24), (20, 16, 36, 32)),
    ]  # fmt: skip
    cropped = crops.crop(paths, [digest_file(path) for path in paths], tmp_path / "cache")
    assert [crop.faces for crop in cropped] == [0, 1, 2]
    assert [crop.box for crop in cropped] == [None, (16, 12, 40, 36), (16, 12, 40, 36)]
    assert Image.open(cropped[1].path).size == (24, 24)
    crops.detector = None  # nothing is looked for twice
    assert crops.crop(paths, [digest_file(path) for path in paths], tmp_path / "cache") == cropped


@pytest.mark.parametrize("policy", ["skip", "keep", "fatal"])
def test_frames_without_a_face_are_named_and_treated_as_the_policy_says(deepfake, crops, tmp_path, policy):
    folder = tmp_path / "frames"
    for number in range(6):
        for label in ("real", "fake"):
            _picture(folder / label / f"{number}.png", (20 + number, 16, 36, 32 + (label == "fake")))
    _picture(folder / "real" / "empty.png")
    _picture(folder / "fake" / "pair.png", (0, 16, 8, 24), (20, 16, 36, 31))
    data = deepfake(folder=str(folder), faces=crops, on_problem={"no_face": policy})
    if policy == "fatal":
        with pytest.raises(BadDataError):
            data.prepare()
        return
    data.prepare()
    assert {(p.kind, p.id) for p in data.problems.found} == {
        ("no_face", "real/empty.png"), ("several_faces", "fake/pair.png")
    }  # fmt: skip
    rows = data.samples.set_index("video")
    assert ("real/empty" in rows.index) == (policy == "keep")
    assert rows.loc["fake/pair", "info_faces"] == "2" and rows.loc["real/0", "info_faces"] == "1"
    assert Image.open(rows.loc["real/0", "info_path"]).size == (24, 24)
    if policy == "keep":
        assert rows.loc["real/empty", "info_faces"] == "0"
        assert Image.open(rows.loc["real/empty", "info_path"]).size == (64, 48)
    # What a model sees differs from the file, by which the gate knows the row.
    assert (rows["content"] != rows["source"]).sum() == len(rows) - (policy == "keep")


@pytest.mark.parametrize("policy", ["skip", "fatal"])
def test_a_new_picture_without_a_face_has_no_answer(deepfake, crops, tmp_path, policy):
    none, face = _picture(tmp_path / "none.png"), _picture(tmp_path / "face.png", (20, 16, 36, 32))
    data = deepfake(folder=str(tmp_path), faces=crops, on_problem={"no_face": policy})
    for inputs, videos in (([none, face], [str(face)]), ([none], [])):
        data.problems.found.clear()
        data.prepare_new(inputs)
        assert data.samples["video"].tolist() == videos
        assert data.unanswered().to_numpy().tolist() == [[str(none), "no face"]]


def test_missing_weights_are_a_setting(tmp_path):
    arguments = {"margin": 0.3, "smallest": 40, "thresholds": [0.7, 0.8, 0.8]}
    with pytest.raises(SettingError) as error:
        FaceCrops(weights=str(tmp_path), **arguments)
    assert error.value.key == "weights"
    nowhere = ["package:no_such_package/data", "no/such/folder", str(tmp_path / "nowhere")]
    if find_spec("facenet_pytorch") is None:
        nowhere.append(None)
    for weights in (str(tmp_path), *nowhere):
        (requirement,) = FaceCrops.requirements({"weights": weights})
        assert requirement.problem and "facenet-pytorch" in requirement.advice


def test_a_file_of_another_network_is_refused(tmp_path):
    for name in mtcnn.FILES:
        torch.save({"conv1.weight": torch.zeros(2, 2)}, tmp_path / name)
    with pytest.raises(ValueError, match="do not fit"):
        mtcnn.Mtcnn(tmp_path, smallest=20, thresholds=(0.7, 0.8, 0.8))


@pytest.fixture(scope="session")
def detector() -> mtcnn.Mtcnn:
    """The real one; the test skips where its weights are not there."""
    spec = find_spec("facenet_pytorch")
    if spec is None:
        pytest.skip("no weights of MTCNN: pip install --no-deps facenet-pytorch")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return mtcnn.Mtcnn(folder, smallest=40, thresholds=(0.7, 0.8, 0.8))


@pytest.fixture(scope="session")
def portrait() -> Image.Image:
    """Grace Hopper, 256 by 300 pixels."""
    picture = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    return picture.convert("RGB").resize((256, 300))


def test_a_real_face_is_found_where_it_is(detector, portrait):
    (box,) = detector(portrait)
    # The eyes are at about (112, 100) and (148, 100), the chin at about 160.
    np.testing.assert_allclose(box[:4], [87, 60, 178, 170], atol=12)
    assert box[4] > 0.99


def test_two_faces_are_two(detector, portrait):
    picture = Image.new("RGB", (512, 300))
    picture.paste(portrait, (0, 0))
    picture.paste(portrait, (256, 0))
    boxes = detector(picture)
    assert len(boxes) == 2
    assert abs(abs(boxes[0, 0] - boxes[1, 0]) - 256) < 8


def test_no_face_is_found_where_there_is_none(detector):
    assert len(detector(Image.effect_mandelbrot((200, 200), (-2, -1.5, 1, 1.5), 50).convert("RGB"))) == 0
    assert len(detector(Image.new("RGB", (16, 16), "gray"))) == 0
