"""Files of signals and of pressure frames as they come: CSV, Parquet, NPZ."""

import gzip
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.storage.delimited import DELIMITERS, TableError, read_numbers
from hallmark.storage.regular import UnreadableFileError, read_regular
from hallmark.systems.touch.clock import Clock, read_clock

T = TypeVar("T")
_LARGEST = 4 << 30  # bytes of a file when unpacked; a small file can hold any number of zeros


class FileError(ValueError):
    """A file that cannot be used; the message names it and says why."""


@dataclass(frozen=True)
class Signals:
    """What one file holds.

    Attributes:
        values: float32 [samples, C] in physical units, nan where nothing was measured.
        missing: configured channels of which the file has no value while it has some of others; all nan in `values`.
        clock: when the samples were taken.
    """

    values: NDArray
    missing: list[str]
    clock: Clock


def read_signals(path: Path, channels: Sequence[str], rate: float | None) -> Signals:
    """Read the `channels` of one file; `rate` is for files that do not say theirs, or say it in rounded times.

    CSV (also .csv.gz) and Parquet have a column a channel and a column `t` in seconds; NPZ has `signals`
    [samples, channels], `channels` and `rate`. Where `t` jumps by more than 1.5 periods a new stretch starts: a gap
    is neither bridged nor filled, so what was never recorded takes part in no window.

    Raises:
        FileError: it cannot be read, has none of the channels, or its time stands still or runs back.
    """
    table, file_rate = _parsed(path, _npz if path.suffix == ".npz" else _frame)
    expected = f"one of the channels {', '.join(channels)}; found {', '.join(table.columns)}"
    _demand(any(name in table for name in channels), path, expected)
    values = np.full((len(table), len(channels)), np.nan, np.float32)
    for channel, name in enumerate(channels):
        if name in table:
            values[:, channel] = _numbers(table[name], path)
    values[~np.isfinite(values)] = np.nan
    measured = [name for name, column in zip(channels, values.T, strict=True) if np.isfinite(column).any()]
    missing = [name for name in channels if name not in (measured or table)]
    if "t" not in table:
        known = file_rate or rate
        _demand(known is not None, path, "a column t in seconds, or else a rate: give data.rate")
        assert known is not None
        return Signals(values, missing, Clock(float(known), 0.0, np.zeros(1, int), np.zeros(1), 0.0))
    try:
        return Signals(values, missing, read_clock(_numbers(table["t"], path), rate))
    except ValueError as error:
        raise FileError(str(error) if isinstance(error, FileError) else f"{path}: expected {error}") from error


def read_frames(path: Path) -> tuple[NDArray, float]:
    """Pressure frames [N, H, W], uint8 or float32 in [0, 1], and their rate in Hz.

    Raises:
        FileError: it cannot be read or is not that.
    """
    frames, rate = _parsed(path, _npz_frames)
    _demand(frames.ndim == 3 and len(frames) > 0, path, f"frames of the shape [N, H, W]; found {frames.shape}")
    _demand(np.isfinite(rate) and rate > 0, path, f"a positive rate; found {rate}")
    if frames.dtype == np.uint8:
        return frames, rate
    _demand(frames.dtype.kind == "f", path, f"frames in uint8 or float; found {frames.dtype}")
    low, high = float(frames.min()), float(frames.max())
    _demand(low >= 0 and high <= 1, path, f"float frames in [0, 1]; found {low:.4g} to {high:.4g}")
    return frames.astype(np.float32), rate


def _parsed(path: Path, parse: Callable[[bytes, Path], T]) -> T:
    """The content of a file as `parse` reads it; `FileError` whatever goes wrong.

    A damaged or absurd file leads zip, gzip, Parquet and NumPy into errors of any kind, a lack of memory included.
    """
    try:
        return parse(read_regular(path), path)
    except (UnreadableFileError, TableError) as error:
        raise FileError(str(error)) from error
    except Exception as error:
        if "pickle" in str(error):  # NumPy's own words are advice to load the file unsafely
            raise FileError(f"{path}: refused, because it holds pickled objects") from None
        kind = "" if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: "
        raise FileError(f"{path}: {kind}{str(error) or 'cannot be read'}") from error


def _check_unpacked_size(raw: bytes) -> None:
    if not zipfile.is_zipfile(BytesIO(raw)):
        return  # NumPy says what it is
    with zipfile.ZipFile(BytesIO(raw)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _LARGEST:
        raise ValueError(f"expected at most {_LARGEST:,} bytes when unpacked; it declares {size:,}")


def _npz_frames(raw: bytes, path: Path) -> tuple[NDArray, float]:
    _check_unpacked_size(raw)
    with np.load(BytesIO(raw), allow_pickle=False) as file:
        return np.asarray(file["frames"]), float(file["rate"])


def _npz(raw: bytes, path: Path) -> tuple[pd.DataFrame, float | None]:
    _check_unpacked_size(raw)
    with np.load(BytesIO(raw), allow_pickle=False) as file:
        names, signals = [str(name) for name in file["channels"]], file["signals"]
        rate = float(file["rate"]) if "rate" in file else None
    if signals.ndim != 2 or signals.shape[1] != len(names):
        raise ValueError(f"signals [samples, {len(names)}] for its channels; found {signals.shape}")
    if rate is not None and not (np.isfinite(rate) and rate > 0):
        raise ValueError(f"a positive rate; found {rate}")
    return pd.DataFrame(signals, columns=names), rate


def read_numeric_table(path: Path) -> pd.DataFrame:
    """All columns of a CSV (also .csv.gz) or Parquet file; raises `FileError` where it cannot be read."""
    return _parsed(path, _frame)[0]


def _frame(raw: bytes, path: Path) -> tuple[pd.DataFrame, None]:
    if path.suffix == ".gz":
        with gzip.open(BytesIO(raw)) as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise ValueError(f"expected at most {_LARGEST:,} bytes when unpacked")
    if path.suffix == ".parquet":
        table = pd.read_parquet(BytesIO(raw))
    else:
        table = read_numbers(raw, path, delimiters=DELIMITERS)
    return table.set_axis(table.columns.astype(str).str.strip(), axis=1), None


def _numbers(column: pd.Series, path: Path) -> NDArray:
    numbers = pd.to_numeric(column, errors="coerce")
    odd = column[numbers.isna() & column.notna()]
    _demand(odd.empty, path, f"numbers in the column {column.name}; found {odd.iloc[0] if len(odd) else ''!r}")
    return numbers.to_numpy(np.float64, na_value=np.nan)


def _demand(condition: bool, path: Path, expected: str) -> None:
    if not condition:
        raise FileError(f"{path}: expected {expected}")
