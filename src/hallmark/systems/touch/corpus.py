"""Recordings in a folder as a table of windows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hallmark.checks import require
from hallmark.data.problems import Problems
from hallmark.data.splits import target_column
from hallmark.storage.hashing import digest
from hallmark.systems.touch.manifest import TASKS, read_manifest
from hallmark.systems.touch.recordings import ParsedRecording, Recordings, load_recordings
from hallmark.systems.touch.windows import lay_windows, observed_shares

# Kinds of problems, and those for which `keep` has a meaning: nan for a channel, no frames, no label, and the
# recording itself in place of its unknown subject, the mean rate, the most plausible reading.
REPAIRABLE = (
    "missing_channel", "missing_frames", "unreadable_frames", "unknown_action", "unknown_state", "empty_subject",
    "irregular_clock", "uncertain_encoding",
)  # fmt: skip
KINDS = (
    *REPAIRABLE, "missing_file", "unreadable_file", "wrong_rate", "too_short", "unobserved", "duplicate_id", "empty_id",
    "unsafe_path",
)  # fmt: skip
# Policies of kinds that the stored configurations of earlier runs do not name.
LATER_KINDS = {"irregular_clock": "keep", "uncertain_encoding": "keep", "unsafe_path": "skip"}

MISSING = ["none missing", "under 10 %", "10 to 25 %", "over 25 %"]
_RATE_TOLERANCE = 0.01  # what clocks of one kind of device may differ by
_UNITS = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}


@dataclass(frozen=True)
class Cutting:
    """How recordings are cut.

    Args:
        window: length in seconds.
        overlap: of neighboring windows, in seconds.
        min_observed: least share of a window's values that were measured.
    """

    window: float
    overlap: float
    min_observed: float

    def __post_init__(self) -> None:
        require(self.window > 0, "window", self.window, "a length in seconds above 0")
        require(0 <= self.overlap < self.window, "overlap", self.overlap, "seconds from 0 to below data.window")
        require(0 < self.min_observed <= 1, "min_observed", self.min_observed, "a share in (0, 1]")

    def samples(self, rate: float) -> tuple[int, int]:
        """Size and step of the windows at `rate` Hz; raises SettingError where there is no such step."""
        size = round(self.window * rate)
        step = size - round(self.overlap * rate)
        advice = " (t has to be in seconds)" if rate < 1 else ""
        require(size >= 2, "window", self.window, f"two samples or more; the signals have {rate:g} Hz{advice}")
        require(step >= 1, "overlap", self.overlap, f"a sample or more below data.window, at {rate:g} Hz")
        return size, step


@dataclass(frozen=True)
class WindowCorpus:
    """All windows of a folder.

    Attributes:
        samples: a row a window: id, group (the subject, or the recording where it is unknown), subject, recording,
            target, target_*, content, source (hash of the recording's signals), offset (first row in
            `recordings.values`), frame (first row in `recordings.frames`, −1 where not all of the window has frames),
            slice_*, info_*.
        recordings: what the windows are cut from.
        content: hash of the files and labels of the labelled recordings, however they are cut.
        rate: in Hz.
        size: samples of a window; `frames`: pressure frames of a window, 0 where there are none.
        left_out: windows with too little measured.
    """

    samples: pd.DataFrame
    recordings: Recordings
    content: str
    rate: float
    size: int
    frames: int
    left_out: int


def read_windows(
    folder: Path, *, classes: Mapping[str, Sequence[str]], channels: Sequence[str], rate: float | None,
    cutting: Cutting, problems: Problems, cache: Path,
) -> WindowCorpus:  # fmt: skip
    """Windows of all usable recordings; what `problems` says to skip is left out.

    Raises:
        SettingError: no such folder, not this layout, or no window of that length.
    """
    table = read_manifest(folder, classes, problems)
    labels = table[[target_column(task) for task in classes]]
    # `stroop / 1`; a task without a label stands as `?`, and None where no task has one.
    names = labels.astype(object).where(labels.notna(), "?").agg(" / ".join, axis=1) if len(labels) else ""
    table["target"] = pd.Series(names, labels.index, object).where(labels.notna().any(axis=1), None)
    labelled = table[table["target"].notna()]
    content = digest(sorted(labelled[["signals_digest", "frames_digest", "target"]].to_numpy().tolist()))
    recordings = load_recordings(table, channels, rate, cache)
    common = rate or common_rate([entry.rate for entry in recordings.parsed if entry.rate])
    pairs = zip(table.to_dict("records"), recordings.parsed, strict=True)
    usable = [_is_usable(row, entry, common, problems) for row, entry in pairs]
    table = table[np.array(usable, bool)].reset_index(drop=True)
    parsed = [entry for entry, good in zip(recordings.parsed, usable, strict=True) if good]
    size, step = cutting.samples(common) if parsed else (0, 0)
    windows = _windows(parsed, size, step, common)
    windows["observed"] = observed_shares(recordings.values, windows["offset"].to_numpy(), size)
    enough = windows["observed"] >= cutting.min_observed
    laid, left = set(windows["position"]), set(windows["position"][enough])
    for position, (row_id, path) in enumerate(zip(table["id"], table["signals"], strict=True)):
        if position not in laid:
            problems.add(row_id, "too_short", f"{path}: no stretch as long as data.window")
        elif position not in left:
            problems.add(row_id, "unobserved", f"{path}: no window of which data.min_observed was measured")
    windows, frames = _with_frames(windows[enough], parsed, size / (common or 1))
    samples = _described(windows, table, classes=classes, channels=channels, size=size, rate=common)
    return WindowCorpus(samples, recordings, content, common, size, frames, int((~enough).sum()))


def common_rate(rates: Sequence[float]) -> float:
    """The rate that most recordings have, within a hundredth; 0 without any."""
    if not len(rates):
        return 0.0
    # The median of those that are near the rate with the most neighbors; a mean would follow a single wrong clock.
    near = np.abs(np.divide.outer(np.array(rates), rates) - 1) <= _RATE_TOLERANCE
    return float(np.median(np.array(rates)[near[near.sum(axis=1).argmax()]]))


def _is_usable(row: dict[Any, Any], entry: ParsedRecording, rate: float, problems: Problems) -> bool:
    row_id, path = row["id"], row["signals"]
    if entry.error:
        return problems.add(row_id, "unreadable_file", entry.error)
    usable = []
    if abs(entry.rate / rate - 1) > max(_RATE_TOLERANCE, entry.rate_tolerance):
        units = [unit for unit, factor in _UNITS.items() if abs(entry.rate * factor / rate - 1) <= _RATE_TOLERANCE]
        advice = f"; t looks like {units[0]}, and has to be in seconds" if units else ""
        detail = f"{path}: {entry.rate:g} Hz, where the others or data.rate have {rate:g} Hz{advice}"
        usable.append(problems.add(row_id, "wrong_rate", detail))
    if entry.deviation > 1 / entry.rate:
        detail = f"{path}: times are up to {entry.deviation:.3g} s from a clock of {entry.rate:g} Hz"
        usable.append(problems.add(row_id, "irregular_clock", detail))
    if entry.missing:
        usable.append(problems.add(row_id, "missing_channel", f"{path}: without {', '.join(entry.missing)}"))
    if entry.frames_error:
        usable.append(problems.add(row_id, "unreadable_frames", entry.frames_error))
    return all(usable)


def _windows(parsed: Sequence[ParsedRecording], size: int, step: int, rate: float) -> pd.DataFrame:
    """position (of the recording), number (within it), offset and start (s) of every window."""
    owner = np.repeat(np.arange(len(parsed)), [len(entry.starts) for entry in parsed])
    starts = np.array([start for entry in parsed for start in entry.starts])
    lengths = np.array([length for entry in parsed for length in entry.lengths()])
    seconds = np.array([second for entry in parsed for second in entry.seconds])
    offsets, stretch = lay_windows(starts, lengths, size, step)
    # A rate that rounded times leave open is the one that all have.
    measured = np.array([entry.rate for entry in parsed])
    tolerances = np.array([entry.rate_tolerance for entry in parsed])
    rates = np.where(np.abs(measured - rate) <= tolerances * rate, rate, measured)
    into = (offsets - starts[stretch]) / rates[owner[stretch]]
    windows = pd.DataFrame({"position": owner[stretch], "offset": offsets, "start": seconds[stretch] + into})
    return windows.assign(number=windows.groupby("position").cumcount())


def _with_frames(windows: pd.DataFrame, parsed: Sequence[ParsedRecording], seconds: float) -> tuple[pd.DataFrame, int]:
    """Windows with the row of their first frame, and how many frames a window has."""
    rates = [entry.frame_rate for entry in parsed if entry.frames]
    if not rates:
        return windows.assign(frame=-1), 0
    count = max(1, round(seconds * rates[0]))
    of_window = [parsed[position] for position in windows["position"]]
    into = np.round(windows["start"].to_numpy() * rates[0]).astype(int)
    inside = into + count <= np.array([entry.frames for entry in of_window], int)
    first = into + np.array([entry.first_frame for entry in of_window], int)
    return windows.assign(frame=np.where(inside, first, -1)), count


def _described(
    windows: pd.DataFrame, table: pd.DataFrame, *, classes: Mapping[str, Sequence[str]], channels: Sequence[str],
    size: int, rate: float,
) -> pd.DataFrame:  # fmt: skip
    row = table.iloc[windows["position"]].reset_index(drop=True)
    windows = windows.reset_index(drop=True)
    labels = row[[target_column(task) for task in classes]]
    content = zip(row["signals_digest"], row["frames_digest"], windows["start"], strict=True)
    described = {
        "id": row["id"] + "#" + windows["number"].astype(str),
        "group": row["subject"].where(row["subject"] != "", row["id"]), "subject": row["subject"],
        "recording": row["id"], "target": row["target"], **{str(name): labels[name] for name in labels},
        "content": [digest([*parts, size, rate, list(channels)]) for parts in content],
        "source": row["signals_digest"], "signals_digest": row["signals_digest"],
        "frames_digest": row["frames_digest"], "offset": windows["offset"], "frame": windows["frame"],
        **{f"slice_{task}": labels[target_column(task)] for task in TASKS if task in classes},
        "slice_subject": row["subject"].where(row["subject"] != "", None),
        "slice_scene": row["scene"].where(row["scene"] != "", None),
        "slice_missing": pd.cut(1 - windows["observed"], [-1, 0, 0.1, 0.25, 1], labels=MISSING).astype(object),
        "info_recording": row["id"], "info_start": windows["start"], "info_seconds": size / (rate or 1),
    }  # fmt: skip
    return pd.DataFrame(described)
