"""Distances between two sets by their features alone."""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from hallmark.statistics.metrics.classification import Floats, Integers
from hallmark.statistics.metrics.sets.rows import Blocks, Rows

LARGEST_FEATURE = 1e45
"""In size; the kernel is a sixth power of features, and its sums over pairs of larger ones overflow."""

_DEGREE = 3  # of the kernel
_CHUNK = 2**22  # entries of a kernel matrix that are held at once


class Distance(Protocol):
    """A number of two sets [N, D] and [M, D] of features.

    Attributes:
        name: as tables have it.
        low: the least value that it can have.
    """

    @property
    def name(self) -> str: ...

    @property
    def low(self) -> float: ...

    def __call__(self, first: Floats, second: Floats) -> float:
        """The value; nan where a set has fewer than two rows.

        Raises:
            ValueError: features that do not fit each other.
        """
        ...

    def without_blocks(self, first: Floats, second: Floats, blocks: tuple[Integers, Integers], n_blocks: int) -> Floats:
        """The values [n_blocks] without the rows of each block; `blocks` [N] and [M] say which block a row is of."""
        ...


class FrechetDistance:
    """Fréchet distance of the normal distributions with the means and covariances of two sets [N, D] and [M, D].

    ||mean difference||² + tr(A + B - 2 (A B)^(1/2)) with covariances A and B of divisor N - 1; on Inception features it
    is the FID (Heusel et al. 2017, arXiv:1706.08500). It grows as sets shrink: compare values of equal N only.
    """

    name, low = "frechet_distance", 0.0

    def __call__(self, first: Floats, second: Floats) -> float:
        _check(first, second)
        return _frechet(_Normal.of(first), _Normal.of(second))

    def without_blocks(self, first: Floats, second: Floats, blocks: tuple[Integers, Integers], n_blocks: int) -> Floats:
        _check(first, second)
        normals = [_Normal.of(rows) for rows in (first, second)]
        values = np.empty(n_blocks)
        for block in range(n_blocks):
            left = [
                normal if (others := code != block).all() else _Normal.of(rows[others])
                for rows, code, normal in zip((first, second), blocks, normals, strict=True)
            ]
            values[block] = _frechet(*left)
        return values


@dataclass(frozen=True)
class _Normal:
    """A mean [D] and L [K, D] with K = min(N, D) and L'L the covariance; of fewer than two rows there is no L."""

    mean: Floats
    root: Floats | None

    @classmethod
    def of(cls, rows: Floats) -> "_Normal":
        if len(rows) < 2:
            return cls(np.full(rows.shape[1], math.nan), None)
        mean: Floats = rows.mean(axis=0)
        root: Floats = (rows - mean) / math.sqrt(len(rows) - 1)
        return cls(mean, root if len(rows) <= rows.shape[1] else np.linalg.qr(root).R)


def _frechet(first: _Normal, second: _Normal) -> float:
    if first.root is None or second.root is None:
        return math.nan
    shift = first.mean - second.mean
    # With A = L'L and B = R'R, A B has the eigenvalues of (L R')(L R')', so that the trace of its root is the sum
    # of the singular values of L R'. No root of a singular matrix is taken.
    cross = np.linalg.norm(first.root @ second.root.T, "nuc")
    return max(0.0, float(shift @ shift + (first.root**2).sum() + (second.root**2).sum() - 2 * cross))


class KernelDistance:
    """Unbiased squared maximum mean discrepancy of two sets with the kernel (x·y / D + 1)³.

    On Inception features it is the KID (Bińkowski et al. 2018, arXiv:1801.01401, section 4), here of all pairs of rows
    at once. Its mean does not depend on the sizes of the sets; it can be below 0.
    """

    name, low = "kernel_distance", -math.inf

    def __call__(self, first: Floats, second: Floats) -> float:
        together = np.zeros(len(first), dtype=np.intp), np.zeros(len(second), dtype=np.intp)
        return float(self._values(first, second, together, np.ones((1, 1)))[0])

    def without_blocks(self, first: Floats, second: Floats, blocks: tuple[Integers, Integers], n_blocks: int) -> Floats:
        return self._values(first, second, blocks, 1 - np.eye(n_blocks))

    def _values(self, first: Floats, second: Floats, blocks: tuple[Integers, Integers], weights: Floats) -> Floats:
        """The values [V] of what is left of both sets where blocks count by `weights` [V, B] of 1 or 0."""
        _check(first, second)
        n_blocks = weights.shape[1]
        rows, codes = np.concatenate([first, second]), np.concatenate([blocks[0], n_blocks + blocks[1]])
        itself = np.bincount(codes, weights=self._of_itself(rows), minlength=2 * n_blocks)
        sums, sizes = self._pair_sums(rows, codes, 2 * n_blocks), np.bincount(codes, minlength=2 * n_blocks)
        nothing = np.zeros_like(weights)
        of_first, of_second = np.hstack([weights, nothing]), np.hstack([nothing, weights])
        n, m = of_first @ sizes, of_second @ sizes
        with np.errstate(divide="ignore", invalid="ignore"):
            within = [
                (((part @ sums) * part).sum(axis=1) - part @ itself) / (size * (size - 1))
                for part, size in ((of_first, n), (of_second, m))
            ]
            values = within[0] + within[1] - 2 * ((of_first @ sums) * of_second).sum(axis=1) / (n * m)
        return np.where(np.minimum(n, m) < 2, math.nan, values)

    def _of_itself(self, rows: Floats) -> Floats:
        kernel: Floats = ((rows**2).sum(axis=1) / rows.shape[1] + 1) ** _DEGREE
        return kernel

    def _pair_sums(self, rows: Floats, codes: Integers, n_codes: int) -> Floats:
        """Sums [C, C] of the kernel over all pairs of rows [N, D], by the codes 0 .. C - 1 [N] of both."""
        order = np.argsort(codes, kind="stable")
        rows, present = rows[order], np.flatnonzero(np.bincount(codes, minlength=n_codes))
        starts = np.searchsorted(codes[order], present)
        by_row, step = np.empty((len(rows), len(present))), max(1, _CHUNK // max(1, len(rows)))
        for start in range(0, len(rows), step):
            kernel = (rows[start : start + step] @ rows.T / rows.shape[1] + 1) ** _DEGREE
            by_row[start : start + step] = np.add.reduceat(kernel, starts, axis=1)
        sums = np.zeros((n_codes, n_codes))
        sums[np.ix_(present, present)] = np.add.reduceat(by_row, starts, axis=0)
        return sums


@dataclass(frozen=True)
class OfDistance:
    """What a metric of sets has of a distance.

    Attributes:
        distance: of features; suffix: of its name, for the metric's.
    """

    distance: Distance
    suffix: ClassVar[str] = ""
    high: ClassVar[float] = math.inf

    @property
    def name(self) -> str:
        return f"{self.distance.name}{self.suffix}"

    @property
    def low(self) -> float:
        return self.distance.low


class OfFeatures(OfDistance):
    """A distance between the features of two sets of rows."""

    def __call__(self, real: Rows, generated: Rows) -> float:
        return self.distance(real.features, generated.features)

    def without_blocks(self, real: Rows, generated: Rows, blocks: Blocks, n_blocks: int) -> Floats:
        return self.distance.without_blocks(real.features, generated.features, blocks, n_blocks)


def _check(first: Floats, second: Floats) -> None:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"a distance is of two sets of rows [N, D] with one D, got {first.shape} and {second.shape}")
