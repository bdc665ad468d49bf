"""Metrics of predictions, their intervals, and paired comparisons. Imports nothing else of hallmark."""

from hallmark.statistics.bootstrap import all_intervals, mean_interval, metric_interval
from hallmark.statistics.classification import (
    CLASSIFICATION_METRICS,
    COUNT_METRICS,
    LOWER_IS_BETTER,
    PROBABILITY_METRICS,
    classification_metrics,
    confusion_metrics,
)
from hallmark.statistics.interval import Interval
from hallmark.statistics.paired import PairedDifference, paired_difference
from hallmark.statistics.proportions import wilson
from hallmark.statistics.reliability import expected_calibration_error, reliability_bins
from hallmark.statistics.tables import (
    class_order,
    labelled_rows,
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
    "Interval",
    "PairedDifference",
    "all_intervals",
    "class_order",
    "classification_metrics",
    "confusion_metrics",
    "expected_calibration_error",
    "labelled_rows",
    "mean_interval",
    "metric_interval",
    "paired_difference",
    "prediction_array",
    "probability_array",
    "reliability_bins",
    "table_metrics",
    "target_array",
    "wilson",
]
