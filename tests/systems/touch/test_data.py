"""The data module: splits, gate, batches, normalisation, frames, series."""

import numpy as np
import pytest
import torch

from hallmark.checks import SettingError
from hallmark.data.leakage import LeakageError
from hallmark.data.sampling import SampleIndex
from hallmark.data.splits import InnerFold, KFold
from hallmark.runs.access import LabelledRows
from hallmark.systems.touch.augment import SignalAugment
from systems.touch.conftest import POLICY


def all_rows(data, split: str, view=None) -> dict:
    """All of a split in one batch."""
    dataset = data.dataset(split, view)
    return dataset.__getitems__([SampleIndex(position, position) for position in range(len(dataset))])


def test_subjects_are_whole_and_windows_without_labels_are_for_prediction(module_of, tmp_path):
    data = module_of()
    rows = data.samples
    assert set(rows["split"]) == {"train", "val", "test", "predict"}
    labeled = rows[rows["split"] != "predict"]
    assert (labeled.groupby("subject")["split"].nunique() == 1).all()
    assert (rows["target"].isna() == (rows["split"] == "predict")).all()
    entry = data.check(tmp_path)
    assert entry["findings"] == 0
    assert set(entry["checks"].values()) == {"clean"}


@pytest.mark.parametrize("plan", [KFold(4, 1, 0.2, 0), InnerFold(KFold(4, 1, 0.2, 0), 2, 0, 0)])
def test_folds_keep_subjects_whole_and_hold_every_joint_label(module_of, folder, plan):
    data = module_of(folder.fill(12), split=plan)
    per_subject = data.samples.groupby("subject")["split"].nunique()
    assert (per_subject == 1).all()
    assert (data.samples.groupby("split")["target"].nunique() == 4).all()


def test_batches_hold_what_the_rows_hold(module_of, folder):
    data = module_of(folder.fill(), normalise="none")
    batch, rows = all_rows(data, "val"), data.rows("val")
    assert batch["signals"].shape == batch["observed"].shape == (len(rows), 2, 8)
    assert batch["signals"].dtype == batch["observed"].dtype == torch.float32
    for task, names in data.classes.items():
        assert [names[number] for number in batch["target"][task]] == rows[f"target_{task}"].tolist()
    with np.load(rows["info_recording"].map(lambda name: folder.path / f"{name}.npz")[3]) as file:
        start = round(rows["info_start"][3] * 4)
        assert np.array_equal(batch["signals"][3].numpy(), file["signals"][start : start + 8].T)
    assert (batch["observed"] == 1).all()
    assert set(batch) == {"index", "target", "signals", "observed"}


def test_labels_that_lack_are_minus_one(module_of, folder):
    folder.fill()
    for row in folder.rows[::5]:
        row[4] = ""
    folder.rows[1][3] = folder.rows[1][4] = ""
    data = module_of(folder.write())
    predict = all_rows(data, "predict")["target"]
    assert predict["action"].tolist() == predict["state"].tolist() == [-1] * len(data.rows("predict"))
    half = data.rows("train")["target_state"].isna().to_numpy()
    target = all_rows(data, "train")["target"]
    assert half.any()
    assert ((target["state"] == -1).numpy() == half).all()
    assert (target["action"] >= 0).all()


def test_a_system_of_one_task(module_of, folder):
    data = module_of(folder.fill(), classes={"action": ["tap", "press"]})
    assert set(all_rows(data, "val")["target"]) == {"action"}
    assert set(data.samples["target"]) == {"tap", "press"}
    assert "slice_state" not in data.samples


def test_what_was_not_measured_is_zero_and_marked(module_of, folder):
    folder.fill()
    folder.rows = [row for row in folder.rows if row[1] != "S3"]
    hole = np.ones((80, 2), np.float32)
    hole[10:14, 0] = np.nan
    folder.add("hole", subject="S3", signals=hole)
    data = module_of(folder.write())
    rows = data.samples.set_index("id")
    split = rows.loc["hole#2", "split"]
    row = data.rows(split)["id"].tolist().index("hole#2")
    batch = all_rows(data, split)
    assert batch["observed"][row].tolist() == [[1, 1, 0, 0, 0, 0, 1, 1], [1] * 8]
    assert (batch["signals"][row][0][2:6] == 0).all()
    series, channels, rate = data.series(split, [row])
    assert (channels, rate, series.shape) == (["x", "y"], 4.0, (1, 2, 8))
    assert np.isnan(series[0, 0]).tolist() == [False, False, True, True, True, True, False, False]
    assert (series[0, 1] == 1).all()


