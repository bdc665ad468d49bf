"""Files of signals and of pressure frames as they come: CSV, Parquet, NPZ."""

import gzip
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.systems.touch.manifest import delimiter_of

_GAP = 1.5  # periods between two samples from which on something is missing between them
_BROKEN = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, gzip.BadGzipFile)


class FileError(ValueError):
    """A file that cannot be used; the message names it and says why."""


@dataclass(frozen=True)
class Signals:
    """What one file holds.

    Attributes:
        values: float32 [samples, C] in physical units, nan where nothing was measured.
        rate: in Hz.
        missing: configured channels of which the file has no value while it has some of others; all nan in `values`.
        starts: int [stretches], first sample of each stretch without a gap, ascending from 0.
        seconds: [stretches], when each of them starts, from the first sample of the recording.
    """

    values: NDArray
    rate: float
    missing: list[str]
    starts: NDArray
    seconds: NDArray


def read_signals(path: Path, channels: Sequence[str], rate: float | None) -> Signals:
    """Read the `channels` of one file; `rate` is for files that do not say theirs.

    CSV (also .csv.gz) and Parquet have a column a channel and a column `t` in seconds; NPZ has `signals`
    [samples, channels], `channels` and `rate`. Where `t` jumps by more than 1.5 periods a new stretch starts: a gap
    is neither bridged nor filled, so what was never recorded takes part in no window.

    Raises:
        FileError: it cannot be read, has none of the channels, or its time stands still or runs back.
    """
    try:
        table, own_rate = _npz(path) if path.suffix == ".npz" else (_frame(path), None)
    except _BROKEN as error:
        raise FileError(f"{path}: {error or type(error).__name__}") from error
    _demand(
        any(name in table for name in channels),
        path,
        f"one of the channels {', '.join(channels)}; found {', '.join(table.columns)}",
    )
    values = np.full((len(table), len(channels)), np.nan, np.float32)
    for place, name in enumerate(channels):
        if name in table:
            values[:, place] = _numbers(table[name], path)
    values[~np.isfinite(values)] = np.nan
    measured = [name for place, name in enumerate(channels) if np.isfinite(values[:, place]).any()]
    missing = [name for name in channels if name not in (measured or table)]
    if "t" not in table:
        found = own_rate or rate
        _demand(found is not None, path, "a column t in seconds, or else a rate: give data.rate")
        assert found is not None
        return Signals(values, float(found), missing, np.zeros(1, int), np.zeros(1))
    return Signals(values, *_timing(_numbers(table["t"], path), path, missing))


def read_frames(path: Path) -> tuple[NDArray, float]:
    """Pressure frames [N, H, W], uint8 or float32 in [0, 1], and their rate in Hz.

    Raises:
        FileError: it cannot be read or is not that.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            frames, rate = file["frames"], float(file["rate"])
    except (*_BROKEN, TypeError) as error:
        raise FileError(f"{path}: {error or type(error).__name__}") from error
    _demand(frames.ndim == 3 and len(frames) > 0, path, f"frames of the shape [N, H, W]; found {frames.shape}")
    _demand(np.isfinite(rate) and rate > 0, path, f"a positive rate; found {rate}")
    if frames.dtype == np.uint8:
        return frames, rate
    _demand(frames.dtype.kind == "f", path, f"frames in uint8 or float; found {frames.dtype}")
    low, high = float(frames.min()), float(frames.max())
    _demand(low >= 0 and high <= 1, path, f"float frames in [0, 1]; found {low:.4g} to {high:.4g}")
    return frames.astype(np.float32), rate


def _npz(path: Path) -> tuple[pd.DataFrame, float | None]:
    with np.load(path, allow_pickle=False) as file:
        names, signals = [str(name) for name in file["channels"]], file["signals"]
        rate = float(file["rate"]) if "rate" in file else None
    if signals.ndim != 2 or signals.shape[1] != len(names):
        raise ValueError(f"signals [samples, {len(names)}] for its channels; found {signals.shape}")
    if rate is not None and not (np.isfinite(rate) and rate > 0):
        raise ValueError(f"a positive rate; found {rate}")
    return pd.DataFrame(signals, columns=names), rate


def _frame(path: Path) -> pd.DataFrame:
    raw = path.read_bytes()
    if path.suffix == ".parquet":
        table = pd.read_parquet(BytesIO(raw))
    else:
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
        head = raw.partition(b"\n")[0].decode("utf-8-sig", errors="replace")
        table = pd.read_csv(BytesIO(raw), sep=delimiter_of(head), encoding="utf-8-sig")
    return table.set_axis(table.columns.astype(str).str.strip(), axis=1)


def _numbers(column: pd.Series, path: Path) -> NDArray:
    numbers = pd.to_numeric(column, errors="coerce")
    odd = column[numbers.isna() & column.notna()]
    _demand(odd.empty, path, f"numbers in the column {column.name}; found {odd.iloc[0] if len(odd) else ''!r}")
    return numbers.to_numpy(np.float64, na_value=np.nan)


def _timing(t: NDArray, path: Path, missing: list[str]) -> tuple[float, list[str], NDArray, NDArray]:
    _demand(len(t) > 1 and bool(np.isfinite(t).all()), path, "two or more samples, each with its time t")
    steps = np.diff(t)
    back = np.flatnonzero(steps <= 0)
    _demand(not len(back), path, f"t that rises; sample {back[0] + 2 if len(back) else 0} does not")
    period = float(np.median(steps))
    starts = np.concatenate([[0], np.flatnonzero(steps > _GAP * period) + 1])
    return 1 / period, missing, starts, t[starts] - t[0]


def _demand(condition: bool, path: Path, expected: str) -> None:
    if not condition:
        raise FileError(f"{path}: expected {expected}")
