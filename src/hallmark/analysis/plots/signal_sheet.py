"""Pictures of recordings: their signals, and what a model said of them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from hallmark.analysis.plots.style import BAND, INK, MUTED, PALETTE, drawable, house_style, panel_grid

if TYPE_CHECKING:
    from hallmark.data.module import DataModule

_COLUMNS = 3
_LANE = 0.8  # of the height of a channel that its signal takes


class RecordedSignals(NamedTuple):
    """Signals [C, T] by sample, nan where not measured; the channels' names; samples a second."""

    of: Mapping[str, NDArray]
    channels: Sequence[str]
    rate: float


def series_of(data: "DataModule", ids: Sequence[str]) -> RecordedSignals | None:
    """The signals of samples; None where the samples of this system are none.

    Args:
        ids: of samples, or `<id>@<note>` of those of a set of repeats.
    """
    known = set(data.samples["id"])
    wanted = {name: name if name in known else name.rpartition("@")[0] for name in ids}
    rows = data.samples[data.samples["id"].isin(list(wanted.values()))]
    series: list[RecordedSignals] = []
    for split, part in rows.groupby("split"):
        of_split = data.rows(str(split))
        of_split = of_split[of_split["id"].isin(part["id"].tolist())]
        if (read := data.series(str(split), of_split.index.tolist())) is not None:
            signals, channels, rate = read
            series.append(RecordedSignals(dict(zip(of_split["id"], signals, strict=True)), channels, rate))
    if not series:
        return None
    by_id = {sample: signal for signals in series for sample, signal in signals.of.items()}
    return series[0]._replace(of={name: by_id[sample] for name, sample in wanted.items()})


@house_style()
def signal_sheet(cases: pd.DataFrame, signals: RecordedSignals, predictions: pd.DataFrame) -> Figure:
    """A panel a case: its channels above each other, each in its own range, grey where nothing was measured.

    The title has target → prediction and confidence of the case; below stand the other tasks and the subject.

    Args:
        cases: rows with guid, task, group, target, prediction, confidence, reason.
        predictions: the table that the cases are of, for the answers on the other tasks.
    """
    n_columns = min(_COLUMNS, len(cases))
    figure, axes = panel_grid(len(cases), n_columns, 0.21 * len(signals.channels) + 0.75, width=2.45 * n_columns)
    answers = dict(iter(predictions[predictions["id"].isin(cases["guid"])].groupby("id")))
    for number, (ax, case) in enumerate(zip(axes, cases.to_dict("records"), strict=True)):
        _signals(ax, signals.of[case["guid"]], signals.rate)
        _words(ax, case, answers[case["guid"]])
        names = [drawable(name) for name in signals.channels] if number % n_columns == 0 else []
        ax.set_yticks(range(len(names)), names)
    return figure


def _signals(ax: Axes, values: NDArray, rate: float) -> None:
    """Channels [C, T] from top to bottom."""
    seconds = np.arange(values.shape[1]) / rate
    for lane, signal in enumerate(values):
        measured = np.isfinite(signal)
        half = 0.5 * _LANE
        ax.fill_between(
            seconds, lane - half, lane + half, where=~measured, step="mid", color=BAND, linewidth=0, zorder=1
        )
        if not measured.any():
            continue
        low, high = signal[measured].min(), signal[measured].max()
        span = high - low or 1.0
        ax.plot(seconds, lane + half - _LANE * (signal - low) / span, color=INK, linewidth=0.5, zorder=2)
        text = f"{low:.3g} to {high:.3g}"
        ax.text(1.01, lane, text, transform=ax.get_yaxis_transform(), fontsize=4.8, color=MUTED, va="center")
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.set_xlim(seconds[0], seconds[-1] if len(seconds) > 1 else 1)
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
    ax.tick_params(length=0, labelsize=6)
    ax.spines[:].set_visible(False)


def _words(ax: Axes, case: Mapping[Any, Any], answers: pd.DataFrame) -> None:
    wrong = case["reason"] == "wrong"
    several = answers["task"].nunique() > 1
    head = f"{drawable(str(case['task']))}: " if several and "task" in case else ""
    title = f"{head}{drawable(str(case['target']))} → {drawable(str(case['prediction']))}  {case['confidence']:.2f}"
    ax.set_title(title, fontsize=7, color=PALETTE[1] if wrong else PALETTE[0], pad=3)
    other_answers = answers[answers["task"] != case["task"]] if several and "task" in case else answers.head(0)
    lines = []
    for answer in other_answers.to_dict("records"):
        target = "unlabelled" if pd.isna(answer["target"]) else drawable(str(answer["target"]))
        prediction = f"{drawable(str(answer['prediction']))}  {answer['confidence']:.2f}"
        lines.append(f"{drawable(str(answer['task']))}: {target} → {prediction}")
    start = f" at {case['start']:g} s" if isinstance(case.get("start"), int | float) else ""
    lines.append(f"subject {drawable(str(case['group']))}, {drawable(str(case['guid']))}{start}")
    ax.set_xlabel("\n".join(lines), fontsize=6, loc="left", labelpad=1, linespacing=1.2)
