"""Whether generated rows are of the class that they were asked for, and whether a classifier can learn from them."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from hallmark.statistics.metrics.classification import Floats, Integers
from hallmark.statistics.metrics.sets.rows import Rows

_SHRINKAGE = 0.5  # of the covariance, which few rows of many features need


def judge_accuracy(of: Literal["real", "generated"]) -> Callable[[Rows, Rows], float]:
    """Share of the rows that the judge reads as of the class that they are of, or were asked for."""

    def value(real: Rows, generated: Rows) -> float:
        rows = real if of == "real" else generated
        return float(((rows.answer == rows.target) & (rows.target >= 0)).mean()) if len(rows) else math.nan

    return value


def trained_accuracy(on: Literal["real", "generated"]) -> Callable[[Rows, Rows], float]:
    """Accuracy on each half of the real rows of a discriminant analysis fitted on rows of the other half.

    It is the classification accuracy score (Ravuri & Vinyals 2019, arXiv:1905.10887) where these are generated.
    Undefined where they are of one class.
    """

    def value(real: Rows, generated: Rows) -> float:
        rows = real if on == "real" else generated
        if not len(real) or any(len(np.unique(rows.target[rows.half == half])) < 2 for half in (0, 1)):
            return math.nan
        right = 0
        for half in (0, 1):
            fitted, tested = rows.half == half, real.half != half
            answer = discriminant(rows.features[fitted], rows.target[fitted], real.features[tested])
            right += int((answer == real.target[tested]).sum())
        return right / len(real)

    return value


def discriminant(rows: Floats, target: Integers, new: Floats) -> Integers:
    """The classes [M] of `new` [M, D] by linear discriminant analysis of `rows` [N, D] with classes `target` [N].

    Classes are equally likely, and the covariance within them is shrunk half way to a multiple of the identity.
    """
    names, codes = np.unique(target, return_inverse=True)
    means = np.stack([rows[codes == code].mean(axis=0) for code in range(len(names))])
    centered = (rows - means[codes]) / math.sqrt(len(rows))
    n, width = rows.shape
    # Rows that do not differ within their classes have no covariance: the nearest mean then is the answer.
    level = _SHRINKAGE * (float((centered**2).sum()) / width or 1.0)
    if n < width:  # the inverse of level + C'C, by the smaller matrix C C' (Woodbury)
        inner = centered @ centered.T + level / (1 - _SHRINKAGE) * np.eye(n)
        weights = (means.T - centered.T @ np.linalg.solve(inner, centered @ means.T)) / level
    else:
        weights = np.linalg.solve((1 - _SHRINKAGE) * centered.T @ centered + level * np.eye(width), means.T)
    scores = new @ weights - (means.T * weights).sum(axis=0) / 2
    answers: Integers = names[scores.argmax(axis=1)]
    return answers
