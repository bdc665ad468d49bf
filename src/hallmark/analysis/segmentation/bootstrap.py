"""What the answers score, what the loop gains and what the proposals would allow, with intervals."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hallmark.analysis.plots.style import INK, MUTED, house_style, interval_dots, new_figure
from hallmark.analysis.presentation import interval_note, interval_texts, p_columns, show
from hallmark.analysis.segmentation.answers import ONE_SHOT, ORACLE, answers, counts, task_name
from hallmark.analysis.state import State
from hallmark.runs.metrics import MAIN
from hallmark.statistics import SEGMENTATION_METRICS, Resampling, adjust, all_intervals, paired_difference
from hallmark.wording import readable

_TESTED = ("p_value", "p_holm", "p_floor")
_DIFFERENCES = ((MAIN, ONE_SHOT), (ORACLE, MAIN))


class Bootstrap:
    """Write `bootstrap.csv` and a figure: every segmentation metric of one-shot, loop and best proposal.

    Intervals resample images; the differences are paired. Of loop minus one-shot there is a p-value, adjusted by Holm
    over the metrics; best proposal minus loop is a bound, which no test asks for.

    Args:
        statistics: confidence level, resamples and seed of the intervals and tests.
    """

    def __init__(self, *, statistics: Resampling) -> None:
        self.resampling = statistics

    def run(self, state: State) -> None:
        table = self.table(state.predictions)
        state.save_table("bootstrap", table)
        state.save_figure("bootstrap", bootstrap_figure(table))
        first = table.iloc[0]
        rows = f"{first['n']} expressions of {first['n_groups']} images, {first['n_no_target']} without a target"
        show(f"{state.split}: {rows}", bootstrap_texts(table), notes=interval_note(table))

    def table(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """One row a task and metric, then one a difference and metric: `value` is that of `task`, less that of `minus`.

        A metric that no answer has, as that of rows without a target where all have one, is left out.

        Raises:
            ValueError: not a table of masks with truth.
        """
        tasks = answers(predictions, "bootstrap")
        records = []
        for task, rows in tasks.items():
            intervals = all_intervals(rows, SEGMENTATION_METRICS, resampling=self.resampling)
            records += [
                {**_keys(task, None, name), **interval.columns("value"), **counts(rows)}
                for name, interval in intervals.items()
            ]  # fmt: skip
        for task, minus in _DIFFERENCES:
            if task not in tasks or minus not in tasks:
                continue
            first, second = (tasks[name].assign(task=MAIN) for name in (minus, task))
            differences = adjust([
                paired_difference(first, second, metric, resampling=self.resampling) for metric in SEGMENTATION_METRICS
            ])  # fmt: skip
            for difference in differences:
                record = {**_keys(task, minus, difference.metric), **difference.difference.columns("value")}
                if task != ORACLE:
                    record |= {name: getattr(difference, name) for name in _TESTED}
                    names = (task, minus)
                    record["verdict"] = difference.finding(task_name(minus, names), task_name(task, names))
                records.append({**record, **counts(tasks[task])})
        table = pd.DataFrame(records)
        undefined = table.groupby("metric")["value"].transform(lambda values: values.isna().all())
        return table[~undefined].reset_index(drop=True)


def _keys(task: str, minus: str | None, metric: str) -> dict[str, Any]:
    return {"task": task, "minus": minus or "", "metric": metric, **dict.fromkeys(_TESTED, math.nan),
            "verdict": ""}  # fmt: skip


def bootstrap_texts(table: pd.DataFrame) -> pd.DataFrame:
    """`Bootstrap.table` as text for readers, a line a metric."""
    metrics = table["metric"].drop_duplicates()
    texts: dict[str, Any] = {"metric": [readable(name) for name in metrics]}
    for (task, minus), rows in table.groupby(["task", "minus"], sort=False):
        texts[_title(str(task), str(minus), table)] = interval_texts(rows, "value", "+" if minus else "")
        if rows["p_value"].notna().any():
            texts |= {**p_columns(rows), "verdict": list(rows["verdict"])}
    return pd.DataFrame(texts)


def _title(task: str, minus: str, table: pd.DataFrame) -> str:
    names = [task_name(name, set(table["task"])) for name in (task, minus) if name]
    return " − ".join(names)


@house_style()
def bootstrap_figure(table: pd.DataFrame) -> Figure:
    """Values, and in a panel each their paired differences, a line a metric, from `Bootstrap.table`."""
    values, differences = table[table["minus"] == ""], table[table["minus"] != ""]
    panels = list(differences.groupby(["task", "minus"], sort=False))
    metrics = list(values["metric"].drop_duplicates())
    figure = new_figure(0.34 * len(metrics) + 1.0, 7.0 if panels else 4.6)
    axes = figure.subplots(1, 1 + len(panels), sharey=True, squeeze=False, width_ratios=[1.5, *[1.0] * len(panels)])[0]
    tasks = list(values["task"].drop_duplicates())
    for index, (task, shift) in enumerate(zip(tasks, np.linspace(-0.22, 0.22, len(tasks)), strict=True)):
        rows = values[values["task"] == task]
        heights = np.arange(len(rows)) + (shift if len(tasks) > 1 else 0)
        interval_dots(axes[0], heights, rows, "value", index=index, label=task_name(task, tasks))
    axes[0].set_title("value")
    for ax, ((task, minus), rows) in zip(axes[1:], panels, strict=True):
        ax.set_title(_title(str(task), str(minus), table))
        ax.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        estimate, low, high = (rows[f"value{end}"].to_numpy(dtype=float) for end in ("", "_low", "_high"))
        bars = np.clip([estimate - low, high - estimate], 0, None)
        ax.errorbar(estimate, range(len(rows)), xerr=bars, fmt="D", color=INK, markersize=3.5, elinewidth=1.2)
        style: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 7, "color": MUTED}
        texts = ["p (Holm)", *p_columns(rows)["p (Holm)"]] if rows["p_value"].notna().any() else []
        for y, text in enumerate(texts, -1):
            ax.text(1.03, max(y, -0.5), text, **style)
    for ax in axes:
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
    axes[0].set_yticks(range(len(metrics)), [readable(name) for name in metrics])
    axes[0].set_ylim(len(metrics) - 0.4, -0.6)
    n, n_groups = values.iloc[0][["n", "n_groups"]]
    axes[0].set_xlabel(f"{n} expressions of {n_groups} images")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure
