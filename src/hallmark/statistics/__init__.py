"""Metrics of predictions, their intervals and paired comparisons; imports only `checks` and `wording` of hallmark."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hallmark.statistics.resampling import Resampling
from hallmark.statistics.spread import Spread, spread

if TYPE_CHECKING:
    from hallmark.statistics.bootstrap import all_intervals, mean_interval, metric_interval
    from hallmark.statistics.interval import Interval
    from hallmark.statistics.members import (
        member_notes,
        members_text,
        over_text,
        row_count,
        row_ids,
        same_members,
        size_text,
    )
    from hallmark.statistics.metrics.classification import (
        CLASSIFICATION_METRICS,
        COUNT_METRICS,
        LOWER_IS_BETTER,
        PROBABILITY_METRICS,
        classification_metrics,
        confusion_metrics,
    )
    from hallmark.statistics.metrics.reliability import expected_calibration_error
    from hallmark.statistics.metrics.reliability_diagram import reliability_bins
    from hallmark.statistics.metrics.segmentation import SEGMENTATION_METRICS, segmentation_metrics
    from hallmark.statistics.metrics.sets import FrechetDistance, KernelDistance, RowSet, SetMetric, set_interval
    from hallmark.statistics.proportions import wilson
    from hallmark.statistics.significance.delong import DeLong, auc_interval, auc_variance, delong_test
    from hallmark.statistics.significance.holm import holm
    from hallmark.statistics.significance.mcnemar import McNemar, mcnemar
    from hallmark.statistics.significance.paired import PairedDifference, adjust, paired_difference, rowwise_p_values
    from hallmark.statistics.significance.permutation import permutation_test
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

_LATE = (
    # The light ones first: a name is looked for in this order, and what is looked through is loaded.
    "interval", "members", "metrics.classification", "metrics.segmentation", "metrics.reliability", "tables",
    "proportions", "bootstrap", "metrics.reliability_diagram", "metrics.sets", "significance.delong",
    "significance.holm", "significance.mcnemar", "significance.paired", "significance.permutation",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """A name of `__all__` from its module, imported when it is first asked for: most load scipy or scikit-learn."""
    if name in __all__:
        for module in _LATE:
            loaded = import_module(f"{__name__}.{module}")
            if name in vars(loaded):
                globals()[name] = vars(loaded)[name]
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
