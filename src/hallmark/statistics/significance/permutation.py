"""Permutation tests of paired values: two systems are exchanged in whole groups by fair coins.

p = (b + 1) / (m + 1), with b of m permutations at least as far from 0 as observed (Phipson & Smyth 2010), so it is
never 0. Fewer than 1 + log2(1 / alpha) groups cannot reach p <= alpha.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from hallmark.statistics.metrics.classification import Floats
from hallmark.statistics.sample import value_groups
from hallmark.statistics.uncertainty import block_sizes

TOLERANCE = 1e-12  # differences closer than rounding are ties, and ties count against the observed difference


def permutation_test(
    first: ArrayLike, second: ArrayLike, groups: ArrayLike | None = None, *, permutations: int, seed: int
) -> float:
    """Two-sided p of the difference of two means of paired values, by flipping the signs of whole groups.

    Were the systems exchangeable within every group, that would leave the distribution of the difference unchanged.

    Args:
        first, second: [N] finite values of the same rows (correctness, IoU, loss).
        groups: [N] labels of the unit that is exchanged; None exchanges rows.
        permutations: number of random sign patterns.
        seed: of the coins.

    Raises:
        ValueError: no values, one that is not finite, unequal lengths, a row without group, or no permutations.
    """
    left, right = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if left.ndim != 1 or left.shape != right.shape or left.size == 0:
        raise ValueError(f"first {left.shape} and second {right.shape} must be columns of one length, at least 1")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise ValueError("first and second must hold finite numbers only")
    if permutations < 1:
        raise ValueError(f"permutations={permutations}: give at least 1")
    codes, n_groups = value_groups(groups, left.size)
    change = np.bincount(codes, weights=right - left, minlength=n_groups) / left.size
    null = [(1 - 2 * coins) @ change for coins in fair_coins(n_groups, left.size, permutations, seed)]
    return permutation_p(float(change.sum()), np.concatenate(null))


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
