import shutil
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from tests.systems.characters.conftest import NAMES

from hallmark.checks import SettingError
from hallmark.data.images import read_image
from hallmark.data.problems import BadDataError
from hallmark.engine.terminal import print_start
from hallmark.learning.encoders.base import ImageEncoder


def prepared(module):
    module.prepare()
    return module


def listed(module) -> dict[str, list[str]]:
    """Ids by kind of problem."""
    table = module.problems.table()
    return table.groupby("kind")["id"].agg(list).to_dict()


@pytest.fixture
def copied(world, tmp_path) -> Path:
    """The pictures of the sample world as a user's folder."""
    return Path(shutil.copytree(world / "characters", tmp_path / "mine"))


def test_rows_are_pictures_under_the_names_of_their_folders(characters, copied):
    data = prepared(characters(folder=str(copied), classes=NAMES))
    rows = data.samples
    assert (rows["target"] + "/" == rows["id"].str[:-7]).all() and rows["id"].is_unique
    # Of 48 one is a copy in its folder, and two show one picture in two folders.
    assert len(rows) == 45 and data.metadata()["rows"] == 45
    assert data.metadata()["class_to_idx"] == {name: number for number, name in enumerate(NAMES)}
    assert data.generated is None and set(rows["slice_size"]) == {"under 64 px"}
    assert set(data.find_leaks().verdicts.values()) == {"clean"}


def test_the_sample_world_is_read_without_those_whom_no_model_has_seen(characters, world):
    data = prepared(characters(folder=str(world), classes=NAMES))
    assert data.generated and set(data.samples["target"]) == set(NAMES)


def test_what_stands_twice_is_listed_by_name_and_left_out_or_kept(characters, copied):
    data = prepared(characters(folder=str(copied), classes=NAMES))
    assert listed(data) == {
        "repeated_image": ["Aoi/011.jpg"],
        "two_folders": ["Aoi/001.jpg", "はるか/011.jpg"],
    }
    both = prepared(
        characters(
            folder=str(copied), classes=NAMES, on_problem={"two_folders": "keep", "repeated_image": "keep"},
            leakage="report",
        )
    )  # fmt: skip
    assert len(both.samples) == 48
    group = dict(zip(both.samples["id"], both.samples["group"], strict=True))
    assert group["Aoi/000.jpg"] == group["Aoi/011.jpg"] and group["Aoi/001.jpg"] == group["はるか/011.jpg"]
    # The copy in another quality is no problem, and in the group of its original.
    assert group["Ren/000.jpg"] == group["Ren/011.jpg"] != group["Ren/001.jpg"]


