import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from hallmark.data.images import read_image
from hallmark.systems.deepfake.data import DeepfakeDataModule
from hallmark.systems.deepfake.networks import FilterNet, TextureNet


def test_rows_of_the_sample_world_are_frames_in_the_split_that_lists_them(deepfake, world):
    data = deepfake(folder=str(world))
    data.prepare()
    rows = data.samples
    assert rows["id"].is_unique and (rows["id"] == rows["video"] + "/" + rows["id"].str[-2:]).all()
    assert rows["split"].value_counts().to_dict() == {
        "train": 48, "val": 24, "calibration": 24, "meta": 12, "test": 16
    }  # fmt: skip
    assert (rows["target"] == "real").equals(rows["slice_method"] == "real")
    assert set(rows.loc[rows["slice_method"] == "other", "split"]) == {"test"}
    assert rows.groupby("group")["video"].nunique().eq(2).all()
    assert rows.groupby("group")["target"].nunique().eq(2).all()
    assert data.problems.table().empty
    assert data.generated is not None
    assert data.metadata()["class_to_idx"] == {"real": 0, "fake": 1} and data.metadata()["score"] == "P(fake)"
    assert data.slice_categories()["slice_method"] == ["real", "easy", "mid", "hard", "other"]


def test_the_gate_passes_the_sample_world(deepfake, world):
    data = deepfake(folder=str(world))
    data.prepare()
    assert set(data.find_leaks().verdicts.values()) == {"clean"}


def test_a_batch_holds_what_each_encoder_wants_to_see(deepfake, world):
    data = deepfake(folder=str(world))
    data.prepare()
    texture = TextureNet(image_size=48, width=4)
    data.configure_inputs({"filter.image": FilterNet(image_size=32, width=3), "image": texture}, None)
    batch = next(iter(data.eval_dataloader("val")))
    rows = data.rows("val")
    assert batch["filter.image"].shape == (16, 3, 32, 32) and batch["image"].shape == (16, 3, 48, 48)
    assert batch["target"].tolist() == [["real", "fake"].index(name) for name in rows["target"][:16]]
    expected = texture.transform(read_image(world / "frames" / rows["video"][3] / f"{rows['id'][3][-2:]}.jpg"))
    torch.testing.assert_close(batch["image"][3], torch.from_numpy(expected.copy()))


def test_a_warning_names_what_tells_the_classes_apart_beside_the_pixels(deepfake, world, tmp_path):
    data = deepfake(folder=str(world))
    data.prepare()
    assert data.warnings() == []
    copied = shutil.copytree(world, tmp_path / "copied")
    for manifest in copied.glob("*_manifest.csv"):
        table = pd.read_csv(manifest, keep_default_na=False)
        for row in table.index[table["label"] == "fake"]:
            path = copied / table.loc[row, "path"]
            Image.open(path).save(path.with_suffix(".png"))
            table.loc[row, "path"] = f"{table.loc[row, 'path'].removesuffix('.jpg')}.png"
        table.to_csv(manifest, index=False)
    data = deepfake(folder=str(copied))
    data.prepare()
    warnings = data.warnings()
    assert warnings[0].startswith("the format of the files alone tells real from fake: AUC 1.00")
    assert not any("size" in warning.split("alone")[0] for warning in warnings)


def test_perturbations_are_of_the_pixels_that_a_model_reads(deepfake, world):
    data = deepfake(folder=str(world))
    data.prepare()
    data.configure_inputs({"image": TextureNet(image_size=48, width=4)}, None)
    assert list(data.perturbations()) == ["jpeg", "blur", "scale", "noise"]
    clean = next(iter(data.eval_dataloader("val")))["image"].float()
    errors = []
    for strength in (1, 3, 5):
        batch = next(iter(data.eval_dataloader("val", data.perturbations()["jpeg"].at(strength))))
        errors.append(float((batch["image"] - clean).square().mean()))
    assert 0 < errors[0] < errors[1] < errors[2]


def test_a_folder_and_a_decoder_for_its_videos_are_what_is_needed(monkeypatch, tmp_path):
    arguments = {"folder": str(tmp_path), "sample": None}
    (missing,) = DeepfakeDataModule.requirements({"folder": str(tmp_path / "nowhere"), "sample": None})
    assert missing.problem
    (tmp_path / "clip.MP4").touch()
    monkeypatch.setattr("hallmark.systems.deepfake.data.has_decoder", lambda: False)
    folder, decoder = DeepfakeDataModule.requirements(arguments)
    assert not folder.problem and "PyAV" in decoder.problem and "video" in decoder.advice
    monkeypatch.setattr("hallmark.systems.deepfake.data.has_decoder", lambda: True)
    assert not any(requirement.problem for requirement in DeepfakeDataModule.requirements(arguments))


@pytest.fixture
def clip(world, tmp_path, monkeypatch) -> Path:
    """The working folder: a video of two frames and two files that are no pictures, and some of such files alone."""
    frames = sorted((world / "frames").glob("val_*"))[0]
    shutil.copytree(frames, tmp_path / "clip")
    for name in ("clip/a.png", "clip/b.png", "none/a.png", "none/b.png", "alone.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"" if name == "clip/a.png" else b"a text")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_video_of_which_some_frames_can_be_read_has_a_note_and_others_are_listed_once(deepfake, world, clip):
    data = deepfake(folder=str(world))
    data.prepare_new([Path("clip"), Path("none"), Path("alone.png"), Path("nowhere")])
    assert data.samples["video"].tolist() == ["clip", "clip"] and data.samples["target"].isna().all()
    assert set(data.samples["info_note"]) == {"2 of 4 frames left out: unreadable image"}
    assert dict(data.unanswered().to_numpy().tolist()) == {
        "none": "unreadable image", "alone.png": "unreadable image", "nowhere": "missing file"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["none", "alone.png", "nowhere.png", "empty", "list.csv", "clip.mp4"])
def test_where_nothing_can_be_read_there_are_no_rows_and_no_error(deepfake, world, clip, name):
    (clip / "empty").mkdir()
    (clip / "list.csv").write_text("path\n../alone.png\n")
    (clip / "clip.mp4").write_bytes(b"no video")
    data = deepfake(folder=str(world))
    data.prepare_new([Path(name)])
    assert data.samples.empty and len(data.unanswered()) == 1


def test_a_run_of_an_earlier_version_names_no_policy_for_lists(deepfake, world, clip):
    data = deepfake(folder=str(world), on_problem={"unreadable_list": None})
    data.prepare_new([clip / "clip" / "a.png"])
    assert data.samples.empty
