"""Permutation tests of paired values: two systems are exchanged in whole groups by fair coins.

p = (b + 1) / (m + 1), with b of m permutations at least as far from 0 as observed (Phipson & Smyth 2010), so it is
never 0. Fewer than 1 + log2(1 / alpha) groups cannot reach p <= alpha.
"""

import math
from collections.abc import Iterator

import numpy as np

from hallmark.statistics.metrics.classification import Floats
from hallmark.statistics.uncertainty import block_sizes

TOLERANCE = 1e-12  # differences closer than rounding are ties, and ties count against the observed difference


def fair_coins(n_groups: int, n_rows: int, permutations: int, seed: int) -> Iterator[Floats]:
    """Blocks [r, G] of 0 and 1, `permutations` rows in all; `n_rows` bounds the memory of a block."""
    rng = np.random.default_rng(seed)
    for size in block_sizes(n_rows, permutations):
        yield rng.integers(2, size=(size, n_groups)).astype(np.float64)


def permutation_p(observed: float, null: Floats) -> float:
    """Two-sided p of `observed` among the permuted values [m]; nan where `observed` is."""
    if math.isnan(observed):
        return math.nan
    extreme = int((np.abs(null) >= abs(observed) - TOLERANCE).sum())
    return (extreme + 1) / (null.size + 1)