def test_broken_tiny_and_foreign_files_are_listed_by_name(characters, copied):
    folder = copied / "小夜"
    (folder / "empty.png").touch()
    content = (folder / "000.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    (folder / "notes.txt").write_text("no picture")
    (folder / ".DS_Store").touch()
    (folder / ".thumbs").mkdir()
    (folder / ".thumbs" / "000.jpg").write_bytes(content)
    (copied / "loose.jpg").write_bytes(content)
    (copied / "a ${b}").mkdir()
    Image.effect_noise((20, 200), 90).save(folder / "tiny.webp")
    outside = copied.parent / "secret.jpg"
    outside.write_bytes(content)
    (folder / "link.jpg").symlink_to(outside)
    (folder / "below").mkdir()
    Image.effect_noise((64, 64), 90).save(folder / "below" / "deep.png")
    data = prepared(characters(folder=str(copied), classes=NAMES))
    problems = listed(data)
    assert problems["unreadable_image"] == ["小夜/cut.jpg", "小夜/empty.png"]
    assert problems["other_file"] == ["loose.jpg", "小夜/notes.txt"]
    assert problems["small_image"] == ["小夜/tiny.webp"]
    assert problems["unsafe_path"] == ["a ${b}", "小夜/link.jpg"]
    ids = set(data.samples["id"])
    assert {"小夜/tiny.webp", "小夜/below/deep.png"} <= ids
    assert not ids & {"小夜/link.jpg", "小夜/cut.jpg", "小夜/.thumbs/000.jpg"}
    strict = characters(folder=str(copied), classes=NAMES, on_problem={"small_image": "fatal"})
    with pytest.raises(BadDataError, match=r"tiny\.webp.*\n.*small_image=skip"):
        strict.prepare()


def test_links_out_of_the_folder_are_listed_once_and_not_followed(characters, copied):
    outside = Path(shutil.copytree(copied / "小夜", copied.parent / "outside"))
    (copied / "linked").symlink_to(outside)
    (copied / "小夜" / "more").symlink_to(outside)
    data = prepared(characters(folder=str(copied), classes=NAMES))
    assert listed(data)["unsafe_path"] == ["linked", "小夜/more"] and len(data.samples) == 45
    with pytest.raises(SettingError) as refused:
        prepared(characters(folder=str(copied), classes=[*NAMES, "linked"]))
    assert refused.value.key == "classes"


def test_an_empty_folder_stops_and_is_named(characters, copied):
    (copied / "Empty").mkdir()
    (copied / "Empty" / "notes.txt").touch()
    with pytest.raises(BadDataError, match="Empty: no picture"):
        characters(folder=str(copied), classes=[*NAMES, "Empty"]).prepare()


def test_names_are_those_of_folders_however_a_file_system_composes_them(characters, copied):
    composed = unicodedata.normalize("NFC", "ばら")
    (copied / "Ren").rename(copied / unicodedata.normalize("NFD", composed))
    names = ["Aoi", composed, "小夜", "はるか"]
    assert set(prepared(characters(folder=str(copied), classes=names)).samples["target"]) == set(names)
    with pytest.raises(SettingError) as refused:
        characters(folder=str(copied), classes=["Aoi", "Nobody"]).prepare()
    assert refused.value.key.endswith("classes") and refused.value.value == "Nobody"


def test_a_folder_that_is_not_there_is_named_before_its_classes_are(characters, tmp_path):
    with pytest.raises(SettingError) as refused:
        characters(folder=str(tmp_path / "nowhere"), classes=[])
    assert refused.value.key == "folder"


def test_a_folder_without_folders_and_one_of_splits_are_said_to_be_so(characters, copied, tmp_path):
    splits = tmp_path / "splits"
    for split in ("train", "val"):
        shutil.copytree(copied, splits / split)
    for folder, classes in ((copied / "Aoi", []), (copied / "Aoi", NAMES), (splits, ["train", "val"])):
        with pytest.raises(SettingError) as refused:
            characters(folder=str(folder), classes=classes).prepare()
        assert refused.value.key.endswith("folder")
    alone = tmp_path / "alone"
    shutil.copytree(copied / "Aoi", alone / "Aoi")
    with pytest.raises(SettingError) as refused:
        characters(folder=str(alone), classes=["Aoi"])
    assert refused.value.key == "folder" and refused.value.value == str(alone)
    with pytest.raises(SettingError) as refused:
        characters(folder=str(copied), classes=["Aoi"])
    assert refused.value.key == "classes" and refused.value.value == ["Aoi"]


def test_a_character_of_whom_nothing_is_measured_is_warned_of(characters, copied, capsys):
    for picture in range(2, 12):
        (copied / "Ren" / f"{picture:03d}.jpg").unlink()
    data = prepared(characters(folder=str(copied), classes=NAMES))
    assert set(data.samples.loc[data.samples["target"] == "Ren", "split"]) == {"train", "val"}
    (sentence,) = data.warnings()
    assert "test" in sentence and "Ren" in sentence and "Aoi" not in sentence
    job = SimpleNamespace(config=SimpleNamespace(name="n", profile="full"), directory=copied, parents={})
    print_start(job, data, resumed=False)
    assert f"warning: {sentence}" in capsys.readouterr().out.splitlines()


def test_a_batch_holds_the_pixels_that_the_encoder_wants_to_see(characters, copied):
    data = prepared(characters(folder=str(copied), classes=NAMES))
    encoder = ImageEncoder(image_size=24, mean=(0.5,) * 3, std=(0.5,) * 3)
    data.configure_inputs({"image": encoder}, None)
    batch = next(iter(data.eval_dataloader("val")))
    rows = data.rows("val")
    assert batch["image"].shape[1:] == (3, 24, 24)
    assert batch["target"].tolist() == [NAMES.index(name) for name in rows["target"]][: len(batch["target"])]
    expected = encoder.transform(read_image(copied / rows["id"][2]))
    torch.testing.assert_close(batch["image"][2], torch.from_numpy(expected.copy()))


@pytest.mark.parametrize("name", ["jpeg", "blur", "scale", "noise"])
def test_perturbations_change_a_picture_more_with_their_strength(characters, copied, name):
    data = prepared(characters(folder=str(copied), classes=NAMES))
    data.configure_inputs({"image": ImageEncoder(image_size=32, mean=(0.5,) * 3, std=(0.5,) * 3)}, None)
    clean = next(iter(data.eval_dataloader("val")))["image"].float()
    perturbation = data.perturbations()[name]
    views = [next(iter(data.eval_dataloader("val", perturbation.at(level))))["image"] for level in (1, 5)]
    mild, strong = (float((view - clean).square().mean()) for view in views)
    assert 0 < mild < strong


def test_new_pictures_are_read_from_files_and_folders_and_each_is_asked_about_once(characters, copied):
    data = characters(folder=str(copied), classes=NAMES)
    (copied / "notes.txt").touch()
    (copied / "empty").mkdir()
    for name in ("Aoi/.thumbs", "Aoi/.hidden.jpg", "Aoi/.thumbs/a.jpg", "Aoi/a.heic"):
        (copied / name).touch() if Path(name).suffix in (".jpg", ".heic") else (copied / name).mkdir()
    first, second = copied / "Aoi" / "000.jpg", copied / "Aoi" / "011.jpg"  # equal bytes
    names = ["notes.txt", "empty", "nowhere.png"]
    data.prepare_new([first, copied / "Aoi", *(copied / name for name in names)])
    assert len(data.samples) == 12 and data.samples["target"].isna().all()
    assert {str(first), str(second)} <= set(data.samples["id"])
    problems = dict(data.unanswered().to_numpy().tolist())
    assert {Path(name).name: problem for name, problem in problems.items()} == {
        "notes.txt": "other file", "a.heic": "other file", "empty": "empty folder", "nowhere.png": "missing file"
    }  # fmt: skip


def test_where_no_new_picture_can_be_read_there_are_no_rows(characters, copied):
    data = characters(folder=str(copied), classes=NAMES)
    data.prepare_new([copied / "nowhere.png"])
    assert data.samples.empty and len(data.unanswered()) == 1
