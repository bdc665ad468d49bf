"""Pairs of 64-bit codes within a Hamming distance, without comparing all with all."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_PARTS, _PART_BITS = 4, 16
_PART_RADIUS = 2
RADIUS = _PARTS * (_PART_RADIUS + 1) - 1
"""Greatest distance up to which `pairs_within` misses nothing."""

# Codes that differ in at most 11 of 64 bits differ in at most 2 bits of one of four parts, for 4 · 3 = 12: looking
# up the 137 keys around each part finds every pair (multi-index hashing, Norouzi et al. 2012).
_MASKS = np.array([mask for mask in range(1 << _PART_BITS) if mask.bit_count() <= _PART_RADIUS])
_DENSE = 1 << 24  # up to so many comparisons all with all is the quicker way
_DENSE_BLOCK = 1 << 20
_BLOCK = 1 << 17  # comparisons at a time: their arrays stay in the processor's cache


def pairs_within(first: NDArray, second: NDArray | None, radius: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Every pair of codes that differ in at most `radius` bits, each once, in blocks of two index arrays.

    Args:
        first: uint64 [N]. Memory grows with N, time with N² / 65,536 where codes are spread evenly.
        second: uint64 [M] to compare `first` with; None for `first` with itself, where i < j for all pairs (i, j).
        radius: in bits, at most `RADIUS`.
    """
    assert 0 <= radius <= RADIUS, f"radius {radius} is beyond {RADIUS}"
    codes = first if second is None else second
    if len(first) * len(codes) <= _DENSE:
        step = max(1, _DENSE_BLOCK // max(1, len(codes)))
        for start in range(0, len(first), step):
            rows, columns = np.nonzero(np.bitwise_count(first[start : start + step, None] ^ codes) <= radius)
            rows += start
            upper = slice(None) if second is not None else rows < columns
            yield rows[upper], columns[upper]
        return
    for part in range(_PARTS):
        for i, j in _pairs_of_part(first, second, part, radius):
            difference = first[i] ^ codes[j]
            earlier = np.zeros(len(i), bool)
            for before in range(part):
                earlier |= np.bitwise_count(_keys(difference, before)) <= _PART_RADIUS
            i, j = i[~earlier], j[~earlier]
            yield (i, j) if second is not None else (np.minimum(i, j), np.maximum(i, j))


def _pairs_of_part(
    first: NDArray, second: NDArray | None, part: int, radius: int
) -> Iterator[tuple[NDArray, NDArray]]:  # fmt: skip
    """Pairs within `radius` that differ in at most `_PART_RADIUS` bits of `part`."""
    itself = second is None
    keys, codes, order = _sorted_by(first, part)
    table_keys, table_codes, table_order = (keys, codes, order) if second is None else _sorted_by(second, part)
    starts = np.searchsorted(table_keys, np.arange((1 << _PART_BITS) + 1))
    for mask in _MASKS:
        wanted = keys ^ mask
        low, high = starts[wanted], starts[wanted + 1]
        if itself:  # a pair of buckets once, and a pair within a bucket once
            low = np.arange(1, len(keys) + 1) if mask == 0 else np.where(keys < wanted, low, high)
        for rows, columns in _ranges(low, high):
            near = np.flatnonzero(np.bitwise_count(codes[rows] ^ table_codes[columns]) <= radius)
            if len(near):
                yield order[rows[near]], table_order[columns[near]]


def _keys(codes: NDArray, part: int) -> NDArray:
    return (codes >> np.uint64(part * _PART_BITS)).astype(np.uint16)


def _sorted_by(codes: NDArray, part: int) -> tuple[NDArray, NDArray, NDArray]:
    keys = _keys(codes, part).astype(np.int32)
    order = np.argsort(keys, kind="stable")
    return keys[order], codes[order], order


def _ranges(low: NDArray, high: NDArray) -> Iterator[tuple[NDArray, NDArray]]:
    """(row, column) for every column from low[row] to before high[row], about `_BLOCK` at a time."""
    counts = high - low
    ends = np.cumsum(counts)
    row, total = 0, int(ends[-1]) if len(ends) else 0
    while row < len(low) and (int(ends[row - 1]) if row else 0) < total:
        before = int(ends[row - 1]) if row else 0
        stop = max(row + 1, int(np.searchsorted(ends, before + _BLOCK, side="right")))
        of_rows = counts[row:stop]
        rows = np.repeat(np.arange(row, stop), of_rows)
        shift = low[row:stop] - (ends[row:stop] - of_rows) + before
        yield rows, np.repeat(shift, of_rows) + np.arange(len(rows))
        row = stop
