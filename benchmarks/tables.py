"""Markdown tables of results with intervals."""

from pathlib import Path

import pandas as pd

from hallmark.runs.configuration import default_resampling
from hallmark.statistics.bootstrap import all_intervals
from hallmark.statistics.interval import Interval
from hallmark.statistics.paired import paired_difference
from hallmark.statistics.tables import table_metrics
from hallmark.storage.files import write_text

METRICS = ("accuracy", "macro_f1", "weighted_f1")


def majority(predictions: pd.DataFrame) -> pd.DataFrame:
    top = predictions["target"].mode()[0]
    return predictions.assign(prediction=top, score=(predictions["target"] == top).astype(float))


def results(predictions: dict[str, pd.DataFrame], minutes: dict[str, float]) -> list[str]:
    """One line a model; `minutes` is what its fit took, where that is known."""
    lines = ["| model | accuracy | macro F1 | weighted F1 | minutes |", "|---|---|---|---|---|"]
    for name, frame in predictions.items():
        intervals = all_intervals(frame, METRICS, resampling=default_resampling())
        cells = [_cell(intervals[metric]) for metric in METRICS]
        spent = f"{minutes[name]:.1f}" if name in minutes else "–"
        lines.append(f"| {name} | {' | '.join(cells)} | {spent} |")
    return lines


def best_of(predictions: dict[str, pd.DataFrame]) -> str:
    """The model with the highest macro F1."""
    return max(predictions, key=lambda name: table_metrics(predictions[name])["main"]["macro_f1"] or 0.0)


def _cell(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def differences(pooled: dict[str, pd.DataFrame], best: str) -> list[str]:
    lines = [f"| {best} against | accuracy | macro F1 |", "|---|---|---|"]
    for name, predictions in pooled.items():
        if name == best:
            continue
        found = [
            paired_difference(predictions, pooled[best], metric, resampling=default_resampling())
            for metric in ("accuracy", "macro_f1")
        ]
        cells = [f"{item.difference.estimate:+.3f} [{item.difference.low:+.3f}, {item.difference.high:+.3f}], "
                 f"p = {item.p_value:.4f}" for item in found]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def write_block(path: Path, lines: list[str], name: str = "results") -> None:
    """Replace what stands between the two marker comments of a Markdown file; a file without them is made."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    text = path.read_text(encoding="utf-8") if path.exists() else f"{start}\n{end}\n"
    head, _, rest = text.partition(start)
    _, _, tail = rest.partition(end)
    write_text(path, "\n".join([head + start, "", *lines, "", end + tail]))
