"""From recordings to a table of windows: times, labels, frames, problems, the cache."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hallmark.data.problems import Problems
from hallmark.systems.touch import recordings as recordings_module
from hallmark.systems.touch.corpus import KINDS, REPAIRABLE, Cutting, WindowCorpus, read_windows
from hallmark.systems.touch.windows import cut
from systems.touch.conftest import CLASSES, POLICY


@pytest.fixture
def read(folder, tmp_path) -> Callable[..., WindowCorpus]:
    """A function that reads what was added to `folder`; `kinds` of its result lists the problems."""

    def read(*, rate=None, window=2.0, overlap=1.0, min_observed=0.5, channels=("x", "y"), **policy) -> WindowCorpus:
        problems = Problems({**POLICY, **policy}, repairable=REPAIRABLE)
        read.problems = problems
        return read_windows(
            folder.write(), classes=CLASSES, channels=channels, rate=rate, problems=problems, cache=tmp_path / "cache",
            cutting=Cutting(window, overlap, min_observed),
        )  # fmt: skip

    return read


def kinds(read) -> list[tuple[str, str]]:
    return [(problem.id, problem.kind) for problem in read.problems.found]


def test_every_kind_has_a_policy_and_only_known_ones():
    assert set(POLICY) == set(KINDS)
    assert set(REPAIRABLE) < set(KINDS)


def test_windows_are_the_samples_of_their_recording(folder, read):
    folder.add("a", samples=24, subject="A", state="")
    folder.add("b", samples=17, subject="B", action="press", scene="")
    corpus = read()
    samples = corpus.samples.set_index("id")
    assert list(samples.index) == ["a#0", "a#1", "a#2", "a#3", "a#4", "b#0", "b#1", "b#2"]
    assert (corpus.size, corpus.rate, corpus.left_out) == (8, 4.0, 0)
    with np.load(folder.path / "b.npz") as file:
        windows = cut(corpus.recordings.values, samples["offset"].to_numpy(), 8)
        assert np.array_equal(windows[6], file["signals"][4:12].T)
    row = samples.loc["b#1"]
    assert (row["group"], row["slice_subject"], row["slice_scene"], row["info_recording"]) == (
        "B",
        "B",
        None,
        "b",
    )
    assert (row["info_start"], row["info_seconds"]) == (1.0, 2.0)
    assert samples.loc["a#0", ["target", "target_action", "target_state"]].tolist() == [
        "tap / ?",
        "tap",
        None,
    ]
    assert row["target"] == "press / calm"
    assert samples["content"].is_unique


def test_recordings_without_labels_have_no_target(folder, read):
    folder.add("a", action="", state="")
    assert read().samples["target"].isna().all()


def test_windows_end_where_time_jumps(folder, read):
    t = np.delete(np.arange(40) / 4, [10, 11])
    table = pd.DataFrame({"t": t, "x": np.arange(38.0), "y": 0.0})
    table.to_parquet(folder.path / "a.parquet")
    folder.rows.append(["a", "A", "", "tap", "calm", "a.parquet", ""])
    samples = read().samples
    assert samples["info_start"].tolist() == [0, 3, 4, 5, 6, 7, 8]
    assert samples["id"].tolist() == [f"a#{number}" for number in range(7)]
    assert samples["offset"].tolist() == [0, 10, 14, 18, 22, 26, 30]


@settings(max_examples=25)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(2, 8), st.integers(0, 7))
def test_no_window_crosses_a_recording_or_a_gap(tmp_path_factory, lengths, size, overlap):
    folder = tmp_path_factory.mktemp("gaps")
    numbers = np.arange(sum(lengths))
    stretch = np.repeat(np.arange(len(lengths)), lengths)
    lines = []
    for name in "ab":
        table = pd.DataFrame({"t": (numbers + 3 * stretch) / 4, "x": stretch + 100 * (name == "b"), "y": numbers})
        if len(table) > 2 and table["t"].diff().median() == 0.25:
            table.to_parquet(folder / f"{name}.parquet")
            lines.append(f"{name},{name},tap,calm,{name}.parquet")
    if not lines:
        return
    (folder / "recordings.csv").write_text("\n".join(["id,subject,action,state,signals", *lines]))
    cutting = Cutting(size / 4, min(overlap, size - 1) / 4, 0.5)
    corpus = read_windows(folder, classes=CLASSES, channels=["x", "y"], rate=None, cutting=cutting,
                          problems=Problems(POLICY, repairable=REPAIRABLE), cache=folder)  # fmt: skip
    windows = cut(corpus.recordings.values, corpus.samples["offset"].to_numpy(int), size)
    assert (windows[:, 0] == windows[:, 0, :1]).all()
    assert (np.diff(windows[:, 1], axis=1) == 1).all()
    step = size - min(overlap, size - 1)
    assert len(windows) == len(lines) * sum(max(0, (length - size) // step + 1) for length in lengths)


def write_timed(folder, name: str, t: np.ndarray, seconds: float, resolution: float) -> None:
    """A recording whose channel x is the true time; each of its frames, four a second, holds its number."""
    rounded = t if not resolution else np.round(t / resolution) * resolution
    pd.DataFrame({"t": rounded, "x": t, "y": 0.0}).to_csv(folder / f"{name}.csv", index=False, float_format="%.6f")
    frames = np.arange(round(seconds * 4), dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    np.savez(folder / f"{name}-frames.npz", frames=frames, rate=4.0)


def windows_of_times(folder, rate=None) -> tuple[WindowCorpus, Problems, np.ndarray]:
    """WindowCorpus of windows of 4 s every 2 s, problems, and the true times in each window [W, samples]."""
    problems = Problems(POLICY, repairable=REPAIRABLE)
    corpus = read_windows(folder, classes=CLASSES, channels=["x", "y"], rate=rate, cutting=Cutting(4.0, 2.0, 0.5),
                          problems=problems, cache=folder)  # fmt: skip
    return corpus, problems, cut(corpus.recordings.values, corpus.samples["offset"].to_numpy(int), corpus.size)[:, 0]


@pytest.mark.parametrize("declared", [None, 64.0])
def test_rounded_times_give_the_windows_and_frames_of_exact_ones(tmp_path, declared):
    t = np.arange(24 * 64) / 64
    corpora = {}
    for resolution in (0.0, 0.01):
        folder = tmp_path / str(resolution)
        folder.mkdir()
        write_timed(folder, "a", t, 24, resolution)
        lines = ["id,subject,action,state,signals,frames", "a,A,tap,calm,a.csv,a-frames.npz"]
        (folder / "recordings.csv").write_text("\n".join(lines))
        corpus, problems, true = windows_of_times(folder, declared)
        assert (corpus.rate, corpus.size, len(corpus.samples), problems.found) == (64.0, 256, 11, [])
        assert true[:, 0].tolist() == corpus.samples["info_start"].tolist() == [2.0 * n for n in range(11)]
        assert corpus.samples["frame"].tolist() == [8 * n for n in range(11)]
        corpora[resolution] = corpus.samples[["id", "offset", "frame", "target", "info_start", "info_seconds"]]
    pd.testing.assert_frame_equal(corpora[0.0], corpora[0.01])


@settings(max_examples=20)
@given(
    st.sampled_from([4, 10, 25, 50, 64, 100, 256]), st.sampled_from([1.0, 0.1, 0.01, 0.001]), st.floats(12, 24),
    st.none() | st.floats(2.5, 4),
)  # fmt: skip
def test_windows_stay_within_the_recording_and_frames_are_of_their_seconds(
    tmp_path_factory, rate, resolution, seconds, gap
):
    folder = tmp_path_factory.mktemp("clock")
    t = np.arange(int(seconds * rate)) / rate
    if gap is not None:
        t = t[(t < 5) | (t >= 5 + gap)]
    write_timed(folder, "a", t, seconds, resolution)
    (folder / "recordings.csv").write_text("id,subject,action,state,signals,frames\na,A,tap,calm,a.csv,a-frames.npz\n")
    corpus, problems, true = windows_of_times(folder)
    samples = corpus.samples
    assert (corpus.rate, corpus.size, problems.found) == (pytest.approx(rate, rel=1e-9), 4 * rate, [])
    np.testing.assert_allclose(true[:, -1] - true[:, 0], 4 - 1 / rate, atol=1e-4)  # four seconds without a gap
    error = max(resolution, 1 / rate) + 1e-4
    assert (np.abs(samples["info_start"] - true[:, 0]) <= error).all()
    assert (samples["info_start"] + 4 <= seconds + error).all()
    with_frames = samples["frame"] >= 0
    first = corpus.recordings.frames[samples.loc[with_frames, "frame"].astype(int), 0, 0] / 4
    assert (np.abs(first - true[with_frames, 0]) <= error + 1 / 8).all()
    n_windows = sum((np.count_nonzero(part) - 4 * rate) // (2 * rate) + 1 for part in (t < 5, t >= 5)) if gap else None
    assert len(samples) == (int((len(t) - 4 * rate) // (2 * rate) + 1) if n_windows is None else max(0, n_windows))


def test_times_in_milliseconds_and_a_clock_that_jumps_about_are_listed(folder, read):
    rng = np.random.default_rng(0)
    clocks = {"a": np.arange(80) / 4, "b": np.arange(80) / 4, "ms": np.arange(80) * 250.0,
              "odd": np.arange(80) / 4 + 0.4 * np.sin(np.arange(80) / 4)}  # fmt: skip
    for name, t in clocks.items():
        pd.DataFrame({"t": t, "x": rng.normal(size=80), "y": 0.0}).to_csv(folder.path / f"{name}.csv", index=False)
        folder.rows.append([name, "A", "", "tap", "calm", f"{name}.csv", ""])
    read()
    assert kinds(read) == [("ms", "wrong_rate"), ("odd", "irregular_clock")]
    assert "milliseconds" in read.problems.found[0].detail


def test_windows_of_which_too_little_was_measured_are_counted(folder, read):
    signals = np.ones((24, 2), np.float32)
    signals[2:10] = np.nan
    folder.add("a", signals=signals)
    corpus = read()
    assert corpus.samples["id"].tolist() == ["a#2", "a#3", "a#4"]
    assert corpus.left_out == 2
    assert corpus.samples["slice_missing"].tolist() == ["10 to 25 %", "none missing", "none missing"]
    assert kinds(read) == []
    every = read(min_observed=0.25).samples
    assert every["id"].tolist() == [f"a#{number}" for number in range(5)]
    assert every["slice_missing"].tolist()[:2] == ["over 25 %", "over 25 %"]


def test_every_problem_of_a_file_is_listed_and_none_stops(folder, read):
    folder.add("good", samples=16)
    folder.add("short", samples=7)
    folder.add("fast", samples=40, rate=8.0)
    folder.add("half", samples=16, channels=("x", "z"))
    folder.add("dull", signals=np.column_stack([np.arange(16.0), np.full(16, np.nan)]).astype(np.float32))
    folder.add("dark", signals=np.full((16, 2), np.nan, np.float32))
    folder.add("broken")
    (folder.path / "broken.npz").write_bytes(b"no")
    folder.add("blind", samples=16, frames=np.full((8, 2, 2), 7.0))
    corpus = read()
    assert sorted(kinds(read)) == [
        ("blind", "unreadable_frames"), ("broken", "unreadable_file"), ("dark", "unobserved"),
        ("dull", "missing_channel"), ("fast", "wrong_rate"), ("half", "missing_channel"), ("short", "too_short"),
    ]  # fmt: skip
    assert sorted(set(corpus.samples["recording"])) == ["blind", "dull", "good", "half"]
    assert (corpus.samples["frame"] == -1).all()
    details = {problem.id: problem.detail for problem in read.problems.found}
    assert "8 Hz, where the others or data.rate have 4 Hz" in details["fast"]
    assert "half.npz: without y" in details["half"] and "dull.npz: without y" in details["dull"]
    assert sorted(set(read(missing_channel="skip").samples["recording"])) == ["blind", "good"]
    assert set(read(rate=8.0).samples["recording"]) == {"fast"}


def test_a_channel_that_lacks_is_nan_and_shows_in_its_slice(folder, read):
    folder.add("a", samples=16, channels=("x",))
    corpus = read()
    windows = cut(corpus.recordings.values, corpus.samples["offset"].to_numpy(), 8)
    assert np.isnan(windows[:, 1]).all()
    assert np.isfinite(windows[:, 0]).all()
    assert set(corpus.samples["slice_missing"]) == {"over 25 %"}


def test_windows_have_the_frames_of_their_time(folder, read):
    frames = np.arange(9, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    folder.add("a", samples=8)
    folder.add("b", samples=24, frames=frames, frame_rate=2.0)
    corpus = read()
    assert corpus.frames == 4
    assert corpus.samples["frame"].tolist() == [
        -1,
        0,
        2,
        4,
        -1,
        -1,
    ]  # from 3 s on, four frames are no more there
    assert corpus.recordings.frames[:, 0, 0].tolist() == list(range(9))


def test_frames_of_another_size_than_most_are_a_problem(folder, read):
    for name, size in (("a", 2), ("b", 3), ("c", 2)):
        folder.add(name, samples=8, frames=np.zeros((4, size, size), np.uint8))
    corpus = read()
    assert kinds(read) == [("b", "unreadable_frames")]
    assert "found ((3, 3), 2.0)" in read.problems.found[0].detail
    assert corpus.samples["frame"].tolist() == [0, -1, 4]


def test_frames_in_bytes_and_in_shares_together(folder, read):
    folder.add("a", samples=8, frames=np.full((4, 2, 2), 51, np.uint8))
    folder.add("b", samples=8, frames=np.full((4, 2, 2), 0.5))
    frames = read().recordings.frames[:, 0, 0]
    assert frames.dtype == np.float32
    assert np.allclose(frames, [0.2] * 4 + [0.5] * 4)


def counted(monkeypatch) -> list[str]:
    calls: list[str] = []
    plain = recordings_module.read_signals
    monkeypatch.setattr(
        recordings_module, "read_signals", lambda path, *rest: calls.append(path.name) or plain(path, *rest)
    )
    return calls


def test_a_file_is_parsed_once_whatever_the_windows(folder, read, monkeypatch):
    calls = counted(monkeypatch)
    folder.add("a")
    folder.add("b")
    first = read()
    second = read(window=3.0, min_observed=0.9)
    assert calls == ["a.npz", "b.npz"]
    assert np.array_equal(first.recordings.values, second.recordings.values)
    assert isinstance(first.recordings.values.base, np.memmap)
    read(channels=("x",))
    assert len(calls) == 4


def test_changed_content_is_parsed_anew_and_a_moved_folder_is_not(folder, read, monkeypatch, tmp_path):
    calls = counted(monkeypatch)
    folder.add("a", signals=np.zeros((16, 2), np.float32))
    before = read()
    folder.path = folder.path.rename(tmp_path / "moved")
    assert read().samples["content"].tolist() == before.samples["content"].tolist()
    assert len(calls) == 1
    folder.rows.clear()
    folder.add("a", signals=np.ones((16, 2), np.float32))
    after = read()
    assert (after.recordings.values == 1).all()
    assert set(after.samples["content"]).isdisjoint(before.samples["content"])


def test_problems_of_parsed_files_are_told_again(folder, read):
    folder.add("a", channels=("x",))
    folder.add("b")
    (folder.path / "b.npz").write_bytes(b"no")
    read()
    first = kinds(read)
    read()
    assert kinds(read) == first == [("a", "missing_channel"), ("b", "unreadable_file")]


def test_two_at_once_parse_once(folder, monkeypatch, tmp_path):
    calls = counted(monkeypatch)
    for number in range(20):
        folder.add(f"r{number}")
    path = folder.write()

    def load(_) -> np.ndarray:
        problems = Problems(POLICY, repairable=REPAIRABLE)
        return read_windows(path, classes=CLASSES, channels=["x", "y"], rate=None, cutting=Cutting(2.0, 1.0, 0.5),
                            problems=problems, cache=tmp_path / "cache").recordings.values  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        corpora = list(pool.map(load, range(4)))
    assert len(calls) == 20
    assert all(np.array_equal(corpora[0], other) for other in corpora)


def test_a_parse_that_was_cut_off_does_not_count(folder, read, tmp_path, monkeypatch):
    folder.add("a")
    read()
    index = next((tmp_path / "cache" / "touch").glob("*/index.json"))
    index.unlink()
    (index.parent / "values.npy").write_bytes(b"half")
    calls = counted(monkeypatch)
    assert len(read().samples) > 0
    assert calls == ["a.npz"]
