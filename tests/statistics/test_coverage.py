"""What the intervals promise: 95 % of them hold the truth. 250 simulated data sets each, seed 0, 400 resamples."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from hallmark.statistics import Interval, Resampling, metric_interval, paired_difference
from hallmark.statistics.metrics.classification import confusion_metrics

Maker = Callable[..., pd.DataFrame]
DATA_SETS = 250
BAND = 2 * (0.95 * 0.05 / DATA_SETS) ** 0.5  # two standard deviations of the share that is found
SETTINGS = Resampling(0.95, 400, 0)
CLASSES = np.array(["negative", "neutral", "positive"])


def coverage(intervals: Iterator[Interval], truth: float) -> float:
    share = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    print(f"coverage {share:.3f}")
    return float(share)


def test_plain_intervals_of_macro_f1(make_predictions: Maker) -> None:
    """400 independent rows, targets in shares 0.5, 0.3, 0.2, right in 80, 65 and 50 % of them."""
    shares = np.array([0.5, 0.3, 0.2])
    confusion = np.array([[0.8, 0.1, 0.1], [0.2, 0.65, 0.15], [0.25, 0.25, 0.5]])
    truth = float(confusion_metrics(shares[:, None] * confusion)["macro_f1"])
    rng = np.random.default_rng(0)
    frame = make_predictions([0] * 400, [0] * 400)

    def intervals() -> Iterator[Interval]:
        for _ in range(DATA_SETS):
            target = rng.choice(3, size=400, p=shares)
            prediction = (rng.random(400)[:, None] > confusion[target].cumsum(axis=1)).sum(axis=1)
            frame["target"], frame["prediction"] = CLASSES[target], CLASSES[prediction]
            yield metric_interval(frame, "macro_f1", resampling=SETTINGS)

    assert abs(coverage(intervals(), truth) - 0.95) <= BAND


def test_clustered_intervals_of_accuracy_and_what_ignoring_clusters_does(make_predictions: Maker) -> None:
    """100 groups of 6 that differ in difficulty: beta-binomial, mean 0.7, correlation 1/3 within groups."""
    groups = np.repeat(np.arange(100), 6)
    frame = make_predictions([0] * groups.size, [0] * groups.size, groups=groups)

    def intervals(clustered: bool) -> Iterator[Interval]:
        rng = np.random.default_rng(0)
        for _ in range(DATA_SETS):
            right = rng.random(groups.size) < rng.beta(1.4, 0.6, size=100)[groups]
            frame["prediction"] = np.where(right, "negative", "neutral")
            table = frame if clustered else frame.assign(group=frame["id"])
            yield metric_interval(table, "accuracy", resampling=SETTINGS)

    assert abs(coverage(intervals(True), 0.7) - 0.95) <= BAND
    assert coverage(intervals(False), 0.7) <= 0.85


def test_paired_intervals_of_a_difference_in_accuracy(make_predictions: Maker) -> None:
    """100 groups of 4: the second system adds 0.05 on average to a chance of success that the groups share."""
    groups = np.repeat(np.arange(100), 4)
    rng = np.random.default_rng(0)
    first, second = (make_predictions([0] * groups.size, [0] * groups.size, groups=groups) for _ in range(2))

    def intervals() -> Iterator[Interval]:
        for _ in range(DATA_SETS):
            chance, gain = rng.beta(1.4, 0.6, size=100) * 0.9, rng.uniform(0, 0.1, size=100)
            luck = rng.random(groups.size)
            for table, probability in ((first, chance), (second, chance + gain)):
                mixed = np.where(rng.random(groups.size) < 0.5, luck, rng.random(groups.size))
                table["prediction"] = np.where(mixed < probability[groups], "negative", "neutral")
            yield paired_difference(first, second, "accuracy", resampling=SETTINGS).difference

    assert abs(coverage(intervals(), 0.05) - 0.95) <= BAND


def test_intervals_of_repeats_hold_the_truth_over_rows_and_seeds(make_predictions: Maker) -> None:
    """60 groups in each of 8 repetitions, with a luck of the group, of the repetition and of the row.

    Resampling groups alone leaves out the luck of the repetition.
    """
    groups, repetitions = np.tile(np.arange(60), 8), np.repeat(np.arange(8), 60)
    frame = make_predictions([0] * groups.size, [0] * groups.size, groups=groups)
    frame.attrs["classes"] = {}

    def intervals(columns: dict[str, np.ndarray]) -> Iterator[Interval]:
        rng = np.random.default_rng(0)
        for _ in range(DATA_SETS):
            score = rng.normal(0.5, 0.2, size=60)[groups] + rng.normal(0, 0.05, size=8)[repetitions]
            table = frame.assign(score=score + rng.normal(0, 0.1, size=groups.size), **columns)
            yield metric_interval(table, "score", resampling=SETTINGS)

    assert abs(coverage(intervals({"repetition": repetitions}), 0.5) - 0.95) <= BAND
    assert coverage(intervals({}), 0.5) <= 0.92