@pytest.mark.parametrize("normalise", ["channel", "subject", "none"])
def test_values_of_test_recordings_change_nothing_that_trains(module_of, folder, tmp_path, normalise):
    data = module_of(folder.fill(), normalise=normalise, log_channels=["x"])
    before, statistics = all_rows(data, "train"), data.metadata()["statistics"]
    for name in data.rows("test")["info_recording"].unique():
        with np.load(folder.path / f"{name}.npz") as file:
            changed = {**file, "signals": 50 * file["signals"] + 9}
        np.savez(folder.path / f"{name}.npz", **changed)
    again = module_of(folder.path, normalise=normalise, log_channels=["x"])
    after = all_rows(again, "train")
    assert again.rows("train")["id"].tolist() == data.rows("train")["id"].tolist()
    assert torch.equal(before["signals"], after["signals"])
    assert torch.equal(before["observed"], after["observed"])
    assert again.metadata()["statistics"] == statistics
    assert again.content != data.content
    if normalise == "channel":
        assert not torch.equal(all_rows(data, "test")["signals"], all_rows(again, "test")["signals"])


def test_training_windows_are_standardised(module_of):
    batch = all_rows(module_of(log_channels=["eda"]), "train")
    counts = batch["observed"].sum((0, 2))
    mean = batch["signals"].sum((0, 2)) / counts
    square = (batch["signals"] ** 2).sum((0, 2)) / counts
    assert torch.allclose(mean, torch.zeros(6), atol=2e-2)
    assert torch.allclose(square, torch.ones(6), atol=5e-2)
    assert batch["signals"].abs().max() <= 10


def test_the_augmentation_is_of_training_rows_alone_and_by_seed(module_of, folder):
    path = folder.fill()
    light = SignalAugment(0.7, 0.3, 0.1, 0.1)

    def batches(seed: int, augment) -> tuple[torch.Tensor, torch.Tensor]:
        data = module_of(path, augment=augment, seed=seed)
        train, validation = next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))
        return train["signals"], validation["signals"]

    assert torch.equal(batches(0, light)[0], batches(0, light)[0])
    assert torch.equal(batches(0, light)[1], batches(0, None)[1])
    changed = (batches(0, light)[0] != batches(0, None)[0]).flatten(1).any(dim=1)
    assert changed.all()


def test_every_perturbation_changes_what_is_evaluated_and_is_of_the_row_alone(module_of, folder):
    data = module_of(folder.fill())
    clean = next(iter(data.eval_dataloader("val")))
    assert set(data.perturbations()) == {"crop", "scale", "noise", "channel_drop"}
    for perturbation in data.perturbations().values():
        first, again = (next(iter(data.eval_dataloader("val", perturbation.at(5)))) for _ in range(2))
        assert torch.equal(first["signals"], again["signals"])
        assert not torch.equal(first["signals"], clean["signals"])
        assert torch.equal(first["target"]["action"], clean["target"]["action"])


def test_frames_come_if_the_model_asks(module_of):
    data = module_of()
    data.configure_inputs({"signals": None, "frames": None}, None)
    batch, rows = all_rows(data, "train"), data.rows("train")
    assert batch["frames"].shape == (len(rows), 16, 16, 16)
    assert batch["has_frames"].tolist() == (rows["frame"] >= 0).astype(float).tolist()
    with_frames = batch["has_frames"] == 1
    assert 0 < with_frames.sum() < len(rows)
    assert (batch["frames"][~with_frames] == 0).all()
    frames = batch["frames"][with_frames]
    assert 0 <= frames.min() < 0.2 < 0.8 < frames.max() <= 1


def test_a_model_with_frames_needs_some(module_of, folder):
    data = module_of(folder.fill())
    with pytest.raises(SettingError, match=r"model\.frame_encoder=null"):
        data.configure_inputs({"signals": None, "frames": None}, None)


def test_windows_split_at_random_are_refused(module_of, tmp_path):
    data = module_of(unit="window")
    assert (data.samples["group"] == data.samples["id"]).all()
    with pytest.raises(LeakageError) as caught:
        data.check(tmp_path)
    assert {"identical signals", "identical subject"} <= set(caught.value.findings["kind"])
    report = module_of(unit="window", leakage="report").check(tmp_path)
    assert report["checks"]["group"] == "unknown"
    assert report["checks"]["identical signals"] == "found"
    assert report["findings"] > 0


