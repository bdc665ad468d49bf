"""Class-incremental learning on embeddings: roles come in stages, and each method answers among those it has seen."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from hallmark.checks import require
from hallmark.systems.characters.methods import METHODS, default_learner

EXEMPLARS = 5  # pictures of each class that a head with exemplars keeps
Rows = tuple[NDArray, NDArray]
"""Vectors [N, D] and labels [N]."""

_STEPS, _RATE = 200, 0.01  # of Adam, on all rows of a stage


class Incremental(ABC):
    """What learns one stage after the other.

    Attributes:
        classes: of the columns of its scores.
    """

    classes: Sequence[str]

    @abstractmethod
    def learn(self, vectors: NDArray, labels: NDArray) -> None:
        """Learn the new classes of a stage from `vectors` [N, D]."""

    @abstractmethod
    def scores(self, vectors: NDArray) -> tuple[NDArray, NDArray]:
        """[N, C], and how much a sample is of any class [N]."""


class _Learned(Incremental):
    """A method of `OnlineLearningSystem`."""

    def __init__(self, method: str, dimension: int) -> None:
        self._learner = default_learner(method, dimension)

    def learn(self, vectors: NDArray, labels: NDArray) -> None:
        self._learner.add_all(vectors, labels.tolist())
        self.classes = self._learner.classes

    def scores(self, vectors: NDArray) -> tuple[NDArray, NDArray]:
        logits = self._learner.logits(vectors)
        return logits, self._learner.known(vectors, logits)


class _Head(Incremental):
    """A linear layer that is trained on each stage by softmax cross-entropy and has a row more for each new class.

    Args:
        exemplars: pictures of each earlier class that it is trained on again.
    """

    def __init__(self, dimension: int, *, exemplars: int) -> None:
        self._exemplars, self.classes = exemplars, []
        self._weights = np.zeros((0, dimension + 1))
        self._exemplar_rows: list[tuple[NDArray, NDArray]] = []
        self._scale: tuple[NDArray, NDArray] | None = None

    def learn(self, vectors: NDArray, labels: NDArray) -> None:
        if self._scale is None:
            self._scale = vectors.mean(axis=0), vectors.std(axis=0) + 1e-6
        new = sorted(set(labels))
        self.classes = [*self.classes, *new]
        self._weights = np.vstack([self._weights, np.zeros((len(new), self._weights.shape[1]))])
        x = self._scaled(np.concatenate([vectors, *(rows for rows, _ in self._exemplar_rows)]))
        names = np.concatenate([labels, *(names for _, names in self._exemplar_rows)])
        targets = (names[:, None] == np.array(self.classes)).astype(float)
        first, second = np.zeros_like(self._weights), np.zeros_like(self._weights)
        for step in range(1, _STEPS + 1):
            gradient = (softmax(x @ self._weights.T, axis=1) - targets).T @ x / len(x)
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            scaled = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
            self._weights -= _RATE * scaled
        for name in new if self._exemplars else ():
            rows = vectors[labels == name][: self._exemplars]
            self._exemplar_rows.append((rows, np.full(len(rows), name)))

    def scores(self, vectors: NDArray) -> tuple[NDArray, NDArray]:
        probabilities = softmax(self._scaled(vectors) @ self._weights.T, axis=1)
        return probabilities, probabilities.max(axis=1)

    def _scaled(self, vectors: NDArray) -> NDArray:
        assert self._scale is not None
        mean, deviation = self._scale
        return np.hstack([(vectors - mean) / deviation, np.ones((len(vectors), 1))])


class _Joint(Incremental):
    """Logistic regression that is fitted at each stage to all rows so far."""

    def __init__(self) -> None:
        self._rows: list[tuple[NDArray, NDArray]] = []

    def learn(self, vectors: NDArray, labels: NDArray) -> None:
        self._rows.append((vectors, labels))
        x, names = (np.concatenate(parts) for parts in zip(*self._rows, strict=True))
        self._mean, self._deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._fitted = LogisticRegression(max_iter=200).fit((x - self._mean) / self._deviation, names)
        self.classes = self._fitted.classes_.tolist()

    def scores(self, vectors: NDArray) -> tuple[NDArray, NDArray]:
        probabilities = self._fitted.predict_proba((vectors - self._mean) / self._deviation)
        return probabilities, probabilities.max(axis=1)


def contestants(dimension: int) -> Mapping[str, Callable[[], Incremental]]:
    """What is compared, by name: the methods, a head between its lower bounds, and the bound of all rows at once."""
    learned = {method: lambda method=method: _Learned(method, dimension) for method in METHODS}
    return {
        **learned, "fine-tuned head": lambda: _Head(dimension, exemplars=0),
        "head with exemplars": lambda: _Head(dimension, exemplars=EXEMPLARS), "joint logistic regression": _Joint,
    }  # fmt: skip


def study(learned: Rows, measured: Rows, *, stages: Sequence[int], orders: int, seed: int) -> pd.DataFrame:
    """A row for each method, order and stage, with measures of what the method answers after that stage.

    `accuracy` is over all rows of the classes so far; `new` and `old` of it over those of this stage and of earlier
    ones. `forgetting` is the mean over earlier stages of the best accuracy that their classes have had less the present
    one (PILOT, Sun et al. 2023, arXiv:2309.07117). `unknown` is the area under the ROC curve of classes so far against
    those to come. All of one stage is undefined where there is no other.

    Args:
        learned: what is learned from; `measured`: what is answered.
        stages: how many classes come at each.
        orders: in which the classes come, drawn at random.

    Raises:
        SettingError: the classes are not as many as the stages have.
    """
    names = np.unique(learned[1])
    require(
        sum(stages) == len(names), "stages", list(stages), f"numbers whose sum is that of the classes, {len(names)}"
    )
    records = []
    for order in range(orders):
        shuffled = np.random.default_rng((seed, order)).permutation(names)
        groups = np.split(shuffled, np.cumsum(stages)[:-1])
        for method, build in contestants(learned[0].shape[1]).items():
            records += [
                {"method": method, "order": order, **row} for row in _stages(build(), groups, learned, measured)
            ]
    return pd.DataFrame(records)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """By method and order: average incremental accuracy over stages, and what stands after the last one."""
    grouping = table.groupby(["method", "order"], sort=False)
    last = grouping.last()
    return pd.DataFrame(
        {
            "average": grouping["accuracy"].mean(), "final": last["accuracy"], "forgetting": last["forgetting"],
            "new": last["new"], "old": last["old"], "unknown AUROC": grouping["unknown"].mean(),
        }
    )  # fmt: skip


def _stages(learner: Incremental, groups: Sequence[NDArray], learned: Rows, measured: Rows) -> list[dict[str, float]]:
    (vectors, labels), (pictures, target) = learned, measured
    by_group: list[list[float]] = []  # accuracy of the classes of each stage so far, after each
    records = []
    for stage, group in enumerate(groups):
        rows = np.isin(labels, group)
        learner.learn(vectors[rows], labels[rows])
        scores, known = learner.scores(pictures)
        is_right = np.array(learner.classes)[scores.argmax(axis=1)] == target
        is_seen = np.isin(target, np.concatenate(groups[: stage + 1]))
        by_group.append([_share(is_right[np.isin(target, earlier)]) for earlier in groups[: stage + 1]])
        lost = [max(after[number] for after in by_group[number:-1]) - by_group[-1][number] for number in range(stage)]
        is_old = is_seen & ~np.isin(target, group)
        records.append({
            "stage": stage, "accuracy": _share(is_right[is_seen]), "new": by_group[-1][-1],
            "old": _share(is_right[is_old]),
            "forgetting": float(np.mean(lost)) if lost else np.nan,
            "unknown": float(roc_auc_score(is_seen, known)) if 0 < is_seen.mean() < 1 else np.nan,
        })  # fmt: skip
    return records


def _share(is_right: NDArray) -> float:
    return float(is_right.mean()) if len(is_right) else np.nan
