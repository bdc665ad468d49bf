import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from scipy.stats import binom
from scipy.stats import t as student
from sklearn.metrics import average_precision_score, roc_auc_score

from hallmark.statistics import CLASSIFICATION_METRICS, Resampling, all_intervals, metric_interval, table_metrics
from hallmark.statistics.metrics.classification import classification_metrics
from hallmark.statistics.metrics.weighted import weighted_metrics
from hallmark.statistics.sample import task_sample

Maker = Callable[..., pd.DataFrame]
SETTINGS = Resampling(0.95, 400, 7)


def noisy_table(make: Maker, n: int = 120, groups: int = 30, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return make(rng, rng.integers(3, size=n), rng.integers(groups, size=n), 0.4, tied=True)


@given(st.integers(0, 50))
@settings(max_examples=15)
def test_weights_act_as_repeated_rows(make_guesses: Maker, seed: int) -> None:
    frame = noisy_table(make_guesses, n=40, groups=8, seed=seed)
    sample = task_sample(frame)
    weights = np.random.default_rng(seed).integers(0, 3, size=(3, sample.n_groups)).astype(float)
    weights[:, 0] = 1
    values = weighted_metrics(sample, [*CLASSIFICATION_METRICS, "score"])(weights[:, :, None])
    for r, row in enumerate(weights):
        repeated = frame.loc[frame.index.repeat(row[sample.group].astype(int))]
        expected = table_metrics(repeated)["main"]
        for name in CLASSIFICATION_METRICS:
            undefined = math.nan if expected[name] is None else expected[name]
            assert values[name][r] == pytest.approx(undefined, nan_ok=True), name
        assert values["score"][r] == pytest.approx(repeated["score"].mean())


@pytest.mark.parametrize(("metric", "reference"), [("auroc", roc_auc_score), ("auprc", average_precision_score)])
def test_ranking_metrics_count_ties_as_sklearn_does_under_weights(
    make_guesses: Maker, metric: str, reference: Callable[..., float]
) -> None:
    frame = noisy_table(make_guesses)
    sample = task_sample(frame)
    weights = np.random.default_rng(1).uniform(0, 2, size=(1, sample.n_groups))
    probabilities = np.array(frame["probabilities"].tolist())
    rows = weights[0, sample.group]
    areas = [
        reference(frame["target"] == name, probabilities[:, c], sample_weight=rows)
        for c, name in enumerate(frame.attrs["classes"]["main"])
    ]
    assert weighted_metrics(sample, [metric])(weights[:, :, None])[metric][0] == pytest.approx(np.mean(areas))


def test_the_standard_error_is_that_of_a_plain_loop_over_resampled_tables(make_guesses: Maker) -> None:
    frame = noisy_table(make_guesses, n=30, groups=6)
    members = [part for _, part in frame.groupby("group", sort=False)]
    draws = np.random.default_rng([7, 0]).integers(len(members), size=(60, len(members)), dtype=np.int32)
    looped = [table_metrics(pd.concat([members[g] for g in draw]))["main"] for draw in draws]
    fast = all_intervals(frame, ["macro_f1", "log_loss", "auroc"], resampling=Resampling(0.9, 60, 7))
    for name, interval in fast.items():
        error = np.std([values[name] for values in looped], ddof=1) * math.sqrt(6 / 5)
        if name == "log_loss":
            half = math.log(interval.high / interval.estimate) * interval.estimate
        else:
            estimate = interval.estimate
            half = (logit(interval.high) - logit(estimate)) * estimate * (1 - estimate)
        assert half == pytest.approx(student.ppf(0.95, 5) * error), name


def test_estimates_are_the_plain_metrics(make_guesses: Maker) -> None:
    frame = noisy_table(make_guesses)
    intervals = all_intervals(frame, CLASSIFICATION_METRICS, resampling=SETTINGS)
    expected = table_metrics(frame)["main"]
    for name in CLASSIFICATION_METRICS:
        assert intervals[name].estimate == pytest.approx(expected[name])
        assert intervals[name].low < intervals[name].estimate < intervals[name].high or name == "ece"
        assert 0 < intervals[name].high - intervals[name].low < 0.5


def test_all_intervals_equal_single_ones(make_guesses: Maker) -> None:
    frame = noisy_table(make_guesses)
    together = all_intervals(frame, ["accuracy", "auroc", "score"], resampling=SETTINGS)
    assert list(together) == ["accuracy", "auroc", "score"]
    assert together == {name: metric_interval(frame, name, resampling=SETTINGS) for name in together}


def test_accuracy_interval_matches_the_binomial(make_predictions: Maker) -> None:
    frame = make_predictions([0] * 200, [0] * 140 + [1] * 60)
    interval = metric_interval(frame, "accuracy", resampling=Resampling(0.9, 20000, 0))
    low, high = binom(200, 0.7).ppf([0.05, 0.95]) / 200
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.0051)


def test_same_seed_same_interval_other_seed_other_interval(make_guesses: Maker) -> None:
    frame = noisy_table(make_guesses)
    first = metric_interval(frame, "log_loss", resampling=SETTINGS)
    assert metric_interval(frame, "log_loss", resampling=SETTINGS) == first
    assert metric_interval(frame, "log_loss", resampling=replace(SETTINGS, seed=8)) != first


def test_a_higher_level_is_wider(make_guesses: Maker) -> None:
    frame = noisy_table(make_guesses)
    narrow, wide = (
        metric_interval(frame, "log_loss", resampling=replace(SETTINGS, confidence_level=level))
        for level in (0.8, 0.95)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


def test_copies_within_a_group_add_nothing_but_do_without_clustering(make_guesses: Maker) -> None:
    frame = noisy_table(make_guesses)
    frame["group"] = frame["id"]
    copies = pd.concat([frame] * 4)
    assert metric_interval(copies, "macro_f1", resampling=SETTINGS) == metric_interval(
        frame, "macro_f1", resampling=SETTINGS
    )
    width, naive = (
        (lambda i: i.high - i.low)(metric_interval(copies.assign(group=group), "macro_f1", resampling=SETTINGS))
        for group in (copies["group"], range(len(copies)))
    )
    assert 0.4 < naive / width < 0.6


def test_relabelled_classes_give_the_same_interval(make_guesses: Maker) -> None:
    frame = noisy_table(make_guesses)
    renamed = frame.assign(probabilities=[row[::-1] for row in frame["probabilities"]])
    renamed.attrs["classes"] = {"main": frame.attrs["classes"]["main"][::-1]}
    for name in ("macro_f1", "log_loss", "auroc", "auprc"):
        before, after = (metric_interval(table, name, resampling=SETTINGS) for table in (frame, renamed))
        assert (after.low, after.high) == pytest.approx((before.low, before.high))


def test_order_of_rows_within_groups_does_not_matter(make_guesses: Maker) -> None:
    frame = noisy_table(make_guesses).sort_values("group", kind="stable")
    reversed_rows = frame.groupby("group", group_keys=False, sort=False)[list(frame.columns)].apply(lambda g: g[::-1])
    reversed_rows.attrs = frame.attrs
    assert reversed_rows["id"].tolist() != frame["id"].tolist()
    assert metric_interval(reversed_rows, "macro_f1", resampling=SETTINGS) == metric_interval(
        frame, "macro_f1", resampling=SETTINGS
    )


def test_unlabelled_rows_are_ignored(make_predictions: Maker) -> None:
    labeled = make_predictions([0, 1, 2, 1], [0, 1, 1, 0])
    mixed = make_predictions([0, 1, None, 2, 1, None], [0, 1, 0, 1, 0, 2])
    assert metric_interval(mixed, "accuracy", resampling=SETTINGS) == metric_interval(
        labeled, "accuracy", resampling=SETTINGS
    )


def test_a_single_row_has_no_spread(make_predictions: Maker) -> None:
    interval = metric_interval(make_predictions([1], [1]), "accuracy", resampling=SETTINGS)
    assert interval.estimate == 1 and math.isnan(interval.low) and math.isnan(interval.high)


def test_a_single_group_has_no_spread(make_predictions: Maker) -> None:
    interval = metric_interval(make_predictions([1, 0], [1, 1], groups=[5, 5]), "accuracy", resampling=SETTINGS)
    assert interval.estimate == 0.5 and math.isnan(interval.low)


def test_all_wrong_is_zero_and_may_be_more_on_other_groups(make_predictions: Maker) -> None:
    interval = metric_interval(make_predictions([0, 1, 2, 0], [1, 2, 0, 1]), "macro_f1", resampling=SETTINGS)
    assert (interval.estimate, interval.low) == (0, 0)
    assert interval.high == pytest.approx(1 - 4 / (4 + 1.959963985**2))


@pytest.mark.parametrize("metric", ["auroc", "auprc"])
@pytest.mark.parametrize("classes", [("real", "fake"), ("fake", "real"), ("negative", "neutral", "positive")])
def test_a_single_class_leaves_the_areas_undefined(
    make_predictions: Maker, metric: str, classes: tuple[str, ...]
) -> None:
    interval = metric_interval(make_predictions([1, 1], [1, 0], classes=classes), metric, resampling=SETTINGS)
    assert all(math.isnan(value) for value in (interval.estimate, interval.low, interval.high))


def test_resamples_that_miss_a_class_still_count_unless_they_are_many(make_predictions: Maker) -> None:
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6], [0.2, 0.8], [0.6, 0.4]])
    frame = make_predictions(
        [0, 0, 1, 0] * 2, [0, 1, 1, 0] * 2, probabilities=np.tile(probabilities, (2, 1)), classes=("real", "fake")
    )
    intervals = all_intervals(frame, ["auroc", "macro_recall"], resampling=SETTINGS)  # a tenth of them miss a class
    assert intervals["auroc"].estimate == 1 and intervals["auroc"].low < 1
    assert intervals["macro_recall"].estimate == pytest.approx(5 / 6)
    assert 0 < intervals["macro_recall"].low < 5 / 6 < intervals["macro_recall"].high < 1
    half = frame[:4]
    half.attrs = frame.attrs
    assert math.isnan(metric_interval(half, "auroc", resampling=SETTINGS).low)  # a third of them do


