"""Classification metrics of N rows over C classes; targets and predictions are class indices 0 .. C - 1."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hallmark.statistics.metrics.reliability import expected_calibration_error

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

COUNT_METRICS = ("accuracy", "macro_f1", "micro_f1", "weighted_f1", "macro_precision", "macro_recall")
PROBABILITY_METRICS = ("auroc", "auprc", "log_loss", "brier", "ece")
CLASSIFICATION_METRICS = COUNT_METRICS + PROBABILITY_METRICS
TWO_CLASS_METRICS = ("eer", "tpr_at_1pct_fpr")
"""What a task of two classes has besides; the second one is the positive class."""

ECE_BINS = 15
MOST_FALSE_ALARMS = 0.01  # false-positive rate of tpr_at_1pct_fpr


def classification_metrics(
    target: Integers, probabilities: Floats, prediction: Integers | None = None
) -> dict[str, float]:
    """Every classification metric of one table of rows.

    Args:
        target: [N] class indices.
        probabilities: [N, C], rows that sum to 1.
        prediction: [N] class indices; left out, the class of highest probability, the first one on a tie.
            Only the count-based metrics read it: a threshold other than argmax does not move the others.

    Returns:
        Count-based, as `confusion_metrics` defines them: accuracy, macro_f1, micro_f1, weighted_f1,
        macro_precision, macro_recall. From the probabilities:

        auroc: area under the ROC curve, tied pairs count one half. With two classes the score is the probability
            of the second one; with more the mean over each class against the rest, of the classes with at least
            one row in and one row out of them; nan if there is none.
        auprc: average precision, the sum over thresholds of precision times the recall gained there, of the same
            classes as auroc.
        log_loss: mean over rows of -ln(probability of the target), probabilities clipped below at 2.2e-16.
        brier: mean over rows of the sum over classes of (probability - [class is the target])^2, so 0 to 2
            (Brier 1950), twice the binary form.
        ece: expected calibration error of the top probability over 15 equal-width bins; a row is correct
            where the first class of highest probability is the target.

        With two classes, of the probability of the second one, nan where one of them has no row:

        eer: equal error rate, the false-positive rate where the ROC curve, its points joined by lines, meets the
            false-negative rate.
        tpr_at_1pct_fpr: highest true-positive rate at a threshold whose false-positive rate is at most 0.01.

    Raises:
        ValueError: no rows, shapes that do not fit, class indices outside 0 .. C - 1, or rows of
            `probabilities` that are not distributions (each within [0, 1], sum within 1e-3 of 1).
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # the first step of a fit does not wait for it

    check_rows(target, probabilities)
    top = probabilities.argmax(axis=1)
    chosen = top if prediction is None else prediction
    if chosen.shape != target.shape:
        raise ValueError(f"prediction {chosen.shape} must have the shape of target {target.shape}")
    n_classes = probabilities.shape[1]
    if chosen.min() < 0 or chosen.max() >= n_classes:
        raise ValueError(f"prediction holds classes outside 0 .. {n_classes - 1}")
    pairs = np.bincount(target * n_classes + chosen, minlength=n_classes**2)
    counts = confusion_metrics(pairs.reshape(n_classes, n_classes))
    of_two = two_class_metrics(target == 1, probabilities[:, 1]) if n_classes == 2 else {}
    return (
        {name: float(value) for name, value in counts.items()}
        | of_two
        | {
            "auroc": _macro_area(roc_auc_score, target, probabilities),
            "auprc": _macro_area(average_precision_score, target, probabilities),
            "log_loss": float(row_log_loss(target, probabilities).mean()),
            "brier": float(row_brier(target, probabilities).mean()),
            "ece": expected_calibration_error(top_confidence(probabilities), top == target, ECE_BINS),
        }
    )


def two_class_metrics(positive: NDArray[np.bool_], score: Floats) -> dict[str, float]:
    """`eer` and `tpr_at_1pct_fpr` of scores [N], as `classification_metrics` defines them."""
    from sklearn.metrics import roc_curve

    if not 0 < positive.sum() < positive.size:
        return dict.fromkeys(TWO_CLASS_METRICS, float("nan"))
    false_positive, true_positive, _ = roc_curve(positive, score, drop_intermediate=False)
    error = float(np.interp(0, false_positive + true_positive - 1, false_positive))
    allowed = float(true_positive[false_positive <= MOST_FALSE_ALARMS].max())
    return dict(zip(TWO_CLASS_METRICS, (error, allowed), strict=True))


