"""Classes that are told apart by the directions of their mean embeddings."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from hallmark.systems.characters.learner import Learner, products


class NearestMean(Learner):
    """The class whose mean has the largest cosine with the sample; logits are these cosines.

    The logit of a class is bit for bit the same whatever becomes of other classes.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self._lengths: NDArray[np.float64] = np.zeros(0)

    def logits(self, vectors: NDArray) -> NDArray[np.float64]:
        x = np.asarray(vectors, np.float64)
        return products(x, self.sums) / np.linalg.norm(x, axis=1, keepdims=True) / self._lengths

    def known(self, vectors: NDArray, logits: NDArray) -> NDArray[np.float64]:
        """The largest cosine."""
        return np.asarray(logits.max(axis=1))

    def add(self, label: str, vectors: NDArray) -> int:
        index = super().add(label, vectors)
        if index == len(self._lengths):
            self._lengths = np.append(self._lengths, 0)
        self._lengths[index] = np.linalg.norm(self.sums[index])
        return index

    def remove(self, label: str, vectors: NDArray) -> int | None:
        before = self._indices[label]
        index = super().remove(label, vectors)
        if index is None:
            self._lengths = np.delete(self._lengths, before)
        else:
            self._lengths[index] = np.linalg.norm(self.sums[index])
        return index

    def without(self, label: str, vectors: NDArray) -> Self:
        other = self.copied()
        other._lengths = self._lengths.copy()
        other.remove(label, vectors)
        return other
