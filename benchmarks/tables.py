"""Tables of metrics with intervals and of paired differences, as `benchmarks.results` stores them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from benchmarks.results import Cell, difference_cell, value_cell
from hallmark.analysis.presentation import majority_class_baseline
from hallmark.runs.configuration import default_resampling
from hallmark.runs.metrics import MAIN
from hallmark.statistics import PairedDifference, adjust, all_intervals, paired_difference, table_metrics

TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "miou": "mIoU",
    "target_miou": "mIoU with a target",
    "no_target_accuracy": "no target: answered so",
}
METRICS = ("accuracy", "macro_f1", "weighted_f1")
COMPARED = ("accuracy", "macro_f1")

Pair = tuple[pd.DataFrame, pd.DataFrame]


def majority(predictions: pd.DataFrame) -> pd.DataFrame:
    """The table of a model that always answers the most frequent class of these rows."""
    return majority_class_baseline(predictions, predictions.attrs["classes"][MAIN])


def metric_table(
    predictions: Mapping[str, pd.DataFrame], metrics: Sequence[str] = METRICS, *, title: str = "model"
) -> list[dict[str, Cell]]:
    """One row a model, one column a metric."""
    table = []
    for name, rows in predictions.items():
        intervals = all_intervals(rows, metrics, resampling=default_resampling())
        table.append({title: name, **{TITLES[metric]: value_cell(intervals[metric]) for metric in metrics}})
    return table


def difference_table(pairs: Mapping[str, Pair], metrics: Sequence[str] = COMPARED) -> list[dict[str, Cell]]:
    """One row a pair `A − B` of (A, B); p is adjusted by Holm over all rows and metrics of the table."""
    keys = [(name, metric) for name in pairs for metric in metrics]
    differences = []
    for name, metric in keys:
        a, b = pairs[name]
        differences.append(paired_difference(b, a, metric, resampling=default_resampling()))
    adjusted: dict[tuple[str, str], PairedDifference] = dict(zip(keys, adjust(differences), strict=True))
    return [
        {"A − B": name, **{TITLES[metric]: difference_cell(adjusted[name, metric]) for metric in metrics}}
        for name in pairs
    ]


def against(a: str, tables: Mapping[str, pd.DataFrame], references: Sequence[str]) -> dict[str, Pair]:
    """Pairs of `a` with each of `references`, named for `difference_table`."""
    return {f"{a} − {b}": (tables[a], tables[b]) for b in references}


def best_of(predictions: Mapping[str, pd.DataFrame]) -> str:
    """The model with the highest macro F1."""
    return max(predictions, key=lambda name: table_metrics(predictions[name])["main"]["macro_f1"] or 0.0)


def holm_sentence(table: Sequence[Mapping[str, Cell]]) -> str:
    """For readers of `difference_table`."""
    n = len(table) * (len(table[0]) - 1)
    return f"Differences are paired, A minus B, with p adjusted by Holm over all {n}."
