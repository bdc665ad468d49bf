import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hallmark.statistics import CLASSIFICATION_METRICS, TWO_CLASS_METRICS
from hallmark.statistics.metrics.classification import COUNT_METRICS, classification_metrics, confusion_metrics


@st.composite
def labelled_probabilities(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Targets [N] that need not use every class, and coarse probabilities [N, C], so that ties occur."""
    n, n_classes = draw(st.integers(1, 25)), draw(st.integers(2, 4))
    target = draw(st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n))
    cells = draw(st.lists(st.integers(0, 4), min_size=n * n_classes, max_size=n * n_classes))
    weights = np.array(cells, dtype=float).reshape(n, n_classes) + 0.25
    return np.array(target), weights / weights.sum(axis=1, keepdims=True)


@given(labelled_probabilities())
@settings(max_examples=50)
def test_count_metrics_equal_sklearn_over_the_classes_of_the_target(
    rows: tuple[np.ndarray, np.ndarray],
) -> None:
    target, probabilities = rows
    prediction = probabilities.argmax(axis=1)
    metrics = classification_metrics(target, probabilities)
    macro = {"labels": np.unique(target), "average": "macro", "zero_division": 0}
    assert metrics["accuracy"] == pytest.approx(sk.accuracy_score(target, prediction))
    assert metrics["macro_recall"] == pytest.approx(sk.recall_score(target, prediction, **macro))
    assert metrics["micro_f1"] == pytest.approx(sk.f1_score(target, prediction, average="micro"))
    if len(np.unique(target)) == 1:
        return
    assert metrics["macro_f1"] == pytest.approx(sk.f1_score(target, prediction, **macro))
    assert metrics["macro_precision"] == pytest.approx(sk.precision_score(target, prediction, **macro))
    weighted = sk.f1_score(target, prediction, average="weighted", zero_division=0)
    assert metrics["weighted_f1"] == pytest.approx(weighted)


@given(labelled_probabilities())
@settings(max_examples=50)
def test_probability_metrics_equal_sklearn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    target, probabilities = rows
    labels = np.arange(probabilities.shape[1])
    metrics = classification_metrics(target, probabilities)
    assert metrics["log_loss"] == pytest.approx(sk.log_loss(target, probabilities, labels=labels))
    onehot = np.eye(len(labels))[target]
    assert metrics["brier"] == pytest.approx(len(labels) * sk.mean_squared_error(onehot, probabilities))
    positives = [1] if len(labels) == 2 else labels
    ranked = [(target == c, probabilities[:, c]) for c in positives if 0 < (target == c).sum() < len(target)]
    for name, reference in (("auroc", sk.roc_auc_score), ("auprc", sk.average_precision_score)):
        areas = [reference(positive, score) for positive, score in ranked]
        assert metrics[name] == pytest.approx(np.mean(areas) if areas else math.nan, nan_ok=True)


@given(labelled_probabilities(), st.randoms())
@settings(max_examples=30)
def test_order_of_rows_and_names_of_classes_do_not_matter(rows: tuple[np.ndarray, np.ndarray], random: object) -> None:
    target, probabilities = rows
    probabilities = probabilities + np.arange(1, probabilities.shape[1] + 1) * 1e-4  # argmax ties go by class order
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    order, names = list(range(len(target))), list(range(probabilities.shape[1]))
    random.shuffle(order)  # type: ignore[attr-defined]
    random.shuffle(names)  # type: ignore[attr-defined]
    before = classification_metrics(target, probabilities)
    after = classification_metrics(np.argsort(names)[target[order]], probabilities[order][:, names])
    if len(names) == 2:  # these are of the second class
        for name in ("auprc", "tpr_at_1pct_fpr"):
            del before[name], after[name]
    assert after == pytest.approx(before, nan_ok=True)


@given(st.integers(2, 4).flatmap(lambda c: st.lists(st.integers(0, 5), min_size=6 * c * c, max_size=6 * c * c)))
def test_confusion_metrics_are_vectorised_over_leading_axes(cells: list[int]) -> None:
    size = math.isqrt(len(cells) // 6)
    stack = np.array(cells).reshape(2, 3, size, size)
    together = confusion_metrics(stack)
    assert set(together) == set(COUNT_METRICS)
    for index in np.ndindex(2, 3):
        alone = confusion_metrics(stack[index])
        for name, values in together.items():
            assert values.shape == (2, 3)
            assert values[index] == pytest.approx(float(alone[name]), nan_ok=True)


def test_confusion_metrics_by_hand() -> None:
    values = confusion_metrics(np.array([[3, 1, 0], [2, 2, 0], [0, 1, 1]]))
    assert values["accuracy"] == pytest.approx(6 / 10)
    assert values["macro_precision"] == pytest.approx((3 / 5 + 2 / 4 + 1) / 3)
    assert values["macro_recall"] == pytest.approx((3 / 4 + 2 / 4 + 1 / 2) / 3)
    assert values["macro_f1"] == pytest.approx((6 / 9 + 4 / 8 + 2 / 3) / 3)
    assert values["micro_f1"] == pytest.approx(2 * 6 / (10 + 10))
    assert values["weighted_f1"] == pytest.approx((4 * 6 / 9 + 4 * 4 / 8 + 2 * 2 / 3) / 10)


def test_a_class_that_is_absent_from_the_target_is_left_out_of_the_macro_averages() -> None:
    values = confusion_metrics(np.array([[2, 0, 0], [0, 1, 1], [0, 0, 0]]))
    assert values["macro_recall"] == pytest.approx((1 + 1 / 2) / 2)
    assert values["macro_precision"] == pytest.approx(1)
    assert values["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_matrix_without_rows_has_no_metrics() -> None:
    assert all(np.isnan(value) for value in confusion_metrics(np.zeros((3, 3))).values())


def test_given_predictions_move_the_count_metrics_only() -> None:
    target, probabilities = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    plain = classification_metrics(target, probabilities)
    thresholded = classification_metrics(target, probabilities, np.array([0, 1, 1]))
    assert plain["accuracy"] == pytest.approx(2 / 3) and thresholded["accuracy"] == 1
    assert all(plain[name] == thresholded[name] for name in set(CLASSIFICATION_METRICS) - set(COUNT_METRICS))


def test_hand_computed_losses_and_calibration() -> None:
    values = classification_metrics(np.array([0, 1]), np.array([[0.8, 0.2], [0.6, 0.4]]))
    assert values["log_loss"] == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 2)
    assert values["brier"] == pytest.approx((2 * 0.2**2 + 2 * 0.6**2) / 2)
    assert values["ece"] == pytest.approx((0.2 + 0.6) / 2)
    assert values["auroc"] == 1


def test_auprc_of_two_classes_is_that_of_the_second() -> None:
    target, score = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.6, 0.3])
    areas = [
        classification_metrics(labels, np.column_stack([1 - scores, scores]))["auprc"]
        for labels, scores in ((target, score), (1 - target, 1 - score))
    ]
    assert areas == pytest.approx([1 / 2 * 1 + 1 / 2 * 2 / 3, 1 / 2 * 1 + 1 / 2 * 2 / 3])
    skewed = classification_metrics(np.array([0, 0, 0, 1]), np.column_stack([1 - score, score]))
    assert skewed["auprc"] == pytest.approx(1 / 3)


def test_auprc_leaves_an_absent_class_out_of_the_mean() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.7, 0.2, 0.1]])
    values = classification_metrics(np.array([0, 1, 1]), probabilities)
    assert values["auprc"] == pytest.approx((1 + 1) / 2)
    values = classification_metrics(np.array([1, 1, 0]), probabilities)
    assert values["auprc"] == pytest.approx((1 / 2 + (1 / 2 + 1 / 2 * 2 / 3)) / 2)


def test_all_wrong_with_certainty() -> None:
    values = classification_metrics(np.array([0, 1]), np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert [values[name] for name in COUNT_METRICS] == [0] * len(COUNT_METRICS)
    assert values["log_loss"] == pytest.approx(-math.log(np.finfo(float).eps))
    assert (values["brier"], values["ece"], values["auroc"]) == (2, 1, 0)


@pytest.mark.parametrize("n", [1, 4])
def test_a_single_class_in_the_target_leaves_nothing_to_take_for_it(n: int) -> None:
    values = classification_metrics(np.zeros(n, dtype=int), np.tile([0.7, 0.3], (n, 1)))
    undefined = {name for name, value in values.items() if math.isnan(value)}
    assert undefined == {"macro_f1", "weighted_f1", "macro_precision", "auroc", "auprc", *TWO_CLASS_METRICS}
    assert values["accuracy"] == values["micro_f1"] == values["macro_recall"] == 1
    assert values["ece"] == pytest.approx(0.3)


def test_rounding_of_float32_probabilities_is_accepted() -> None:
    probabilities = np.array([[0.0, 1.0 + 1e-7], [0.5, 0.5]], dtype=np.float32)
    assert classification_metrics(np.array([1, 0]), probabilities)["accuracy"] == 1


@pytest.mark.parametrize(
    ("target", "probabilities", "prediction", "message"),
    [
        ([], np.zeros((0, 2)), None, "at least 1"),
        ([0, 1], [[0.5, 0.5]], None, r"target \(2,\) and probabilities \(1, 2\)"),
        ([2], [[0.5, 0.5]], None, r"target holds classes outside 0 \.\. 1"),
        ([-1], [[0.5, 0.5]], None, "target holds classes outside"),
        ([0], [[0.5, 0.6]], None, "1 of 1 rows of probabilities are not distributions"),
        ([0], [[1.5, -0.5]], None, "not distributions"),
        ([0], [[np.nan, 0.5]], None, "not distributions"),
        ([0], [[0.5, 0.5]], [2], r"prediction holds classes outside 0 \.\. 1"),
        ([0], [[0.5, 0.5]], [0, 1], r"prediction \(2,\) must have the shape"),
    ],
)
def test_refuses(target: list[int], probabilities: object, prediction: list[int] | None, message: str) -> None:
    chosen = None if prediction is None else np.array(prediction)
    with pytest.raises(ValueError, match=message):
        classification_metrics(np.array(target, dtype=int), np.array(probabilities), chosen)
