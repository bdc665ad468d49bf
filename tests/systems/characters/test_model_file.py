import json
import shutil
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from tests.systems.characters.faces import pictures

from hallmark.checks import SettingError, UserError
from hallmark.systems.characters import OnlineLearningSystem
from hallmark.systems.characters.model_file import ClassifierFile
from hallmark.systems.characters.module import CLASSIFIER
from hallmark.systems.characters.pictures import embeddings


def plain_state(model: Path) -> dict[str, torch.Tensor]:
    """Of a complete timm model with a classifier of three, whose encoder is that of `model`."""
    complete = timm.create_model("test_efficientnet", num_classes=3)
    encoder = OnlineLearningSystem(model, model.with_suffix(".db")).encoder.model.state_dict()
    return {**complete.state_dict(), **encoder}


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_a_plain_state_dict_embeds_as_the_classifier_it_is_of(model, faces, tmp_path, prefix):
    state = {f"{prefix}{name}": tensor for name, tensor in plain_state(model).items()}
    file = tmp_path / "plain.pth"
    torch.save(state, file)
    picture = pictures(faces, "Ren", range(1))[0]
    loaded = ClassifierFile(file, architecture="test_efficientnet", classes=["a", "b", "c"])
    loaded.write(tmp_path / "saved.pth")
    saved = ClassifierFile(tmp_path / "saved.pth")
    assert loaded.classes == saved.classes == ["a", "b", "c"]
    assert (embeddings(loaded.encoder, [Image.open(picture)]) == embeddings(saved.encoder, [Image.open(picture)])).all()
    system = OnlineLearningSystem(file, tmp_path / "a.db", architecture="test_efficientnet")
    system.add_new_role("Ren", pictures(faces, "Ren", range(3)))
    assert OnlineLearningSystem(system.save_model(tmp_path / "b.pth"), tmp_path / "a.db").roles() == {"Ren": 3}


def test_the_classes_of_a_plain_state_dict_are_in_the_file_beside_it(model, tmp_path):
    file = tmp_path / "plain.pth"
    torch.save({"state_dict": plain_state(model)}, file)
    beside = tmp_path / "plain.pth.classes.json"
    for content in (["x", "y", "z"], {"z": 2, "x": 0, "y": 1}):
        beside.write_text(json.dumps(content))
        assert ClassifierFile(file, architecture="test_efficientnet").classes == ["x", "y", "z"]
    (tmp_path / "plain.pth.classes.txt").write_text("初音ミク\nRen\n", "utf-8")
    with pytest.raises(UserError, match="3 classes"):
        ClassifierFile(file, architecture="test_efficientnet")
    with pytest.raises(SettingError) as refused:
        ClassifierFile(file)
    assert refused.value.key == "architecture"
    with pytest.raises(UserError, match="architecture"):
        ClassifierFile(file, architecture="mobilenetv2_100")
    (tmp_path / "plain.pth.classes.txt").unlink()
    beside.write_text("7")
    with pytest.raises(UserError, match="list of classes"):
        ClassifierFile(file, architecture="test_efficientnet")


@pytest.fixture(scope="module")
def plain(model, tmp_path_factory) -> Path:
    """A plain state dict that answers three classes."""
    file = tmp_path_factory.mktemp("plain") / "plain.pth"
    torch.save(plain_state(model), file)
    return file


@pytest.mark.parametrize("text", ['{"0": "x", "2": "z", "1": "y"}', '{"z": 2, "x": 0, "y": 1}', '["x", "y", "z"]'])
def test_names_and_indices_may_stand_either_way_round(plain, text):
    plain.with_name("plain.pth.classes.json").write_text(text, "utf-8-sig")
    assert ClassifierFile(plain, architecture="test_efficientnet").classes == ["x", "y", "z"]


@pytest.mark.parametrize("text", [
    '"xyz"', "3", "null", '["x", "y", 3]', '["x", "y", null]', '["x", "y", "x"]', '["x", " ", "z"]', '["x", "y"]',
    '{"x": 1, "y": 2, "z": 3}', '{"x": 0, "y": 1, "z": 1}', '{"x": 0, "y": 1, "z": 2.5}', '{"1": "x", "2": "y"}',
    '{"x": 0, "y": true, "z": 2}', '{"0": "x", "0": "w", "1": "y", "2": "z"}', '["é", "e\u0301", "z"]', "[" * 10**5,
])  # fmt: skip
def test_what_is_no_list_of_classes_is_refused_by_the_name_of_its_file(plain, text):
    plain.with_name("plain.pth.classes.json").write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"plain\.pth\.classes\.json"):
        ClassifierFile(plain, architecture="test_efficientnet")


@pytest.mark.parametrize("classes", ["xyz", ["x", "y", 3], ["x", "x", "y"], ["x", "", "z"], 3])
def test_classes_that_are_no_names_are_refused_by_key(plain, classes):
    with pytest.raises(SettingError) as refused:
        ClassifierFile(plain, architecture="test_efficientnet", classes=classes)
    assert refused.value.key == "classes"


def test_weights_that_are_no_numbers_and_a_run_of_another_model_are_named(plain, tmp_path):
    state = torch.load(plain)
    next(iter(state.values()))[:] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(UserError, match=r"nan\.pth"):
        ClassifierFile(tmp_path / "nan.pth", architecture="test_efficientnet")
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    torch.save({"pytorch-lightning_version": "2", "state_dict": state}, checkpoint)
    (tmp_path / "run" / "record.json").touch()
    for path in (tmp_path / "run", checkpoint):
        with pytest.raises(SettingError) as refused:
            ClassifierFile(path)
        assert refused.value.key == "model_path"


def test_a_model_is_saved_over_nothing_but_a_saved_model(system, faces, model, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    for path in (system.database.path, tmp_path, notes, shutil.copy(model, tmp_path / "run.ckpt")):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(SettingError) as refused:
            system.save_model(path)
        assert refused.value.key == "path" and (before is None or path.read_bytes() == before)
    empty = OnlineLearningSystem(model, tmp_path / "to_be.db")
    with pytest.raises(SettingError):
        empty.save_model(tmp_path / "to_be.db")
    assert system.save_model(system.save_model(tmp_path / "saved.pth")).is_file()


@pytest.mark.parametrize("content", [{"state_dict": {}}, {CLASSIFIER: {"encoder": {"class": "Other"}}}, [1, 2]])
def test_what_is_no_classifier_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(UserError):
        OnlineLearningSystem(tmp_path / "model.pth", tmp_path / "roles.db")
    assert not (tmp_path / "roles.db").exists()
