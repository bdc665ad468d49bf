"""From wrist recordings by subject to recordings by segment."""

import numpy as np
import pandas as pd
import pytest
from pyarrow.parquet import read_metadata

from hallmark.systems.touch.convert import CHANNELS, convert, main


def subject_table(segments=((1, "stroop", 1), (2, "relax", 0)), samples: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = []
    for number, (segment, task, stress) in enumerate(segments):
        t = 1000.0 + 100 * number + np.arange(samples) / 4
        table = pd.DataFrame(rng.normal(size=(samples, len(CHANNELS))).round(4), columns=CHANNELS)
        table.insert(0, "t", t)
        parts.append(table.assign(task=task, stress=stress, segment=segment))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "stress" / "subjects").mkdir(parents=True)
    subject_table().to_csv(tmp_path / "stress" / "subjects" / "S01.csv.gz", index=False)
    subject_table(((7, "interview", 1),)).to_csv(tmp_path / "stress" / "subjects" / "S02.csv.gz", index=False)
    return tmp_path / "stress"


def test_a_recording_a_segment(source, tmp_path, capsys):
    assert main([str(source), str(tmp_path / "out")]) == 0
    table = pd.read_csv(tmp_path / "out" / "recordings.csv", dtype=str, keep_default_na=False)
    assert table.to_numpy().tolist() == [
        ["S01-1", "S01", "1", "stroop", "stress", "signals/S01-1.parquet", ""],
        ["S01-2", "S01", "2", "relax", "calm", "signals/S01-2.parquet", ""],
        ["S02-7", "S02", "7", "interview", "stress", "signals/S02-7.parquet", ""],
    ]
    signals = pd.read_parquet(tmp_path / "out" / "signals" / "S01-2.parquet")
    subject_rows = pd.read_csv(source / "subjects" / "S01.csv.gz")
    expected = subject_rows.loc[subject_rows["segment"] == 2, ["t", *CHANNELS]].reset_index(drop=True)
    pd.testing.assert_frame_equal(signals, expected)
    printed = capsys.readouterr().out
    assert "3 recordings of 2 subjects" in printed
    assert "state: stress 2, calm 1" in printed


def test_again_changes_nothing_and_other_recordings_are_left_alone(source, tmp_path):
    out = tmp_path / "out"
    convert(source, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    convert(source, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (source / "subjects" / "S02.csv.gz").unlink()
    with pytest.raises(ValueError, match="it holds 3 others"):
        convert(source, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="eda"), r"S01\.csv\.gz.*the columns t, bvp, .*segment; found t, bvp"),
        (lambda t: t.assign(stress=2), "stress of 0 or 1; found 2 in segment 1"),
        (lambda t: t.assign(stress=[0.5] * len(t)), "whole numbers in the columns stress and segment"),
        (lambda t: t.assign(segment=1), "one task and one stress value in segment 1"),
        (lambda t: t.sort_values("bvp"), "the rows of a segment one after another"),
        (lambda t: t.assign(task=t["task"].where(t.index != 3)), "a task, stress and segment in every row"),
    ],
)
def test_tables_of_another_layout(source, tmp_path, change, message, capsys):
    change(subject_table()).to_csv(source / "subjects" / "S01.csv.gz", index=False)
    assert main([str(source), str(tmp_path / "out")]) == 2
    with pytest.raises(ValueError, match=message):
        convert(source, tmp_path / "out")
    assert capsys.readouterr().err.startswith("error: source=")
    assert not (tmp_path / "out").exists()


def test_folders_and_files_of_another_layout(source, tmp_path):
    with pytest.raises(ValueError, match=r"subjects/\*\.csv\.gz, one file a subject"):
        convert(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="outside the source"):
        convert(source, source / "out")
    (source / "subjects" / "S01.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(ValueError, match=r"S01\.csv\.gz"):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.realdata
def test_the_whole_set_of_recordings(real_data, module_of, tmp_path):
    if not (real_data / "stress").is_dir():
        pytest.skip(f"no recordings in {real_data / 'stress'}")
    manifest = convert(real_data / "stress", tmp_path / "out")
    assert manifest["subject"].nunique() == 29
    assert (len(manifest), manifest["id"].is_unique) == (254, True)
    data = module_of(
        tmp_path / "out", channels=CHANNELS, log_channels=["bvp_std", "eda"], window=30.0, overlap=15.0,
        classes={"action": sorted(set(manifest["action"])), "state": ["calm", "stress"]}, cache=str(tmp_path / "cache"),
    )  # fmt: skip
    rows = data.samples
    lengths = manifest["signals"].map(lambda path: read_metadata(tmp_path / "out" / path).num_rows)
    assert len(rows) == ((lengths - 120) // 60 + 1).sum() == 5651
    assert not data.problems.found
    assert data.check(tmp_path / "run")["findings"] == 0
    shares = [rows[f"target_{task}"].value_counts(normalize=True).iloc[0] for task in ("action", "state")]
    assert shares == pytest.approx([0.38, 0.66], abs=0.02)
