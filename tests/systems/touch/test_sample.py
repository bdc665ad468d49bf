"""The generated recordings: deterministic, in the layout, and hard in the way that real ones are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hallmark.systems.touch.sample.body import ACTIONS, CHANNELS, STATES
from hallmark.systems.touch.sample.world import generate

ARGUMENTS = {"subjects": 16, "recordings": 6, "unlabelled": 4, "seed": 3}
SMALL = {"subjects": 8, "recordings": 1, "unlabelled": 0, "seed": 0}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return generate(tmp_path_factory.mktemp("sample") / "world", **ARGUMENTS)


@pytest.fixture(scope="module")
def table(world) -> pd.DataFrame:
    return pd.read_csv(world / "recordings.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from hallmark.data.splits import Holdout
    from hallmark.systems.touch.data import WindowDataModule
    from systems.touch.conftest import POLICY

    module = WindowDataModule(
        folder=None, sample=ARGUMENTS, channels=list(CHANNELS), log_channels=["eda"], rate=None, window=4.0,
        overlap=2.0, min_observed=0.5, normalise="channel", unit="subject", on_problem=POLICY, augment=None,
        cache=str(tmp_path_factory.mktemp("cache")), classes={"action": list(ACTIONS), "state": list(STATES)},
        batch_size=8, num_workers=0, split=Holdout(0.2, 0.2, 0), leakage="stop", seed=0,
    )  # fmt: skip
    module.prepare()
    return module


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_layout_of_real_recordings(world, table):
    assert list(table) == ["id", "subject", "scene", "action", "state", "signals", "frames"]
    assert len(table) == 96 == table["id"].nunique()
    assert (table["subject"].value_counts() == 6).all()
    assert all((world / path).is_file() for path in [*table["signals"], *filter(None, table["frames"])])
    assert {path.suffix for path in (world / "signals").iterdir()} == {".npz", ".gz", ".parquet"}
    assert (table["action"] == "").sum() == 4
    assert set(table["action"]) == {"", *ACTIONS}
    assert set(table["state"]) == {"", *STATES}


def test_the_record_counts_the_files(world, table):
    record = json.loads((world / "sample.json").read_text())
    assert record["arguments"] == ARGUMENTS
    counts = record["counts"]
    assert counts["action_rest"] == (table["action"] == "rest").sum()
    assert counts["without_frames"] == (table["frames"] == "").sum()
    assert counts["without_eda"] > 0
    assert counts["dropout"] > 0
    assert counts["gap"] > 0


def test_same_arguments_give_the_same_bytes_in_another_process(tmp_path):
    here = generate(tmp_path / "here", **SMALL)
    code = (
        "import sys; from pathlib import Path; from hallmark.systems.touch.sample.world import generate; "
        f"generate(Path(sys.argv[1]), **{SMALL!r})"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True, env=environment)
    assert contents(here) == contents(tmp_path / "there")


def test_rows_are_drawn_apart(tmp_path):
    """More people or other labels do not change what was drawn; another seed does."""
    few, more = generate(tmp_path / "few", **SMALL), generate(tmp_path / "more", **{**SMALL, "subjects": 9})
    bare = generate(tmp_path / "bare", **{**SMALL, "unlabelled": 3})
    signals = {name: raw for name, raw in contents(few).items() if name.startswith(("signals", "frames"))}
    for other in (more, bare):
        files = contents(other)
        assert all(files[name] == raw for name, raw in signals.items())
    other_seed = contents(generate(tmp_path / "seed", **{**SMALL, "seed": 1}))
    assert all(other_seed.get(name) != raw for name, raw in signals.items())


def test_a_whole_folder_is_left_alone_and_another_is_not_touched(tmp_path):
    folder = generate(tmp_path / "world", **SMALL)
    stamp = (folder / "sample.json").stat().st_mtime_ns
    assert generate(folder, **SMALL) == folder
    assert (folder / "sample.json").stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match="holds a sample of"):
        generate(folder, **{**SMALL, "seed": 5})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match="holds something else"):
        generate(tmp_path / "mine", **SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "world"]


@pytest.mark.parametrize("change", [{"subjects": 7}, {"recordings": 0}, {"unlabelled": 8}, {"seed": -1}])
def test_arguments_out_of_range(tmp_path, change):
    with pytest.raises(ValueError, match=next(iter(change))):
        generate(tmp_path / "world", **{**SMALL, **change})


def features(windows: np.ndarray) -> np.ndarray:
    """Level, spread and power in four bands of each channel, of windows [N, C, T]; nothing measured counts as 0."""
    mean = np.nan_to_num(np.nanmean(windows, axis=2, keepdims=True))
    centered = np.nan_to_num(windows - mean)
    power = np.abs(np.fft.rfft(centered, axis=2)) ** 2
    bands = [np.log1p(power[:, :, a:b].sum(axis=2)) for a, b in ((1, 4), (4, 8), (8, 16), (16, 33))]
    return np.concatenate([mean[:, :, 0], np.log(centered.std(axis=2) + 0.01), *bands], axis=1)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize(("task", "chance"), [("action", 0.35), ("state", 0.6)])
def test_unseen_people_are_told_above_chance_and_windows_at_random_far_better(data, task, chance):
    rows = data.samples[data.samples[f"target_{task}"].notna()]
    series = [(split, data.series(split, range(len(data.rows(split))))[0]) for split in rows["split"].unique()]
    table = pd.concat([data.rows(split) for split, _ in series], ignore_index=True)
    x, labeled = features(np.concatenate([w for _, w in series])), table[f"target_{task}"].notna().to_numpy()
    x, y, people = x[labeled], table.loc[labeled, f"target_{task}"].to_numpy(str), table.loc[labeled, "subject"]
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=300))
    unseen = cross_val_score(probe, x, y, cv=GroupKFold(4), groups=people).mean()
    leaky = cross_val_score(probe, x, y, cv=KFold(4, shuffle=True, random_state=0)).mean()
    assert chance < unseen < 0.85
    assert leaky > unseen + 0.08


def test_people_are_told_apart_by_their_level_and_do_not_do_all_things_as_often(data, table):
    rows = data.rows("train")
    windows, _, _ = data.series("train", range(len(rows)))
    turned = pd.Series(windows[:, CHANNELS.index("bvp")].std(axis=1)).groupby(rows["subject"])
    assert turned.mean().std() > turned.std().mean()
    mix = pd.crosstab(table["subject"], table["action"])
    assert mix.to_numpy().std(axis=0).max() > 1
    assert table["action"].value_counts()["rest"] > table["action"].value_counts()["pinch"]


def test_a_press_is_felt_and_rest_is_not(world, table):
    with_frames = table[table["frames"] != ""]
    level = {
        action: np.mean([np.load(world / path)["frames"].max(axis=(1, 2)).mean() for path in rows["frames"]])
        for action, rows in with_frames[with_frames["action"] != ""].groupby("action")
    }
    assert min(level[action] for action in ("press", "stroke", "pinch", "tap")) > 1.3 * level["rest"]