def test_windows_of_a_file_that_two_subjects_share_are_refused(module_of, folder, tmp_path):
    folder.fill()
    data = module_of(folder.path)
    train, test = data.rows("train")["recording"][0], data.rows("test")["recording"][0]
    (folder.path / f"{test}.npz").write_bytes((folder.path / f"{train}.npz").read_bytes())
    with pytest.raises(LeakageError, match="identical signals"):
        module_of(folder.path).check(tmp_path)


def test_a_recording_without_a_subject_is_its_own_and_the_group_is_not_vouched_for(module_of, folder, tmp_path):
    folder.fill()
    folder.rows[0][1] = ""
    data = module_of(folder.write())
    row = data.samples[data.samples["recording"] == folder.rows[0][0]].iloc[0]
    assert (row["group"], row["slice_subject"]) == (folder.rows[0][0], None)
    assert data.check(tmp_path)["checks"]["group"] == "unknown"


def test_the_seal_knows_the_recordings_and_the_fingerprint_the_windows(module_of, folder):
    path = folder.fill()
    folder.add("short", subject="S0", samples=9)
    path = folder.write()
    plain, longer = module_of(path), module_of(path, window=3.0)
    assert plain.samples["recording"].nunique() > longer.samples["recording"].nunique()
    assert plain.content == longer.content == module_of(path, unit="window", leakage="report").content
    assert plain.fingerprint != longer.fingerprint
    folder.rows[0][3] = "press"
    assert module_of(folder.write()).content != plain.content


def test_the_seal_knows_a_window_by_its_recording(module_of, folder, tmp_path):
    path = folder.fill()
    known = []
    for number, settings in enumerate([{}, {"window": 3.0}, {"unit": "window", "leakage": "report"}]):
        data = module_of(path, **settings)
        data.write_splits(tmp_path / str(number))
        rows = LabelledRows.read(tmp_path / str(number))
        known.append(rows.test | rows.other)
    assert known[0] == known[1] == known[2]
    assert len(known[0]) == data.samples.loc[data.samples["target"].notna(), "recording"].nunique()


def test_facts_are_short_and_of_plain_values(module_of):
    facts = module_of(min_observed=0.8).metadata()
    assert facts["rows"] > 400
    assert (facts["subjects"], facts["groups"], facts["rate"], facts["window_samples"]) == (12, 12, 16.0, 64)
    assert facts["windows_left_out"] > 0
    assert set(facts["statistics"]) == {"bvp", "eda", "temp", "acc_x", "acc_y", "acc_z"}
    assert all(type(value) is float for pair in facts["statistics"].values() for value in pair)


def test_slices_name_their_categories(module_of, folder):
    data = module_of(folder.fill())
    declared = data.slice_categories()
    assert declared["slice_action"] == ["tap", "press"]
    for column, names in declared.items():
        assert set(data.samples[column].dropna()) <= set(names)
    assert {"slice_subject", "slice_scene"} <= set(data.samples)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"channels": []}, "channels"), ({"channels": ["x", "x"]}, "channels"),
        ({"log_channels": ["z"]}, "log_channels"), ({"rate": 0.0}, "rate"),
        ({"normalise": "batch"}, "normalise"), ({"unit": "scene"}, "unit"),
        ({"classes": {"mood": ["a", "b"]}}, "classes"), ({"on_problem": {}}, "on_problem"), ({"window": 0.0}, "window"),
        ({"batch_size": 100_000}, "batch_size"), ({"folder": "/nowhere"}, "folder"),
    ],
)  # fmt: skip
def test_nonsense_names_its_key(module_of, folder, change, key):
    with pytest.raises(SettingError) as caught:
        module_of(folder.fill(10), **change)
    assert caught.value.key == key


def test_without_a_folder_and_without_a_sample(module_of):
    with pytest.raises(SettingError, match="profile=sample, which generates some"):
        module_of(folder=None, sample=None)


@pytest.mark.parametrize("policy", ["skip", "fatal"])
def test_without_any_usable_recording(module_of, folder, policy):
    folder.add("a", samples=3)
    on_problem = {**POLICY, "missing_file": policy, "too_short": policy}
    message = "no usable rows" if policy == "skip" else "1 bad row:\n  (too_short|missing_file): .*a.npz"
    with pytest.raises(ValueError, match=message):
        module_of(folder.write(), on_problem=on_problem)
    (folder.path / "a.npz").unlink()
    with pytest.raises(ValueError, match=message):
        module_of(folder.path, on_problem=on_problem)
