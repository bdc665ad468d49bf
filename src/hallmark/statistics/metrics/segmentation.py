"""Metrics of N segmentations, from how each overlaps with its truth.

Kazemzadeh et al. 2014; Yu et al. 2016; with expressions that refer to nothing, Liu et al. 2023 (arXiv:2306.00968).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hallmark.statistics.metrics.classification import Floats

PRECISION = {f"p@{threshold}": threshold for threshold in (0.5, 0.6, 0.7, 0.8, 0.9)}
TARGET_METRICS = ("target_miou", "no_target_accuracy")  # of the rows with a target, and of those without
SEGMENTATION_METRICS = ("miou", *TARGET_METRICS, "oiou", *PRECISION)


def segmentation_metrics(iou: Floats, intersection: Floats, union: Floats, target_area: Floats) -> dict[str, float]:
    """Every segmentation metric of rows with these overlaps, pixels [N] and IoU [N].

    A row without a target (`target_area` 0) has the IoU 1 where it is answered with an empty mask, else 0.

    Returns:
        miou: mean IoU of all rows. target_miou: of the rows with a target. no_target_accuracy: share of the rows
        without one that are answered with an empty mask. oiou: ΣI / ΣU, in which large objects count more; 1 where
        every mask and truth is empty. p@t: share of the rows with an IoU of t or more. nan where there is no such row.
    """
    if not len(iou):
        return dict.fromkeys(SEGMENTATION_METRICS, float("nan"))
    overall = overall_iou(np.array([intersection.sum()]), np.array([union.sum()]))[0]
    shares = {name: float((iou >= threshold).mean()) for name, threshold in PRECISION.items()}
    parts = zip(TARGET_METRICS, by_target(iou, target_area), strict=True)
    means = {name: float(part.mean()) if len(part) else float("nan") for name, part in parts}
    return {"miou": float(iou.mean()), **means, "oiou": float(overall), **shares}


def by_target(values: NDArray[Any], target_area: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
    """`values` [N] of the rows with a target, and of those without."""
    return values[target_area > 0], values[target_area == 0]


def overall_iou(intersection: Floats, union: Floats) -> Floats:
    """ΣI / ΣU of sums [R]; 1 where the union is empty."""
    return np.where(union > 0, intersection / np.where(union > 0, union, 1.0), 1.0)
