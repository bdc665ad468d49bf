"""Classes that are told apart by a ridge regression on random features."""

from collections import Counter
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from hallmark.systems.characters.learner import Learner, products

_RIDGES = 10.0 ** np.arange(-8, 9)
_HELD_OUT = 5  # every fifth sample chooses the ridge


class RandomProjection(Learner):
    """RanPAC (McDonnell et al. 2023, arXiv:2307.02251): logits h·(G + λI)⁻¹Q of h = relu(x·W), W ~ N(0, 1) [D, M].

    G = Σ h hᵀ [M, M] and Q [M, C], which has a column more for each new class, are sums over samples. λ of 10⁻⁸ to 10⁸
    is that of the least squared error on every fifth sample of a regression on the others, in an order that depends on
    nothing else. Logits of all classes move with each change, because all share G.

    Args:
        dimension: D.
        features: M; G has 8·M² bytes.
    """

    def __init__(self, dimension: int, *, features: int) -> None:
        super().__init__(features)
        self._weights = np.random.default_rng(0).standard_normal((dimension, features))
        self._gram = np.zeros((features, features))
        self._vectors: dict[str, NDArray] = {}  # of each class [n, D], by which λ is chosen
        self._solver: tuple[NDArray, bool] | None = None

    def logits(self, vectors: NDArray) -> NDArray[np.float64]:
        if self._solver is None:
            self._solver = cho_factor(self._gram + self._ridge() * np.eye(len(self._gram)))
        return products(cho_solve(self._solver, self._projected(vectors).T).T, self.sums)

    def known(self, vectors: NDArray, logits: NDArray) -> NDArray[np.float64]:
        """The largest logit, which regression moves towards 1."""
        return np.asarray(logits.max(axis=1))

    def add(self, label: str, vectors: NDArray) -> int:
        features = self._projected(vectors)
        self._gram += features.T @ features
        self._vectors[label] = np.concatenate([self._vectors.get(label, vectors[:0]), vectors])
        self._solver = None
        return super().add(label, features)

    def remove(self, label: str, vectors: NDArray) -> int | None:
        features = self._projected(vectors)
        self._gram -= features.T @ features
        gone, remaining = Counter(vector.tobytes() for vector in vectors), []
        for vector in self._vectors.pop(label):
            if gone[vector.tobytes()]:  # as many of equal ones as are taken away
                gone[vector.tobytes()] -= 1
            else:
                remaining.append(vector)
        if remaining:
            self._vectors[label] = np.stack(remaining)
        self._solver = None
        return super().remove(label, features)

    def without(self, label: str, vectors: NDArray) -> Self:
        other = self.copied()
        other._gram, other._vectors = self._gram.copy(), self._vectors.copy()
        other.remove(label, vectors)
        return other

    def _projected(self, vectors: NDArray) -> NDArray[np.float64]:
        """[N, M]"""
        return np.maximum(np.asarray(vectors, np.float64) @ self._weights, 0)

    def _ridge(self) -> float:
        rows = [(label, vector.tobytes(), vector) for label, vectors in self._vectors.items() for vector in vectors]
        rows.sort(key=lambda row: row[:2])
        features = self._projected(np.stack([vector for _, _, vector in rows]))
        targets = np.array([[label == name for name in self.classes] for label, _, _ in rows], float)
        is_held_out = np.arange(len(features)) % _HELD_OUT == _HELD_OUT - 1
        learned, held_out = features[~is_held_out], features[is_held_out]
        if not len(held_out):
            return 1.0
        # As h·(HᵀH + λI)⁻¹HᵀY = h·Hᵀ(HHᵀ + λI)⁻¹Y, of which the smaller matrix has its eigenvalues computed once.
        if len(learned) <= learned.shape[1]:
            values, vectors = np.linalg.eigh(learned @ learned.T)
            before, after = held_out @ learned.T @ vectors, vectors.T @ targets[~is_held_out]
        else:
            values, vectors = np.linalg.eigh(learned.T @ learned)
            before, after = held_out @ vectors, vectors.T @ (learned.T @ targets[~is_held_out])
        errors = [((before / (values + ridge) @ after - targets[is_held_out]) ** 2).sum() for ridge in _RIDGES]
        return float(_RIDGES[int(np.argmin(errors))])
