"""The five metrics written once more in plain numpy: for the true values, and for the percentile bootstrap."""

from dataclasses import dataclass

import numpy as np

from benchmarks.simulation.world import CLASSES, Floats, Integers, Study, World, draw, one_model

METRICS = ("accuracy", "macro_f1", "auroc", "miou", "oiou")


@dataclass(frozen=True, eq=False)
class GroupSums:
    """What the metrics need of each group.

    Attributes:
        confusion: [G, C, C] rows by target and prediction.
        ordered, pairs: [C, G, G] pairs of a row of the class in one group and a row of another class in another: those
            in order of their scores, ties one half, and all.
        overlaps: [G, 4] sums of IoU, of 1, of intersection and of union.
    """

    confusion: Floats
    ordered: Floats
    pairs: Floats
    overlaps: Floats

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Each metric [R] of groups that count by `weights` [R, G]."""
        counts = np.tensordot(weights, self.confusion, 1)
        hits, support, predicted = np.einsum("rcc->rc", counts), counts.sum(axis=2), counts.sum(axis=1)
        with np.errstate(invalid="ignore"):
            f1 = np.where(support > 0, 2 * hits / (support + predicted), np.nan)
            areas = _weighted(weights, self.ordered) / _weighted(weights, self.pairs)
        iou, n, intersection, union = (weights @ self.overlaps).T
        return {
            "accuracy": hits.sum(axis=1) / support.sum(axis=1),
            "macro_f1": np.where((support > 0).sum(axis=1) > 1, _mean_defined(f1), np.nan),
            "auroc": _mean_defined(areas),
            "miou": iou / n,
            "oiou": intersection / union,
        }


def group_sums(study: Study, group: Integers, system: int = 0) -> GroupSums:
    """Of the first pass of a study, with its rows in any groups 0 .. G - 1 [N]."""
    n_groups = int(group.max()) + 1
    logits, iou = study.logits[system, 0], study.iou[system, 0]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = powers / powers.sum(axis=1, keepdims=True)
    confusion = np.zeros((n_groups, len(CLASSES), len(CLASSES)))
    np.add.at(confusion, (group, study.target, scores.argmax(axis=1)), 1.0)
    member = np.zeros((len(group), n_groups))
    member[np.arange(len(group)), group] = 1.0
    ordered, pairs = zip(*(_pairs(study.target == c, scores[:, c], member) for c in range(len(CLASSES))), strict=True)
    overlaps = np.stack([iou, np.ones_like(iou), iou * study.area, study.area], axis=1)
    return GroupSums(confusion, np.stack(ordered), np.stack(pairs), member.T @ overlaps)


def percentile_intervals(
    sums: GroupSums, *, confidence_level: float, n_resamples: int, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """The middle of the metric over resamples of groups: the interval that is too narrow for few groups."""
    n_groups = len(sums.confusion)
    weights = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_resamples).astype(np.float64)
    tails = (1 - confidence_level) / 2
    ends = {name: np.nanquantile(values, [tails, 1 - tails]) for name, values in sums.metrics(weights).items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def true_values(world: World, *, n_draws: int, n_groups: int, seed: int) -> dict[str, float]:
    """Each metric in the whole population, or the second system's less the first's: the mean of large draws of groups.

    Every draw has a model of its own, so that the luck of training is averaged out.
    """
    draws = [_large_draw(world, n_groups, np.random.default_rng([seed, number])) for number in range(n_draws)]
    return {name: float(np.mean([values[name] for values in draws])) for name in METRICS}


def _large_draw(world: World, n_groups: int, rng: np.random.Generator) -> dict[str, float]:
    study = draw(world, one_model(n_groups), rng)
    together = np.zeros_like(study.group)
    values = [group_sums(study, together, system).metrics(np.ones((1, 1))) for system in range(len(world.gains))]
    first = values[0] if len(values) > 1 else dict.fromkeys(METRICS, np.zeros(1))
    return {name: float((values[-1][name] - first[name])[0]) for name in METRICS}


def _pairs(positive: np.ndarray, score: Floats, member: Floats) -> tuple[Floats, Floats]:
    _, rank = np.unique(score, return_inverse=True)
    negatives = np.zeros((int(rank.max()) + 1, member.shape[1]))
    np.add.at(negatives, rank[~positive], member[~positive])
    below = negatives.cumsum(axis=0) - negatives / 2
    return member[positive].T @ below[rank[positive]], np.outer(member[positive].sum(0), member[~positive].sum(0))


def _mean_defined(values: Floats) -> Floats:
    """Mean [R] over classes [R, C] of what is not nan."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(defined, values, 0.0).sum(axis=1) / defined.sum(axis=1)
    return mean


def _weighted(weights: Floats, pairs: Floats) -> Floats:
    """[R, C] sums over pairs of groups."""
    sums: Floats = np.einsum("crg,rg->rc", weights @ pairs, weights)
    return sums