def test_the_mean_score_of_a_task_with_classes_is_its_accuracy(make_guesses: Maker) -> None:
    frame = noisy_table(make_guesses)
    intervals = all_intervals(frame, ["score", "accuracy"], resampling=SETTINGS)
    assert intervals["score"] == intervals["accuracy"]


def test_the_interval_of_a_mean_matches_the_normal_approximation(make_scores: Maker) -> None:
    values = np.random.default_rng(0).normal(3, 2, size=400)
    interval = metric_interval(make_scores(values), "score", resampling=Resampling(0.95, 4000, 1))
    error = 1.96 * values.std() / 20
    assert interval.estimate == pytest.approx(values.mean())
    assert (interval.low, interval.high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.03)


def test_score_of_a_task_without_classes(make_predictions: Maker) -> None:
    frame = make_predictions([0] * 5, [0] * 5, groups=list("aabcd")).assign(score=[0.2, 0.4, 0.9, 0.5, 0.5])
    frame.attrs["classes"] = {}
    interval = metric_interval(frame, "score", resampling=SETTINGS)
    assert interval.estimate == pytest.approx(0.5)
    assert 0 < interval.low < 0.5 < interval.high < 1
    with pytest.raises(ValueError, match="metric accuracy: this task has score"):
        metric_interval(frame, "accuracy", resampling=SETTINGS)


def test_refuses_an_unknown_metric(make_predictions: Maker) -> None:
    with pytest.raises(ValueError, match="metric f2: this task has score, accuracy"):
        metric_interval(make_predictions([0, 1], [0, 1]), "f2", resampling=SETTINGS)


def test_refuses_tables_that_are_not_of_one_labelled_task(make_predictions: Maker) -> None:
    with pytest.raises(ValueError, match="no row is labelled"):
        metric_interval(make_predictions([None], [0]), "accuracy", resampling=SETTINGS)
    both = make_predictions([0, 0], [0, 0]).assign(task=["action", "state"])
    both.attrs["classes"] = {task: ["negative", "neutral"] for task in ("action", "state")}
    with pytest.raises(ValueError, match=r"2 tasks \(action, state\)"):
        metric_interval(both, "accuracy", resampling=SETTINGS)


def test_refuses_rows_without_group_or_score(make_predictions: Maker) -> None:
    frame = make_predictions([0, 1], [0, 1])
    with pytest.raises(ValueError, match="1 of 2 rows have no group"):
        metric_interval(frame.assign(group=["a", None]), "accuracy", resampling=SETTINGS)
    with pytest.raises(ValueError, match="1 of 2 rows have no finite score"):
        metric_interval(frame.assign(score=[1.0, np.nan]), "score", resampling=SETTINGS)


def test_probability_metrics_see_what_classification_metrics_sees(make_predictions: Maker) -> None:
    frame = make_predictions([0], [0], probabilities=np.array([[0.5, 0.4, 0.3]]))
    with pytest.raises(ValueError, match="not distributions"):
        metric_interval(frame, "log_loss", resampling=SETTINGS)
    with pytest.raises(ValueError, match="not distributions"):
        classification_metrics(np.array([0]), np.array([[0.5, 0.4, 0.3]]))
