"""Areas under curves of ranked rows, as functions of weights: AUROC and average precision.

R resamples, G groups, N rows, C classes. With more than two classes an area is the mean over classes of each against
the rest, of those that have a row and leave one to the others.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hallmark.statistics.metrics.classification import Floats, Integers, ranked_classes

WeightedValue = Callable[[Floats], Floats]
"""Weights of groups [R, G] in, one value a resample [R] out; nan where it is undefined."""


def weighted_auroc(target: Integers, probabilities: Floats, group: Integers, n_groups: int) -> WeightedValue:
    """AUROC of target [N] and probabilities [N, C], whose rows are in the groups [N]."""
    classes = np.intersect1d(ranked_classes(probabilities.shape[1]), target)
    # The [G, G] tables of pairs are then no larger than the rows that the other way sorts through.
    if len(classes) == 0 or n_groups**2 > len(target):
        return _one_versus_rest(_area_under_roc, classes, target, probabilities, group)
    ordered = [_ordered_pairs(target == c, probabilities[:, c], group, n_groups) for c in classes]

    def evaluate(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            areas = [_weighted_pairs(pairs, weights) / _weighted_pairs(every, weights) for pairs, every in ordered]
        return _mean_defined(np.stack(areas))

    return evaluate


def weighted_auprc(target: Integers, probabilities: Floats, group: Integers) -> WeightedValue:
    """Average precision of target [N] and probabilities [N, C], whose rows are in the groups [N]."""
    classes = np.intersect1d(ranked_classes(probabilities.shape[1]), target)
    return _one_versus_rest(_average_precision, classes, target, probabilities, group)


def _one_versus_rest(
    area: Callable[[NDArray[np.bool_], Floats, Integers], WeightedValue], classes: Integers, target: Integers,
    probabilities: Floats, group: Integers,
) -> WeightedValue:  # fmt: skip
    """Mean over `classes` of an area, which is nan in the resamples that lack the class or all others."""
    areas = [area(target == c, probabilities[:, c], group) for c in classes]

    def evaluate(weights: Floats) -> Floats:
        if not areas:
            return np.full(len(weights), np.nan)
        return _mean_defined(np.stack([of_class(weights) for of_class in areas]))

    return evaluate


def _mean_defined(areas: Floats) -> Floats:
    """Mean over the first axis of what is not nan."""
    defined = ~np.isnan(areas)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(defined, areas, 0.0).sum(axis=0) / defined.sum(axis=0)
    return mean


def _ordered_pairs(positive: NDArray[np.bool_], score: Floats, group: Integers, n_groups: int) -> tuple[Floats, Floats]:
    """[G, G] pairs of a positive of the first group and a negative of the second: in order (ties one half), and all."""
    values, row = np.unique(score, return_inverse=True)
    shape = (len(values), n_groups)
    positives, negatives = (
        csr_array((np.ones(rows.sum()), (row[rows], group[rows])), shape=shape) for rows in (positive, ~positive)
    )
    here = negatives.toarray()
    below = here.cumsum(axis=0) - here / 2
    return positives.T @ below, np.outer(positives.sum(axis=0), negatives.sum(axis=0))


def _weighted_pairs(pairs: Floats, weights: Floats) -> Floats:
    total: Floats = ((weights @ pairs) * weights).sum(axis=1)
    return total


def _area_under_roc(positive: NDArray[np.bool_], score: Floats, group: Integers) -> WeightedValue:
    """Mann-Whitney form of the AUROC: share of (positive, negative) pairs in order, ties one half.

    Rows are sorted once, so that a resample costs two sums along them.
    """
    order = np.argsort(score, kind="stable")
    positives, negatives = order[positive[order]], order[~positive[order]]
    # Of each positive, the negatives with a lower score, and those with at most its score.
    below, up_to = (np.searchsorted(score[negatives], score[positives], side) for side in ("left", "right"))
    positive_group, negative_group = group[positives], group[negatives]

    def evaluate(weights: Floats) -> Floats:
        of_positives = weights.take(positive_group, axis=1)
        of_negatives = np.zeros((len(weights), len(negatives) + 1))
        np.cumsum(weights.take(negative_group, axis=1), axis=1, out=of_negatives[:, 1:])
        ordered = of_negatives.take(below, axis=1) + of_negatives.take(up_to, axis=1)
        with np.errstate(invalid="ignore"):
            area: Floats = (of_positives * ordered).sum(axis=1) / (2 * of_positives.sum(axis=1) * of_negatives[:, -1])
        return area

    return evaluate


def _average_precision(positive: NDArray[np.bool_], score: Floats, group: Integers) -> WeightedValue:
    """Precision at each threshold, weighted by the recall that the threshold adds."""
    order = np.argsort(-score, kind="stable")
    hits = np.flatnonzero(positive[order])
    # Rows of equal score pass a threshold together: the last of them, among all rows and among the positives.
    descending, ranked_group = -score[order], group[order]
    last, last_hit = (np.searchsorted(rows, descending[hits], "right") - 1 for rows in (descending, descending[hits]))

    def evaluate(weights: Floats) -> Floats:
        rows = weights.take(ranked_group, axis=1)
        of_hits = rows.take(hits, axis=1)
        passed, recalled = rows.cumsum(axis=1), of_hits.cumsum(axis=1)
        alarms, total = passed.take(last, axis=1), recalled[:, -1]
        precision = np.divide(recalled.take(last_hit, axis=1), alarms, out=np.zeros_like(alarms), where=alarms > 0)
        with np.errstate(invalid="ignore"):
            area: Floats = (of_hits * precision).sum(axis=1) / total
        return np.where(total < passed[:, -1], area, np.nan)

    return evaluate
