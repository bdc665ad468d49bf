"""Metrics of predictions, their intervals, and paired comparisons. Imports nothing of hallmark but `checks`."""

from hallmark.statistics.bootstrap import all_intervals, mean_interval, metric_interval
from hallmark.statistics.classification import (
    CLASSIFICATION_METRICS,
    COUNT_METRICS,
    LOWER_IS_BETTER,
    PROBABILITY_METRICS,
    classification_metrics,
    confusion_metrics,
)
from hallmark.statistics.delong import DeLong, auc_interval, auc_variance, delong_test
from hallmark.statistics.holm import holm
from hallmark.statistics.interval import Interval
from hallmark.statistics.mcnemar import McNemar, mcnemar
from hallmark.statistics.members import (
    member_notes,
    members_text,
    over_text,
    row_count,
    row_ids,
    same_members,
    size_text,
)
from hallmark.statistics.paired import PairedDifference, adjust, paired_difference, rowwise_p_values
from hallmark.statistics.permutation import permutation_test
from hallmark.statistics.proportions import wilson
from hallmark.statistics.reliability import expected_calibration_error
from hallmark.statistics.reliability_diagram import reliability_bins
from hallmark.statistics.resampling import Resampling
from hallmark.statistics.segmentation import SEGMENTATION_METRICS, segmentation_metrics
from hallmark.statistics.sets import FrechetDistance, KernelDistance, RowSet, SetMetric, set_interval
from hallmark.statistics.spread import Spread, spread
from hallmark.statistics.tables import (
    class_order,
    is_segmentation,
    labelled_rows,
    metric_names,
    prediction_array,
    probability_array,
    table_metrics,
    target_array,
)

__all__ = [
    "CLASSIFICATION_METRICS",
    "COUNT_METRICS",
    "LOWER_IS_BETTER",
    "PROBABILITY_METRICS",
    "SEGMENTATION_METRICS",
    "DeLong",
    "FrechetDistance",
    "Interval",
    "KernelDistance",
    "McNemar",
    "PairedDifference",
    "Resampling",
    "RowSet",
    "SetMetric",
    "Spread",
    "adjust",
    "all_intervals",
    "auc_interval",
    "auc_variance",
    "class_order",
    "classification_metrics",
    "confusion_metrics",
    "delong_test",
    "expected_calibration_error",
    "holm",
    "is_segmentation",
    "labelled_rows",
    "mcnemar",
    "mean_interval",
    "member_notes",
    "members_text",
    "metric_interval",
    "metric_names",
    "over_text",
    "paired_difference",
    "permutation_test",
    "prediction_array",
    "probability_array",
    "reliability_bins",
    "row_count",
    "row_ids",
    "rowwise_p_values",
    "same_members",
    "segmentation_metrics",
    "set_interval",
    "size_text",
    "spread",
    "table_metrics",
    "target_array",
    "wilson",
]
