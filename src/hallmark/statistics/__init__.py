"""Metrics of predictions, their intervals and paired comparisons; imports only `checks` and `wording` of hallmark."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hallmark.statistics.resampling import Resampling as Resampling
from hallmark.statistics.spread import Spread as Spread
from hallmark.statistics.spread import spread as spread

if TYPE_CHECKING:
    from hallmark.statistics.bootstrap import all_intervals as all_intervals
    from hallmark.statistics.bootstrap import metric_interval as metric_interval
    from hallmark.statistics.interval import Interval as Interval
    from hallmark.statistics.members import member_notes as member_notes
    from hallmark.statistics.members import over_text as over_text
    from hallmark.statistics.members import row_count as row_count
    from hallmark.statistics.members import row_ids as row_ids
    from hallmark.statistics.members import same_members as same_members
    from hallmark.statistics.members import size_text as size_text
    from hallmark.statistics.metrics import LOWER_IS_BETTER as LOWER_IS_BETTER
    from hallmark.statistics.metrics.classification import CLASSIFICATION_METRICS as CLASSIFICATION_METRICS
    from hallmark.statistics.metrics.classification import TWO_CLASS_METRICS as TWO_CLASS_METRICS
    from hallmark.statistics.metrics.reliability_diagram import reliability_bins as reliability_bins
    from hallmark.statistics.metrics.segmentation import SEGMENTATION_METRICS as SEGMENTATION_METRICS
    from hallmark.statistics.significance.paired import PairedDifference as PairedDifference
    from hallmark.statistics.significance.paired import adjust as adjust
    from hallmark.statistics.significance.paired import paired_difference as paired_difference
    from hallmark.statistics.significance.paired import rowwise_p_values as rowwise_p_values
    from hallmark.statistics.tables import class_order as class_order
    from hallmark.statistics.tables import compared_names as compared_names
    from hallmark.statistics.tables import is_segmentation as is_segmentation
    from hallmark.statistics.tables import is_two_sets as is_two_sets
    from hallmark.statistics.tables import labelled_rows as labelled_rows
    from hallmark.statistics.tables import metric_names as metric_names
    from hallmark.statistics.tables import prediction_array as prediction_array
    from hallmark.statistics.tables import probability_array as probability_array
    from hallmark.statistics.tables import table_metrics as table_metrics
    from hallmark.statistics.tables import target_array as target_array
    from hallmark.statistics.tables import two_sets_note as two_sets_note

_LATE = (
    # The light ones first: a name is looked for in this order, and what is looked through is loaded.
    "metrics", "interval", "members", "metrics.classification", "metrics.segmentation", "tables", "bootstrap",
    "metrics.reliability_diagram", "significance.paired",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """A name from the module that it is of, imported when it is first asked for: most load scipy or scikit-learn."""
    for module in () if name.startswith("_") else _LATE:
        loaded = import_module(f"{__name__}.{module}")
        if name in vars(loaded):
            globals()[name] = vars(loaded)[name]
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
