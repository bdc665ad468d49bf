"""Whether a sample is of any class at all: the score above which it counts as one of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hallmark.systems.characters.learner import Learner, grouped


def unknown_threshold(
    fitted: Learner, vectors: NDArray, labels: Sequence[str], *, false_accept_rate: float, most: int = 20
) -> float | None:
    """The least `Learner.known` at which a sample counts as one of the classes; None for fewer than three classes.

    Each class in turn is left out and its samples scored by what was learned of the others, as those of somebody
    unknown; at most the share `false_accept_rate` of them lies at the threshold or above.

    Args:
        fitted: to `vectors` [N, D] of the classes `labels`.
        most: classes that are left out, evenly spaced in the alphabet where there are more.
    """
    if len(fitted.classes) < 3:
        return None
    classes = grouped(vectors, labels)
    indices = np.unique(np.linspace(0, len(classes) - 1, min(most, len(classes))).round().astype(int))
    scores = []
    for label, of_class in (classes[index] for index in indices):
        without = fitted.without(label, of_class)
        scores.append(without.known(of_class, without.logits(of_class)))
    ordered = np.sort(np.concatenate(scores))
    accepted = int(false_accept_rate * len(ordered))
    return float(np.nextafter(ordered[len(ordered) - accepted - 1], np.inf))
