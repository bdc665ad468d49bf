"""What an evaluation cost: time by stage, passes asked for and computed, calls, and what iterations add."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hallmark.analysis.plots.style import INK, MUTED, color, drawable, house_style, new_figure
from hallmark.analysis.presentation import show
from hallmark.analysis.segmentation.answers import check_masks, mean_score
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.runs.metrics import MAIN
from hallmark.statistics import Resampling
from hallmark.statistics.members import row_count
from hallmark.storage.files import read_json
from hallmark.wording import failures_by_kind, plural, readable

_STOPS = ("confident", "max_iter", "unchanged", "fallback", "no_proposals", "one_shot")
_STAGES = {
    "propose": ("proposer passes", "proposer"), "embed": ("regions", "regions"), "rank": ("scores", None),
    "vlm": ("rewriter calls", "vlm"),
}  # fmt: skip
_PER_EXPRESSION = {
    "info_iterations": "rewritten queries ranked", "info_calls": "rewriter calls",
    "info_cached": "rewriter calls answered from disk", "info_fallback": "share with a fallback",
    "info_seconds": "seconds of ranking and loop", "info_vlm_seconds": "seconds of the rewriter",
}  # fmt: skip


class Cost:
    """Write `cost.csv` (time and work by stage), `cost_expressions.csv` (an expression's share, with intervals), and a
    figure, from `cost/<split>.json` of the run and the `info_` columns of its answers.

    Args:
        statistics: confidence level, resamples and seed of the intervals.
    """

    def __init__(self, *, statistics: Resampling) -> None:
        self.resampling = statistics

    def run(self, state: State) -> None:
        check_masks(state.predictions, "cost")
        spent = read_cost(state)
        rows = main_rows(state.predictions)
        stages, expressions = stage_table(spent), self.expressions(rows)
        later = later_iterations(spent, rows)
        state.save_table("cost", stages)
        state.save_table("cost_expressions", expressions)
        state.save_json("cost", {**spent, "later_iterations": later, "stops": stop_counts(rows).to_dict("split")})
        state.save_figure("cost", cost_figure(stages, rows))
        show(f"Cost of {plural(spent['expressions'], 'expression')} of {plural(spent['images'], 'image')}", stages)
        show("Cost of an expression", expressions.drop(columns=["n_groups"]))
        show("Totals", totals(spent, later))

    def expressions(self, rows: pd.DataFrame) -> pd.DataFrame:
        """One row a quantity: its mean over expressions with an interval, and its total."""
        records = []
        for column, name in _PER_EXPRESSION.items():
            quantities = rows[column].ne("") if column == "info_fallback" else rows[column]
            values = quantities.to_numpy(float)
            mean = mean_score(rows, "mean", values, self.resampling)
            sizes = {"n": row_count(rows), "n_groups": rows["group"].nunique()}
            records.append({"quantity": name, **mean, "total": values.sum(), **sizes})
        return pd.DataFrame(records)


def main_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """The answers, those without truth included.

    Raises:
        ValueError: columns are missing that say what an expression cost.
    """
    missing = [column for column in (*_PER_EXPRESSION, "info_stop") if column not in predictions]
    if missing:
        raise ValueError(f"cost: needs the columns {', '.join(missing)}, which this table lacks")
    return predictions[predictions["task"] == MAIN]


def read_cost(state: State) -> dict[str, Any]:
    """What predicting the split took, as the run has it in `cost/<split>.json`, and the calls of its `calibration`.

    Raises:
        SettingError: there is no such file.
    """
    name = f"cost/{state.split}.json"
    path = state.directory / name
    expected = f"a run with {name}, which predicting that split writes; of a set of repeats give one of its runs"
    require(path.is_file(), "run", str(state.directory), expected)
    cost: dict[str, Any] = read_json(path)
    calibration = path.with_name("calibration_calls.json")
    return {**cost, "calibration": read_json(calibration)} if calibration.is_file() else cost


def stage_table(spent: Mapping[str, Any]) -> pd.DataFrame:
    """Seconds and work of each stage, from `read_cost`; `seconds_each` is per computed pass, region, score or call."""
    total = spent["seconds"]["total"]
    records = []
    for stage, (unit, key) in _STAGES.items():
        if key is None:
            requested = computed = spent["scores"]
        else:
            requested = spent[key]["requests" if stage == "vlm" else "requested"]
            computed = requested - spent[key]["cached"] if stage == "vlm" else spent[key]["computed"]
        seconds = spent["seconds"][stage]
        records.append({
            "stage": stage, **_shares(seconds, total, spent), "unit": unit, "requested": requested,
            "computed": computed, "seconds_each": seconds / computed if computed else math.nan,
        })  # fmt: skip
    known = sum(spent["seconds"][stage] for stage in _STAGES)
    records.append({"stage": "other", **_shares(max(0.0, total - known), total, spent)})
    records.append({"stage": "total", **_shares(total, total, spent)})
    return pd.DataFrame(records).astype({"requested": "Int64", "computed": "Int64"})


def _shares(seconds: float, total: float, spent: Mapping[str, Any]) -> dict[str, float]:
    per = {name: seconds / spent[name] if spent[name] else math.nan for name in ("images", "expressions")}
    return {
        "seconds": seconds, "share": seconds / total if total else math.nan, "per_image": per["images"],
        "per_expression": per["expressions"],
    }  # fmt: skip


def later_iterations(spent: Mapping[str, Any], rows: pd.DataFrame) -> dict[str, float]:
    """What the iterations after the first cost, as a share of the first.

    The first proposes, embeds and ranks every query as it was given. Time of ranking is shared out evenly between all
    queries ranked. `ranking` leaves the rewriter's own time out, `with_vlm` adds it to the later ones. `stored` is the
    share of proposer passes and regions that were read from disk: where it is not 0, the first iteration would cost
    more without that, and the shares would be less.
    """
    first, later = len(rows), float(rows["info_iterations"].sum())
    seconds = spent["seconds"]
    ranking = seconds["rank"] / (first + later) if first + later else math.nan
    opening = seconds["propose"] + seconds["embed"] + ranking * first
    works = [spent[name] for name in ("proposer", "regions")]
    stored = [1 - work["computed"] / work["requested"] for work in works if work["requested"]]
    return {
        "queries_first": first, "queries_later": later,
        "ranking": ranking * later / opening if opening else math.nan,
        "with_vlm": (ranking * later + seconds["vlm"]) / opening if opening else math.nan,
        "stored": max(stored, default=0.0),
    }  # fmt: skip


def totals(spent: Mapping[str, Any], later: Mapping[str, float]) -> pd.DataFrame:
    """What is counted once for the whole run, for readers."""
    vlm, peak, calibration = spent["vlm"], spent["peak_gpu_bytes"], {}
    if calls := spent.get("calibration"):
        calibration = {
            "rewriter answers from disk in the calibration": f"{calls['cached']} of {calls['requests']}",
            "fallbacks in the calibration by kind": failures_by_kind(calls),
        }
    values = {
        "texts embedded": f"{spent['texts']}",
        "rewriter tokens in, out": f"{vlm['tokens_in']}, {vlm['tokens_out']}",
        "rewriter cost": f"{vlm['cost']:g}",
        "rewriter answers from disk": f"{vlm['cached']} of {vlm['requests']}",
        "fallbacks by kind": failures_by_kind(vlm),
        **calibration,
        "peak GPU memory": "no GPU" if peak is None else f"{peak / 2**30:.2f} GiB",
        "later iterations, of the first's time": _percent(later["ranking"]),
        "the same with the rewriter's time": _percent(later["with_vlm"]),
    }
    if later["stored"] > 0:
        values["of the first's work, read from disk"] = _percent(later["stored"])
    return pd.DataFrame({"quantity": list(values), "value": list(values.values())})


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"


def stop_counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Expressions by number of rewritten queries ranked (rows) and reason to stop (columns)."""
    return pd.crosstab(rows["info_iterations"].astype(int), rows["info_stop"].astype(str))


@house_style()
def cost_figure(stages: pd.DataFrame, rows: pd.DataFrame) -> Figure:
    """Seconds by stage, and expressions by iterations and reason to stop.

    Args:
        stages: `stage_table`.
        rows: of the answers, with info_iterations and info_stop.
    """
    figure = new_figure(2.5)
    left, right = figure.subplots(1, 2)
    _stages(left, stages[stages["stage"] != "total"])
    _stops(right, stop_counts(rows))
    return figure


def _stages(ax: Axes, stages: pd.DataFrame) -> None:
    heights = np.arange(len(stages))
    ax.barh(heights, stages["seconds"], 0.7, color=MUTED)
    for y, row in zip(heights, stages.to_dict("records"), strict=True):
        text = f"{row['seconds']:.3g} s ({_percent(row['share'])})"
        ax.annotate(text, (row["seconds"], y), (3, 0), textcoords="offset points", va="center", fontsize=7)
    names = {"vlm": "rewriter"}
    ax.set_yticks(heights, [names.get(stage, stage) for stage in stages["stage"]])
    ax.invert_yaxis()
    ax.margins(x=0.35)
    ax.set_xlim(left=0)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("seconds")
    ax.set_title("time by stage")


def _stops(ax: Axes, counts: pd.DataFrame) -> None:
    bottom = np.zeros(len(counts))
    reasons = [str(reason) for reason in counts]
    for reason in [*(known for known in _STOPS if known in reasons), *sorted(set(reasons) - set(_STOPS))]:
        shade = color(_STOPS.index(reason)) if reason in _STOPS else MUTED
        ax.bar(counts.index, counts[reason], 0.7, bottom=bottom, color=shade, label=drawable(readable(reason)))
        bottom = bottom + counts[reason].to_numpy()
    for x, total in zip(counts.index, bottom, strict=True):
        ax.annotate(f"{total:g}", (x, total), (0, 2), textcoords="offset points", ha="center", fontsize=7, color=INK)
    ax.set_xticks(counts.index)
    ax.margins(y=0.12)
    ax.set_xlabel("rewritten queries ranked")
    ax.set_ylabel("expressions")
    ax.set_title("iterations, by reason to stop")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
