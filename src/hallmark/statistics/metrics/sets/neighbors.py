"""How generated rows lie among real ones, by the distances between their features."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hallmark.statistics.metrics.classification import Floats
from hallmark.statistics.metrics.sets.rows import Blocks, Rows, left

NEIGHBORS = 5
COPY_QUANTILE = 0.01

_TIE = 1e-9  # squared distances nearer than this share of each other are equal, but for rounding
_CHUNK = 2**22  # entries of a matrix of distances that are held at once


def squared_distances(first: Floats, second: Floats) -> Floats:
    """Squared Euclidean distances [N, M] of rows [N, D] and [M, D]; of equal rows exactly 0."""
    sizes = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)
    squared: Floats = np.maximum(sizes - 2 * first @ second.T, 0)
    rows, columns = np.nonzero(squared <= 1e-7 * sizes)  # where the difference is mostly rounding
    step = max(1, _CHUNK // max(1, first.shape[1]))
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        squared[i, j] = ((first[i] - second[j]) ** 2).sum(axis=1)
    return squared


def nearest_distances(rows: Floats, others: Floats) -> Floats:
    """Of each of `rows` [N, D] the Euclidean distance to the nearest of `others` [M, D], [N]."""
    step = max(1, _CHUNK // len(others))
    parts = [squared_distances(rows[i : i + step], others).min(axis=1) for i in range(0, len(rows), step)]
    return np.sqrt(np.concatenate([np.empty(0), *parts]))


class _OfBlocks(ABC):
    """A metric whose value is the one without a block that has no row."""

    def __call__(self, real: Rows, generated: Rows) -> float:
        every = np.ones(len(real), dtype=np.intp), np.ones(len(generated), dtype=np.intp)  # left without block 0
        return float(self.without_blocks(real, generated, every, 1)[0])

    @abstractmethod
    def without_blocks(self, real: Rows, generated: Rows, blocks: Blocks, n_blocks: int) -> Floats:
        """As `SetMetric` has it."""


@dataclass(frozen=True)
class Neighborhoods(_OfBlocks):
    """How generated rows lie in the balls around real rows that reach to their k-th nearest real neighbor.

    Density is the number of balls that hold a generated row, mean over these, over k; coverage the share of balls that
    hold any (Naeem et al. 2020, arXiv:2002.09797, equations 4 and 5; k = 5 as there). As in the authors' code a ball is
    without its border, but here it always has its center: a set covers itself, equal rows or not.
    """

    name: str
    high: float
    value: Callable[[NDArray[np.bool_]], float]
    low: float = 0.0

    def without_blocks(self, real: Rows, generated: Rows, blocks: Blocks, n_blocks: int) -> Floats:
        among, across = (squared_distances(real.features, rows.features) for rows in (real, generated))
        np.fill_diagonal(among, np.inf)
        values = np.full(n_blocks, math.nan)
        for block, (first, second) in enumerate(left(blocks, n_blocks)):
            if first.sum() > NEIGHBORS and second.any():
                of_left = among[np.ix_(first, first)]
                radius = np.partition(of_left, NEIGHBORS - 1, axis=1)[:, NEIGHBORS - 1, None]
                distance = across[np.ix_(first, second)]
                values[block] = self.value((distance < radius * (1 - _TIE)) | (distance == 0))
        return values


DENSITY = Neighborhoods("neighbor_density", math.inf, lambda inside: float(inside.sum(axis=0).mean() / NEIGHBORS))
COVERAGE = Neighborhoods("neighbor_coverage", 1.0, lambda inside: float(inside.any(axis=1).mean()))


@dataclass(frozen=True)
class Diversity(_OfBlocks):
    """Mean distance between two generated rows of a class, mean over classes, over the same of real rows.

    Of the classes of which both sets have two rows; undefined where there is none, or where real rows do not differ.
    """

    name: str = "diversity"
    low: float = 0.0
    high: float = math.inf

    def without_blocks(self, real: Rows, generated: Rows, blocks: Blocks, n_blocks: int) -> Floats:
        sums = np.zeros((2, n_blocks))
        for name in np.intersect1d(real.target, generated.target):
            means = np.stack([
                _mean_pair(rows.features[rows.target == name], block[rows.target == name], n_blocks)
                for rows, block in zip((real, generated), blocks, strict=True)
            ])  # fmt: skip
            sums += np.where(np.isfinite(means).all(axis=0), means, 0)
        return np.divide(sums[1], sums[0], out=np.full(n_blocks, math.nan), where=sums[0] > 0)


def _mean_pair(rows: Floats, block: NDArray[np.intp], n_blocks: int) -> Floats:
    """Mean distance [B] between two of rows [N, D] without those of each block; nan of fewer than two."""
    distance = np.sqrt(squared_distances(rows, rows))
    values = np.full(n_blocks, math.nan)
    for number in range(n_blocks):
        remaining = block != number
        n = int(remaining.sum())
        if n >= 2:
            values[number] = distance[np.ix_(remaining, remaining)].sum() / (n * (n - 1))
    return values


def copies(real: Rows, generated: Rows) -> float:
    """Share of generated rows nearer to a training row than all but 1 % of the real rows, which are held out, are.

    Undefined of training rows, which are at distance 0 from themselves.
    """
    if not len(generated) or not len(real) or np.isnan(real.train_distance).any():
        return math.nan
    return float((generated.train_distance < np.quantile(real.train_distance, COPY_QUANTILE)).mean())