def confusion_metrics(confusion: NDArray[np.number]) -> dict[str, Floats]:
    """The count-based metrics of confusion matrices, over any leading axes.

    Args:
        confusion: [..., C, C] counts or non-negative weights, row = target, column = prediction.

    Returns:
        Arrays [...] under these names:

        accuracy: share of rows whose prediction is the target.
        macro_precision, macro_recall, macro_f1: unweighted mean over the classes that occur in the target;
            a class that does not occur is left out (predictions of it lower the recall of the others only).
        micro_f1: F1 of the true positives, predictions and targets summed over classes, which is the accuracy
            where every row has one target and one prediction.
        weighted_f1: mean of F1 over classes, weighted by their share of the target.

        Precision of a class that is never predicted is 0, and so is F1 where precision and recall are 0.
        Where one class alone occurs in the target, nothing can be taken for it wrongly: its precision is 1 or 0 and its
        F1 a function of its recall, so that macro_f1, weighted_f1 and macro_precision are nan.
        All are nan for a matrix without rows.
    """
    matrix = np.asarray(confusion, dtype=np.float64)
    return count_metrics(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1), matrix.sum(-2))


def count_metrics(true_positive: Floats, support: Floats, predicted: Floats) -> dict[str, Floats]:
    """`confusion_metrics` from the diagonal, row sums and column sums of the matrices, each [..., C]."""
    f1 = _ratio(2 * true_positive, support + predicted)
    total = support.sum(-1)
    classes = (support > 0).sum(-1)  # the others have no true positives, hence add 0 to every sum below
    several = np.where(classes > 1, classes, np.nan)
    with np.errstate(invalid="ignore"):
        return {
            "accuracy": true_positive.sum(-1) / total,
            "macro_f1": f1.sum(-1) / several,
            "micro_f1": 2 * true_positive.sum(-1) / (total + predicted.sum(-1)),
            "weighted_f1": np.where(classes > 1, (f1 * support).sum(-1) / total, np.nan),
            "macro_precision": _ratio(true_positive, predicted).sum(-1) / several,
            "macro_recall": _ratio(true_positive, support).sum(-1) / classes,
        }


def _macro_area(area: Callable[..., float], target: Integers, probabilities: Floats) -> float:
    """Mean of the areas of each class against the rest, as `classification_metrics` defines it."""
    present = [c for c in ranked_classes(probabilities.shape[1]) if 0 < (target == c).sum() < target.size]
    areas = [area(target == c, probabilities[:, c]) for c in present]
    return float(np.mean(areas)) if areas else float("nan")


def ranked_classes(n_classes: int) -> Integers:
    """The classes that AUROC and AUPRC average over: each one, but of two only the second, the positive one.

    Where probabilities saturate, the two columns of a binary task rank its rows differently: ties in one are none in
    the other.
    """
    return np.arange(1 if n_classes == 2 else 0, n_classes)


def row_log_loss(target: Integers, probabilities: Floats) -> Floats:
    """-ln(probability of the target) of each row, [N], clipped as `classification_metrics` says."""
    of_target = probabilities[np.arange(target.size), target].astype(np.float64)
    losses: Floats = -np.log(np.maximum(of_target, np.finfo(np.float64).eps))
    return losses


def row_brier(target: Integers, probabilities: Floats) -> Floats:
    """Sum over classes of the squared error of each row, [N]."""
    errors: Floats = np.square(probabilities - np.eye(probabilities.shape[1])[target]).sum(axis=1)
    return errors


def top_confidence(probabilities: Floats) -> Floats:
    """Highest probability of each row, [N], at most 1 whatever the rounding."""
    return np.minimum(probabilities.max(axis=1), 1.0).astype(np.float64)


def check_rows(target: Integers, probabilities: Floats) -> None:
    """Raise ValueError unless target [N] and probabilities [N, C] are what `classification_metrics` takes."""
    if target.ndim != 1 or probabilities.shape[:-1] != target.shape or probabilities.size == 0:
        shapes = f"target {target.shape} and probabilities {probabilities.shape}"
        raise ValueError(f"{shapes} must be [N] and [N, C] with N and C at least 1")
    if target.min() < 0 or target.max() >= probabilities.shape[1]:
        raise ValueError(f"target holds classes outside 0 .. {probabilities.shape[1] - 1}")
    bad = ~(np.abs(probabilities.sum(axis=1) - 1) <= 1e-3) | (probabilities < 0).any(axis=1)
    if bad.any():
        raise ValueError(
            f"{bad.sum()} of {len(bad)} rows of probabilities are not distributions "
            f"(non-negative, sum 1), first row {int(bad.argmax())}: {probabilities[bad.argmax()]}"
        )


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """numerator / denominator, 0 where the denominator is 0."""
    out = np.zeros(np.broadcast_shapes(numerator.shape, denominator.shape))
    ratio: Floats = np.divide(numerator, denominator, out=out, where=denominator > 0)
    return ratio
