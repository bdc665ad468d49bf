import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.systems.characters.faces import NAMES, pictures
from tests.systems.characters.test_module import write_checkpoint

from hallmark.checks import SettingError, UserError
from hallmark.systems.characters import OnlineLearner, OnlineLearningSystem


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
    for first, second in zip(answers(again, faces), answers(system, faces), strict=True):
        assert first.name == second.name and first.best[0] == second.best[0] and first.nearest == second.nearest
        assert (first.score, first.threshold, first.best[1]) == pytest.approx(
            (second.score, second.threshold, second.best[1]), rel=1e-6
        )
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
    for settings, named in (
        ({"shrinkage": 0.4}, "shrinkage"), ({"method": "ncm"}, "method"), ({"method": "lda"}, "method"),
        ({"update_covariance": False}, "update_covariance"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=named):
            OnlineLearningSystem(same, system.database.path, **settings)


def test_a_model_that_is_not_there_and_values_out_of_range_are_refused_by_name(model, tmp_path):
    for arguments, key in (
        ({"model_path": tmp_path / "nowhere"}, "model_path"), ({"shrinkage": 0.0}, "shrinkage"),
        ({"false_accept_rate": 1.0}, "false_accept_rate"), ({"method": "svm"}, "method"),
        ({"method": "ranpac", "features": 0}, "features"), ({"features": 100}, "features"),
        ({"method": "ncm", "shrinkage": 0.3}, "shrinkage"),
        ({"shrinkage": 1e-12}, "shrinkage"), ({"method": "ranpac", "features": 10**6}, "features"),
        ({"architecture": "test_efficientnet"}, "architecture"),
    ):  # fmt: skip
        with pytest.raises(SettingError) as refused:
            OnlineLearningSystem(**{"model_path": model, "feature_db_path": tmp_path / "roles.db", **arguments})
        assert refused.value.key == key


@pytest.mark.parametrize("settings", [{"method": "ncm"}, {"update_covariance": False},
                                      {"method": "lda", "update_covariance": False}])  # fmt: skip
def test_logits_of_other_roles_stay_bit_for_bit_through_a_change_and_another_process(model, faces, tmp_path, settings):
    system = OnlineLearningSystem(model, tmp_path / "roles.db", **settings)
    for name in NAMES[:3]:
        system.add_new_role(name, pictures(faces, name, range(2, 7)))
    picture = pictures(faces, "Mika", range(8, 9))[0]
    before = system.logits(picture)
    system.add_new_role("Emi", pictures(faces, "Emi", range(3)))
    system.update("Aoi", pictures(faces, "Aoi", range(7, 9)))
    after = system.logits(picture)
    assert sorted(after) == ["Aoi", "Emi", "Mika", "Ren"] and after["Aoi"] != before["Aoi"]
    loaded = OnlineLearningSystem(model, tmp_path / "roles.db", **settings)
    for name in ("Ren", "Mika"):
        assert after[name] == before[name] == loaded.logits(picture)[name]
    if "method" not in settings:
        system.refit_covariance()
        assert system.logits(picture)["Ren"] != before["Ren"]
        assert system.logits(picture) == pytest.approx(loaded.logits(picture), rel=1e-9)
    else:
        system.remove_role("Ren")
        assert system.logits(picture)["Mika"] == before["Mika"]


def test_the_threshold_is_that_of_another_process_where_the_covariance_stays(model, faces, tmp_path):
    def opened() -> OnlineLearningSystem:
        return OnlineLearningSystem(model, tmp_path / "roles.db", update_covariance=False)

    system, (picture,) = opened(), pictures(faces, NAMES[0], range(9, 10))
    for name in NAMES:
        system.add_new_role(name, pictures(faces, name, range(8)))
    for act in (lambda: None, lambda: system.update(NAMES[0], pictures(faces, NAMES[0], range(8, 9))),
                system.refit_covariance, lambda: system.rename_role(NAMES[0], "Emi")):  # fmt: skip
        act()
        here, there = system.recognize(picture), opened().recognize(picture)
        assert here.threshold == pytest.approx(there.threshold) and here.name == there.name
        assert here.best[1] == pytest.approx(there.best[1])


def test_covariance_that_follows_every_picture_is_not_taken_anew(system):
    with pytest.raises(UserError, match="always"):
        system.refit_covariance()


@pytest.mark.parametrize("method", ["cosine", "lda", "ncm", "ranpac"])
def test_every_method_learns_as_well_after_a_change_as_from_its_database(model, faces, tmp_path, method):
    settings = {"method": method} | ({"features": 64} if method == "ranpac" else {})
    system = OnlineLearner(model, tmp_path / "roles.db", **settings)
    for name in NAMES:
        system.add_new_role(name, pictures(faces, name, range(2, 6)))
    system.update("Ren", pictures(faces, "Ren", range(6, 7)))
    system.remove_role("Aoi")
    system.rename_role("小夜", "Sayo")
    system.add_new_role("Emi", pictures(faces, "Emi", range(2)))
    picture = pictures(faces, "Ren", range(7, 8))[0]
    loaded = OnlineLearner(model, tmp_path / "roles.db", **settings)
    assert system.logits(picture) == pytest.approx(loaded.logits(picture), rel=1e-6, abs=1e-9)
    assert system.recognize(pictures(faces, "Ren", range(3, 4))[0]).best[0] == "Ren"


def test_roles_that_are_one_are_merged(system):
    before = system.versions()[-1]
    version = system.merge_roles("Ren", "Mika")
    assert system.roles() == {"Aoi": 5, "Mika": 10, "小夜": 5} and (version.classes, version.samples) == (3, 20)
    assert system.revert(before.number).digest == before.digest
    for arguments in (("Ren", "Ren"), ("Ren", "nobody"), ("nobody", "Ren")):
        with pytest.raises(ValueError):
            system.merge_roles(*arguments)


def test_a_covariance_is_kept_only_of_roles_with_two_pictures(model, faces, tmp_path):
    system = OnlineLearningSystem(model, tmp_path / "roles.db", update_covariance=False)
    for name in ("Ren", "Aoi"):
        with pytest.raises(UserError):
            system.refit_covariance()
        system.add_new_role(name, pictures(faces, name, range(1)))
    with pytest.raises(UserError, match="no covariance"):
        OnlineLearningSystem(model, tmp_path / "ncm.db", method="ncm").refit_covariance()
    assert system.versions()[-1].number == 2
    system.update("Ren", pictures(faces, "Ren", range(1, 2)))
    assert system.refit_covariance().number == 4


def test_one_name_in_two_spellings_is_one_role(model, faces, tmp_path):
    system = OnlineLearningSystem(model, tmp_path / "roles.db", method="ncm")
    system.add_new_role(" Ame\u0301lie ", pictures(faces, "Emi", range(1)))
    assert list(system.roles()) == ["Am\u00e9lie"]
    with pytest.raises(UserError):
        system.add_new_role("Am\u00e9lie", pictures(faces, "Emi", range(1, 2)))
    system.update("Ame\u0301lie", pictures(faces, "Emi", range(1, 2)))
    with pytest.raises(ValueError):
        system.merge_roles("Am\u00e9lie", "Ame\u0301lie ")
    system.rename_role("Ame\u0301lie", "Emi ")
    system.remove_role(" Emi")
    for name in ("\u200b", "\u3164\u2800", "\ufe0f", "\u00a0", None, 7):
        with pytest.raises(SettingError) as refused:
            system.add_new_role(name, pictures(faces, "Emi", range(1)))
        assert refused.value.key == "name"


def test_pictures_that_are_none_are_refused_by_a_sentence_and_arrays_are_pictures(system, faces):
    opened = Image.open(pictures(faces, "Ren", range(3, 4))[0]).convert("RGB")
    pixels = np.array(opened)
    assert system.recognize(pixels) == system.recognize(opened)
    closed = Image.open(pictures(faces, "Ren", range(3, 4))[0])
    closed.close()
    for image in (Image.new("RGB", (0, 5)), pixels[:0], pixels / 255, pixels[..., 0], None, 7, closed):
        with pytest.raises(UserError):
            system.recognize(image)
        with pytest.raises(UserError):
            system.add_new_role("q", [image])
    for images in ([], None, "picture.jpg", opened, pixels, Path("picture.jpg")):
        with pytest.raises(SettingError) as refused:
            system.add_new_role("q", images)
        assert refused.value.key == "images"
    with pytest.raises(UserError, match="version"):
        system.revert(99999999999999999999)
    copied = shutil.copy(pictures(faces, "Emi", range(1))[0], system.database.path.parent / "copy.jpg")
    with pytest.raises(UserError, match=r"000\.jpg and .*the same picture"):
        system.add_new_role("q", [*pictures(faces, "Emi", range(1)), copied])
