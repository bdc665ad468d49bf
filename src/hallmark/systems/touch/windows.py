"""Windows of equal length over stretches of signals."""

import numpy as np
from numpy.typing import NDArray


def lay_windows(starts: NDArray, lengths: NDArray, size: int, step: int) -> tuple[NDArray, NDArray]:
    """Windows of `size` samples, `step` apart, over stretches of the given `starts` and `lengths`: first samples [W]
    and their stretches [W]. The rest at the end of a stretch, shorter than a step, belongs to no window."""
    inside = [np.arange(0, length - size + 1, step) for length in lengths]
    counts = [len(first) for first in inside]
    offsets = np.concatenate([np.empty(0, int), *(start + first for start, first in zip(starts, inside, strict=True))])
    return offsets.astype(int), np.repeat(np.arange(len(counts)), counts)


def observed_shares(values: NDArray, offsets: NDArray, size: int) -> NDArray:
    """Share of measured values in each window, [W], of `values` [samples, C]."""
    seen = np.concatenate([[0], np.cumsum(np.isfinite(values).sum(axis=1))])
    return (seen[offsets + size] - seen[offsets]) / (size * values.shape[1])


def coverage(offsets: NDArray, size: int, samples: int) -> NDArray:
    """Number of windows that each of `samples` samples lies in, int [samples]."""
    edges = np.zeros(samples + 1, int)
    np.add.at(edges, offsets, 1)
    np.add.at(edges, offsets + size, -1)
    return np.cumsum(edges)[:-1]


def cut(values: NDArray, offsets: NDArray, size: int) -> NDArray:
    """Copies of windows, [W, C, size], of `values` [samples, C]."""
    return values[offsets[:, None] + np.arange(size)].transpose(0, 2, 1)
