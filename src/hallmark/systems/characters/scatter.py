"""A scatter matrix that grows by outer products, with the inverse of what it is shrunk to."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

_STEPS = 32  # of the ridge in a doubling
_LARGEST = 0.25  # of the dimension: more rows than that are not added to the inverse, which is computed anew


class Scatter:
    """Σ (x − x̄)(x − x̄)ᵀ [D, D] of samples that come and go.

    Attributes:
        inverse: of A = (1 − s)·scatter + ridge·I, with ridge = s·tr(scatter)/D rounded to a multiple of 2^(1/32), at
            most 1.1 % away: so it is the same until the trace has moved on, and a few samples change A by outer
            products alone, and its inverse by the formula of Woodbury in k·D² steps in place of D³.
    """

    def __init__(self, dimension: int, *, shrinkage: float) -> None:
        self.shrinkage, self.ridge, self.is_fixed = shrinkage, 0.0, False
        self.scatter = np.zeros((dimension, dimension), order="F")
        self._inverse: NDArray[np.float64] | None = None

    @property
    def inverse(self) -> NDArray[np.float64]:
        if self._inverse is None:
            self.ridge = self._rounded()
            factor, failed = lapack.dpotrf((1 - self.shrinkage) * self.scatter + self.ridge * np.eye(len(self.scatter)))
            assert failed == 0, "a scatter with a ridge is positive definite"
            upper, _ = lapack.dpotri(factor, overwrite_c=1)
            self._inverse = np.asfortranarray(np.triu(upper) + np.triu(upper, 1).T)
        return self._inverse

    @property
    def trace(self) -> float:
        return float(np.trace(self.scatter))

    @property
    def noise(self) -> float:
        """tr(A⁻¹ scatter)."""
        trace = float(np.trace(self.inverse))  # which sets the ridge
        if self.shrinkage == 1:
            return self.trace / self.ridge
        return (len(self.scatter) - self.ridge * trace) / (1 - self.shrinkage)

    def change(self, rows: NDArray[np.float64], sign: int) -> tuple[NDArray, NDArray] | None:
        """Add (sign 1) or take away (−1) Σ r rᵀ of `rows` [k, D].

        Gives (G [D, k], K [k, k]) by which the inverse became less: G K Gᵀ; None where it is computed anew.
        """
        if not len(rows):
            return np.zeros((len(self.scatter), 0)), np.zeros((0, 0))
        columns = np.asfortranarray(rows.T)
        self.scatter = blas.dgemm(sign, columns, columns, beta=1.0, c=self.scatter, trans_b=1, overwrite_c=1)
        if self._inverse is None:
            return None
        if not self.is_fixed and (self._rounded() != self.ridge or len(rows) > _LARGEST * len(self.scatter)):
            self._inverse = None
            return None
        if self.shrinkage == 1:
            return np.zeros((len(self.scatter), 0)), np.zeros((0, 0))
        solved = np.asfortranarray(self._inverse @ columns)
        inner = np.linalg.inv(np.eye(len(rows)) * sign / (1 - self.shrinkage) + columns.T @ solved)
        self._inverse = blas.dgemm(-1.0, solved @ inner, solved, beta=1.0, c=self._inverse, trans_b=1, overwrite_c=1)
        return solved, inner

    def clear(self) -> None:
        """Forget all samples."""
        self.scatter[:] = 0
        self._inverse = None

    def copy(self, *, is_fixed: bool) -> "Scatter":
        """Of the same samples; with the ridge that there is whatever changes, if it `is_fixed`."""
        copied = Scatter(1, shrinkage=self.shrinkage)
        copied.scatter, copied.is_fixed = self.scatter.copy(order="F"), is_fixed
        if is_fixed:
            copied._inverse, copied.ridge = self.inverse.copy(order="F"), self.ridge
        return copied

    def _rounded(self) -> float:
        spread = self.trace / len(self.scatter)
        return self.shrinkage * (2 ** (round(_STEPS * math.log2(spread)) / _STEPS) if spread > 0 else 1.0)


def moved(vectors: NDArray[np.float64], count: int, total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows [k, D] whose Σ r rᵀ is by how much the scatter of `count` samples with the sum `total` [D] differs with and
    without the further `vectors` [n, D] (Chan, Golub & LeVeque 1979).
    """
    mean = vectors.mean(axis=0)
    rows = vectors - mean if len(vectors) > 1 else vectors[:0]
    if count == 0:
        return rows
    between = math.sqrt(count * len(vectors) / (count + len(vectors))) * (mean - total / count)
    return np.vstack([rows, between])
