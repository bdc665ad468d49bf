import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.systems.characters.test_module import write_checkpoint

from hallmark.checks import SettingError, UserError
from hallmark.systems.characters import OnlineLearningSystem
from hallmark.systems.characters.module import CLASSIFIER
from hallmark.systems.characters.sample.world import generate

NAMES = ["Aoi", "Ren", "Mika", "小夜"]


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    """Pictures of four characters and of one more, at a size at which random features tell them apart."""
    arguments = {"characters": NAMES, "unknown": ["Emi"], "pictures": 10, "image_size": 32, "seed": 7}
    folder = generate(tmp_path_factory.mktemp("faces") / "world", **arguments)
    return Path(shutil.copytree(folder / "characters", folder.parent / "all")).parent


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A checkpoint of a classifier with random weights."""
    return write_checkpoint(tmp_path_factory.mktemp("model") / "best.ckpt", seed=0)


def pictures(faces: Path, name: str, numbers: range) -> list[Path]:
    folder = faces / "all" / name if name != "Emi" else faces / "world" / "unknown" / name
    return [folder / f"{number:03d}.jpg" for number in numbers]


@pytest.fixture
def system(model, faces, tmp_path) -> OnlineLearningSystem:
    """Four roles of five pictures each."""
    system = OnlineLearningSystem(model, tmp_path / "roles.db")
    for name in NAMES:
        system.add_new_role(name, pictures(faces, name, range(2, 7)))
    return system


def answers(system, faces) -> list[tuple]:
    return [system.recognize(path) for name in NAMES for path in pictures(faces, name, range(7, 9))]


def test_roles_are_answered_with_their_runner_up_and_the_nearest_pictures(system, faces):
    assert system.roles() == dict.fromkeys(sorted(NAMES), 5)
    (picture,) = pictures(faces, "Ren", range(3, 4))
    answer = system.recognize(picture)
    assert answer.best[0] == "Ren" and answer.runner_up[0] in NAMES and answer.best[1] > answer.runner_up[1]
    role, content, cosine = answer.nearest[0]
    assert role == "Ren" and cosine == pytest.approx(1, abs=1e-5) and content in system.database.read().contents
    opened = system.recognize(Image.open(picture))
    assert opened.best == answer.best


def test_a_new_role_is_answered_from_its_next_picture_on(system, faces):
    before = system.recognize(pictures(faces, "Emi", range(1))[0])
    assert before.best[0] in NAMES
    added = system.add_new_role("Emi", pictures(faces, "Emi", range(2)))
    assert added.version.note == "added Emi" and system.roles()["Emi"] == 2
    assert system.recognize(pictures(faces, "Emi", range(1))[0]).best[0] == "Emi"


def test_someone_unlike_all_roles_is_unknown_and_the_threshold_keeps_to_its_rate(model, faces, tmp_path):
    lenient = OnlineLearningSystem(model, tmp_path / "lenient.db", false_accept_rate=0.9)
    strict = OnlineLearningSystem(model, tmp_path / "strict.db", false_accept_rate=0.0)
    for system in (lenient, strict):
        for name in NAMES[:2]:
            system.add_new_role(name, pictures(faces, name, range(2, 7)))
        assert system.recognize(pictures(faces, "Emi", range(1))[0]).threshold is None
        for name in NAMES[2:]:
            system.add_new_role(name, pictures(faces, name, range(2, 7)))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    answer = strict.recognize(noise)
    assert answer.name is None and answer.score < answer.threshold and answer.best[0] in NAMES
    assert lenient.recognize(noise).threshold < answer.threshold
    known = strict.recognize(pictures(faces, "Aoi", range(3, 4))[0])
    assert known.name == ("Aoi" if known.score >= known.threshold else None)


def test_adding_save_and_load_and_adding_is_adding_without_the_break(system, model, faces, tmp_path):
    second = OnlineLearningSystem(model, tmp_path / "second.db")
    for name in NAMES[:2]:
        second.add_new_role(name, pictures(faces, name, range(2, 7)))
    saved = second.save_model(tmp_path / "saved.pth")
    again = OnlineLearningSystem(saved, tmp_path / "second.db")
    for name in NAMES[2:]:
        again.add_new_role(name, pictures(faces, name, range(2, 7)))
    assert answers(again, faces) == answers(system, faces)
    assert again.database.head.digest == system.database.head.digest


def test_update_remove_rename_and_going_back(system, faces):
    start = system.versions()[-1]
    system.update("Aoi", pictures(faces, "Aoi", range(7, 9)))
    system.remove_role("Ren")
    version = system.rename_role("小夜", "Sayo")
    assert system.roles() == {"Aoi": 7, "Mika": 5, "Sayo": 5}
    assert system.recognize(pictures(faces, "小夜", range(3, 4))[0]).best[0] == "Sayo"
    assert system.versions()[-1] == version
    assert system.revert(start.number).digest == start.digest
    assert system.roles() == dict.fromkeys(sorted(NAMES), 5)


def test_whatever_cannot_be_added_changes_nothing_and_is_named(system, faces, tmp_path):
    broken, empty, text = tmp_path / "cut.jpg", tmp_path / "empty.png", tmp_path / "text.png"
    good = pictures(faces, "Emi", range(4))
    broken.write_bytes(good[0].read_bytes()[:200])
    empty.touch()
    text.write_text("no picture")
    head = system.database.head
    for images, named in [
        ([*good, broken, empty, tmp_path / "missing.jpg", text], ["cut.jpg", "empty.png", "missing.jpg", "text.png"]),
        ([good[0], good[0]], ["000.jpg", "twice"]),
        ([good[0], *pictures(faces, "Ren", range(3, 4))], ["003.jpg", "as Ren"]),
    ]:
        with pytest.raises(UserError) as refused:
            system.add_new_role("Emi", images)
        assert all(words in str(refused.value) for words in named)
    for action in (
        lambda: system.add_new_role("Ren", good), lambda: system.update("Emi", good), lambda: system.remove_role("Emi"),
        lambda: system.rename_role("Emi", "x"), lambda: system.rename_role("Ren", "Aoi"),
        lambda: system.add_new_role("Emi", []), lambda: system.add_new_role("Emi", str(good[0])),
        lambda: system.add_new_role(" ", good), lambda: system.add_new_role("a\nb", good),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            action()
    assert system.database.head == head and "Emi" not in system.roles()


def test_a_picture_that_looks_like_another_role_is_said(model, faces, tmp_path):
    system = OnlineLearningSystem(model, tmp_path / "roles.db", false_accept_rate=0.9)
    for name in NAMES:
        system.add_new_role(name, pictures(faces, name, range(2, 7)))
    nearly = Image.open(pictures(faces, "Ren", range(3, 4))[0])  # of other bytes than the file
    nearly.putpixel((0, 0), (0, 0, 0))
    (warning,) = system.add_new_role("Emi", [nearly]).warnings
    assert "looks like Ren" in warning


def test_a_database_of_another_encoder_or_other_settings_is_refused(system, tmp_path):
    other = write_checkpoint(tmp_path / "other.ckpt", seed=1)
    with pytest.raises(UserError, match="encoder"):
        OnlineLearningSystem(other, system.database.path)
    same = system.save_model(tmp_path / "same.pth")
    with pytest.raises(UserError, match="shrinkage"):
        OnlineLearningSystem(same, system.database.path, shrinkage=0.4)


@pytest.mark.parametrize("content", [{"state_dict": {}}, {CLASSIFIER: {"encoder": {"class": "Other"}}}, [1, 2]])
def test_what_is_no_classifier_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(UserError):
        OnlineLearningSystem(tmp_path / "model.pth", tmp_path / "roles.db")
    assert not (tmp_path / "roles.db").exists()


def test_a_model_that_is_not_there_and_values_out_of_range_are_refused_by_name(model, tmp_path):
    for arguments, key in (
        ({"model_path": tmp_path / "nowhere"}, "model_path"), ({"shrinkage": 0.0}, "shrinkage"),
        ({"false_accept_rate": 1.0}, "false_accept_rate"),
    ):  # fmt: skip
        with pytest.raises(SettingError) as refused:
            OnlineLearningSystem(**{"model_path": model, "feature_db_path": tmp_path / "roles.db", **arguments})
        assert refused.value.key == key


def _add(model: Path, database: Path, name: str, images: list[Path]) -> None:
    OnlineLearningSystem(model, database).add_new_role(name, images)


def test_two_processes_that_add_at_once_both_have_added(system, model, faces):
    context = multiprocessing.get_context("fork")
    jobs = [("Emi", pictures(faces, "Emi", range(3))), ("Toma", pictures(faces, "Emi", range(3, 6)))]
    processes = [
        context.Process(target=_add, args=(model, system.database.path, name, images)) for name, images in jobs
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert system.roles() == {**dict.fromkeys(NAMES, 5), "Emi": 3, "Toma": 3}
