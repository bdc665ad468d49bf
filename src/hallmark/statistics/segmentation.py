"""Metrics of N segmentations, from how each overlaps with its truth (Kazemzadeh et al. 2014; Yu et al. 2016)."""

import numpy as np

from hallmark.statistics.classification import Floats

PRECISION = {f"p@{threshold}": threshold for threshold in (0.5, 0.6, 0.7, 0.8, 0.9)}
SEGMENTATION_METRICS = ("miou", "oiou", *PRECISION)


def segmentation_metrics(iou: Floats, intersection: Floats, union: Floats) -> dict[str, float]:
    """Every segmentation metric of rows with these overlaps, pixels [N] and IoU [N].

    Returns:
        miou: mean IoU. oiou: ΣI / ΣU, in which large objects count more; 1 where every mask and truth is empty.
        p@t: share of the rows with an IoU of t or more. All nan without a row.
    """
    if not len(iou):
        return dict.fromkeys(SEGMENTATION_METRICS, float("nan"))
    overall = overall_iou(np.array([intersection.sum()]), np.array([union.sum()]))[0]
    shares = {name: float((iou >= threshold).mean()) for name, threshold in PRECISION.items()}
    return {"miou": float(iou.mean()), "oiou": float(overall), **shares}


def overall_iou(intersection: Floats, union: Floats) -> Floats:
    """ΣI / ΣU of sums [R]; 1 where the union is empty."""
    return np.where(union > 0, intersection / np.where(union > 0, union, 1.0), 1.0)
