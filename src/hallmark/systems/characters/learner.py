"""What tells classes apart that come and go, each known by a few embeddings."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray


class Learner(ABC):
    """Base of the methods.

    Attributes:
        classes: names [C], in no order that means anything.
        counts: samples of each [C].
        sums: of the vectors of each [C, D].
    """

    def __init__(self, dimension: int) -> None:
        self.classes: list[str] = []
        self.counts = np.zeros(0, np.int64)
        self._sums = np.zeros((0, dimension))  # with room for more classes than there are
        self._indices: dict[str, int] = {}

    @property
    def sums(self) -> NDArray[np.float64]:
        return self._sums[: len(self.classes)]

    @abstractmethod
    def logits(self, vectors: NDArray) -> NDArray[np.float64]:
        """[N, C] of `vectors` [N, D]."""

    @abstractmethod
    def known(self, vectors: NDArray, logits: NDArray) -> NDArray[np.float64]:
        """[N], higher for a sample of one of the classes, of `vectors` [N, D] with their `logits`."""

    @abstractmethod
    def without(self, label: str, vectors: NDArray) -> Self:
        """What there would be without the class `label`, all of whose samples are `vectors`."""

    def add(self, label: str, vectors: NDArray) -> int:
        """Add `vectors` [n, D] to the class `label`, new or known; gives its index in `classes`."""
        if label not in self._indices:
            self._indices[label] = len(self.classes)
            self.classes.append(label)
            self.counts = np.append(self.counts, 0)
            if len(self.classes) > len(self._sums):
                room = np.zeros((len(self._sums) + 8, self._sums.shape[1]))
                self._sums = np.concatenate([self._sums, room])
            self._sums[len(self.classes) - 1] = 0
        index = self._indices[label]
        self.counts[index] += len(vectors)
        self._sums[index] += np.asarray(vectors, np.float64).sum(axis=0)
        return index

    def add_all(self, vectors: NDArray, labels: Sequence[str]) -> None:
        """Add `vectors` [N, D] to the classes `labels` [N]."""
        for label, of_class in grouped(vectors, labels):
            self.add(label, of_class)

    def remove(self, label: str, vectors: NDArray) -> int | None:
        """Take `vectors` [n, D] from the class `label`; gives its index, None if it has no sample any more."""
        index = self._indices[label]
        self.counts[index] -= len(vectors)
        self._sums[index] -= np.asarray(vectors, np.float64).sum(axis=0)
        if self.counts[index] > 0:
            return index
        self._sums[index : len(self.classes) - 1] = self._sums[index + 1 : len(self.classes)]
        self.classes.pop(index)
        self.counts = np.delete(self.counts, index)
        self._indices = {name: number for number, name in enumerate(self.classes)}
        return None

    def copied(self) -> Self:
        """With classes and sums of its own."""
        other = copy.copy(self)
        other.classes, other.counts, other._sums = self.classes.copy(), self.counts.copy(), self._sums.copy()
        other._indices = self._indices.copy()
        return other


def grouped(vectors: NDArray, labels: Sequence[str]) -> list[tuple[str, NDArray]]:
    """Classes in alphabetical order, each with its vectors in the order in which they are."""
    texts = np.asarray(labels, dtype=object).astype(str)
    names, codes, counts = np.unique(texts, return_inverse=True, return_counts=True)
    order, stops = np.argsort(codes, kind="stable"), np.cumsum(counts)
    return [
        (str(name), np.asarray(vectors)[order[stop - count : stop]])
        for name, count, stop in zip(names, counts, stops, strict=True)
    ]


def products(vectors: NDArray, of_classes: NDArray) -> NDArray[np.float64]:
    """Scalar products [N, C] of `vectors` [N, D] and `of_classes` [C, D], each independent of which others there are.

    BLAS sums a row in an order that depends on how many there are and where it stands.
    """
    parts = [np.einsum("cd,d->c", of_classes, vector, optimize=False) for vector in vectors]
    return np.stack(parts) if parts else np.zeros((0, len(of_classes)))
