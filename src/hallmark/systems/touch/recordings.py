"""Parsed recordings on disk: every file is read once, then mapped into memory by whoever needs it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from hallmark.storage.files import atomic_path, read_json, write_json
from hallmark.storage.hashing import digest
from hallmark.systems.touch.signals import FileError, read_frames, read_signals

_VERSION = 3


@dataclass(frozen=True)
class ParsedRecording:
    """Where one recording lies in the arrays of all of them.

    Attributes:
        error: why its signals cannot be used; "" if they can.
        rate: of the signals, in Hz; `rate_tolerance`: share of it that rounded times leave open.
        deviation: largest distance in seconds of a sample's time from a clock of that rate.
        missing: configured channels of which it has no value while it has some of others.
        first, samples: its rows of `Recordings.values`.
        starts: first row in `values` of each of its stretches without a gap.
        seconds: when each stretch starts, from the first sample on.
        frames_error: why its frames cannot be used; "" if they can or if it names none.
        frame_rate: in Hz; 0 without frames.
        first_frame, frames: its rows of `Recordings.frames`; the first frame is of the first sample's time.
    """

    error: str = ""
    rate: float = 0.0
    rate_tolerance: float = 0.0
    deviation: float = 0.0
    missing: list[str] = field(default_factory=list)
    first: int = 0
    samples: int = 0
    starts: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    frames_error: str = ""
    frame_rate: float = 0.0
    first_frame: int = 0
    frames: int = 0

    def lengths(self) -> list[int]:
        """Samples of each stretch."""
        return np.diff([*self.starts, self.first + self.samples]).tolist()


@dataclass(frozen=True)
class Recordings:
    """Recordings end to end.

    Attributes:
        values: float32 [samples, C] in physical units, nan where not observed; memory-mapped.
        frames: uint8, or float32 in [0, 1], [frames, H, W]; memory-mapped.
        parsed: by recording.
    """

    values: NDArray
    frames: NDArray
    parsed: list[ParsedRecording]


def load_recordings(table: pd.DataFrame, channels: Sequence[str], rate: float | None, cache: Path) -> Recordings:
    """Parse the files of `table` (from `read_manifest`), or map what another process has parsed.

    One folder under `cache` for the contents of all files together with `channels` and `rate`; its index is
    written last, so a folder without one does not count.
    """
    columns = table[["signals", "signals_digest", "frames_digest"]].to_numpy().tolist()
    files = [[Path(signals).suffix, *digests] for signals, *digests in columns]
    key = digest({"version": _VERSION, "channels": list(channels), "rate": rate, "files": files})
    folder = cache / "touch" / key
    if not (folder / "index.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if not (folder / "index.json").is_file():
                entries, values = _read_all_signals(table["signals"], channels, rate)
                frame_entries, frames = _read_all_frames(table["frames"])
                _save(folder / "values.npy", values, np.empty((0, len(channels)), np.float32))
                _save(folder / "frames.npy", frames, np.empty((0, 0, 0), np.uint8))
                pairs = zip(entries, frame_entries, strict=True)
                parsed = [ParsedRecording(**signals, **images) for signals, images in pairs]
                write_json(folder / "index.json", [asdict(recording) for recording in parsed])
    arrays = [np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in ("values", "frames")]
    return Recordings(arrays[0], arrays[1], [ParsedRecording(**entry) for entry in read_json(folder / "index.json")])


def _read_all_signals(
    paths: pd.Series, channels: Sequence[str], rate: float | None
) -> tuple[list[dict[str, Any]], list[NDArray]]:
    entries: list[dict[str, Any]] = []
    values: list[NDArray] = []
    first = 0
    for path in paths:
        try:
            read = read_signals(Path(path), channels, rate)
        except FileError as error:
            entries.append({"error": str(error)})
            continue
        entries.append({
            "rate": read.clock.rate, "rate_tolerance": read.clock.tolerance, "deviation": read.clock.deviation,
            "missing": read.missing, "first": first, "samples": len(read.values),
            "starts": (first + read.clock.starts).tolist(), "seconds": read.clock.seconds.tolist(),
        })  # fmt: skip
        values.append(read.values)
        first += len(read.values)
    return entries, values


def _read_all_frames(paths: pd.Series) -> tuple[list[dict[str, Any]], list[NDArray]]:
    """As for signals; frames of another size or rate than most are unusable."""
    contents: list[tuple[NDArray, float] | str] = []  # of each recording, or why it has none
    for path in paths:
        try:
            contents.append(read_frames(Path(path)) if path else "")
        except FileError as error:
            contents.append(str(error))
    kinds = Counter((content[0].shape[1:], content[1]) for content in contents if isinstance(content, tuple))
    usual = kinds.most_common(1)[0][0] if kinds else None
    entries: list[dict[str, Any]] = []
    parts: list[NDArray] = []
    for path, content in zip(paths, contents, strict=True):
        if isinstance(content, str):
            entries.append({"frames_error": content})
            continue
        frames, rate = content
        if (kind := (frames.shape[1:], rate)) != usual:
            detail = f"{path}: expected frames (size, rate in Hz) as most have, {usual}; found {kind}"
            entries.append({"frames_error": detail})
        else:
            entries.append({"frame_rate": rate, "first_frame": sum(map(len, parts)), "frames": len(frames)})
            parts.append(frames)
    if any(frames.dtype != np.uint8 for frames in parts):
        parts = [frames / np.float32(255) if frames.dtype == np.uint8 else frames for frames in parts]
    return entries, parts


def _save(path: Path, parts: list[NDArray], empty: NDArray) -> None:
    with atomic_path(path) as temporary:
        np.save(temporary, np.concatenate(parts) if parts else empty, allow_pickle=False)
