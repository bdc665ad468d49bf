"""A sweep: its trials, the best one, and how the search went."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from hallmark.analysis.multitask.task_views import task_figure, task_texts
from hallmark.analysis.plots.parallel_coordinates import parallel_coordinates
from hallmark.analysis.plots.studies import optimization_history, trade_off
from hallmark.report.charts import chart_name
from hallmark.report.content import Block, Chart, Charts, Commands, Facts, Section, Table
from hallmark.statistics.text import number_text
from hallmark.storage.files import read_csv, read_json
from hallmark.storage.secrets import command_text
from hallmark.wording import duration, listed, plural, short_names, value_text

MANIFEST = "manifest.json"
_SHOWN = 30


@dataclass(frozen=True)
class Sweep:
    """A sweep on disk.

    Attributes:
        trials: `trials.csv`: number, state, objectives, seconds, directory, searched keys.
        objectives: dicts of metric and mode, the first one first.
        tasks: `tasks.csv`, what listed jobs reach on every task, and a sentence on it; None where there is none.
    """

    directory: Path
    trials: pd.DataFrame
    objectives: list[dict[str, str]]
    command: str
    best: dict[str, Any] | None
    tasks: tuple[pd.DataFrame, str] | None = None

    @classmethod
    def read(cls, directory: Path) -> "Sweep":
        """The sweep in `directory`.

        Raises:
            ValueError: it has no table of trials yet.
        """
        if not (directory / "trials.csv").exists():
            raise ValueError(f"{directory}: the sweep has no trials.csv yet; its command writes it when it ends")
        manifest, ended = read_json(directory / MANIFEST), read_json(directory / "summary.json")
        trials = read_csv(directory / "trials.csv")
        command = command_text(["python", *map(shlex.quote, manifest["command"])])
        table, text = directory / "tasks.csv", directory / "tasks.md"
        there = table.exists() and text.exists()
        tasks = (read_csv(table), text.read_text().partition("\n")[0]) if there else None
        return cls(directory, trials, manifest["objectives"], command, ended.get("best"), tasks)

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def keys(self) -> list[str]:
        """Searched keys: the columns after the fixed ones."""
        columns = self.trials.columns.astype(str).tolist()
        return columns[columns.index("directory") + 1 :]

    @property
    def states(self) -> str:
        """`10 complete and 2 pruned`."""
        return listed([f"{n} {state}" for state, n in self.trials["state"].value_counts().items()])

    @property
    def best_values(self) -> str:
        """`val/macro_f1 = 0.712`."""
        assert self.best is not None
        return listed([f"{name} = {number_text(value)}" for name, value in self.best["values"].items()])

    @property
    def best_run(self) -> Path | None:
        """The run or set of the best trial where it is still there, beside the sweep if both were moved."""
        if self.best is None or not self.best.get("directory"):
            return None
        recorded = Path(self.best["directory"])
        paths = [recorded, self.directory.parent.parent / recorded.name]
        return next((path for path in paths if path.is_dir()), None)


def sweep_section(sweep: Sweep) -> Section:
    """Its goals and best trial, its table of tasks where it has one, its figures, and its trials."""
    metrics, modes = [goal["metric"] for goal in sweep.objectives], [goal["mode"] for goal in sweep.objectives]
    better = {"max": "higher", "min": "lower"}
    goals = [f"{metric} ({better[mode]} is better)" for metric, mode in zip(metrics, modes, strict=True)]
    pairs = [("Objectives", listed(goals)), ("Trials", sweep.states)]
    pairs += [("Time of all trials", duration(float(sweep.trials["seconds"].fillna(0).sum())))]
    if sweep.best is not None:
        pairs += [("Best", f"trial {sweep.best['number']}: {sweep.best_values}")]
        names = short_names(sweep.keys)
        pairs += [(f"Best {names.get(key, key)}", value_text(value)) for key, value in sweep.best["params"].items()]
    blocks: list[Block] = [Facts(pairs)]
    if sweep.tasks is not None:
        table, note = sweep.tasks
        texts = task_texts(table)
        rows = [[str(cell) for cell in row] for row in texts.itertuples(index=False)]
        alt = "each method's gain over the single-task models, mean rank and metrics; the numbers are in the table"
        chart = Chart(f"{chart_name('sweep', sweep.name)}-tasks", task_figure(table), alt)
        blocks += [
            Table(list(map(str, texts)), rows, frozenset(range(1, texts.shape[1])), note=note), Charts([chart])
        ]  # fmt: skip
    alts = {
        "history": f"{metrics[0]} by trial",
        "parallel": f"the settings of each trial and its {metrics[0]}",
        "trade_off": f"{listed(metrics)} of each trial",
    }
    charts = [
        Chart(chart_name("sweep", sweep.name, name), figure, alts[name])
        for name, figure in figures(sweep.trials, sweep.keys, metrics, modes)
    ]
    return Section(f"Sweep {sweep.name}", [*blocks, Charts(charts), _trial_table(sweep), Commands([sweep.command])])


def sweep_sentence(sweep: Sweep) -> str:
    sentence = f"Sweep {sweep.name} has {plural(len(sweep.trials), 'trial')} ({sweep.states})"
    if sweep.best is None:
        return f"{sentence}; none has a value."
    return (
        f"{sentence}; the best, trial {sweep.best['number']}, has {sweep.best_values}, which is the best of many on "
        "the rows that chose it and hence too good."
    )


def ranked(trials: pd.DataFrame, metric: str, mode: str) -> pd.DataFrame:
    """Trials by a metric, the best first and those without a value last."""
    return trials.sort_values(metric, ascending=mode == "min", na_position="last", kind="stable")


def figures(
    trials: pd.DataFrame, keys: Sequence[str], metrics: Sequence[str], modes: Sequence[str]
) -> Iterator[tuple[str, Figure]]:
    """The figures of a search that its trials have something to show in, by their names."""
    varied = [key for key in keys if trials[key].nunique() > 1]
    yield "history", optimization_history(trials, metrics[0], modes[0])
    if varied and (trials["state"] == "complete").any():
        yield "parallel", parallel_coordinates(trials, varied, metrics[0], modes[0])
    if len(metrics) == 2:
        yield "trade_off", trade_off(trials, metrics, modes)


def _trial_table(sweep: Sweep) -> Table:
    best = ranked(sweep.trials, **sweep.objectives[0]).head(_SHOWN).round({"seconds": 1})
    metrics = [goal["metric"] for goal in sweep.objectives]
    names = short_names(sweep.keys)
    columns = ["number", "state", *metrics, "seconds", *sweep.keys]
    forms = [number_text if name in metrics else value_text for name in columns]
    cells = best[columns].astype(object).itertuples(index=False)
    rows = [[form(value) for form, value in zip(forms, row, strict=True)] for row in cells]
    numeric = frozenset(i for i, name in enumerate(columns) if pd.api.types.is_numeric_dtype(sweep.trials[name]))
    more = f"The best {_SHOWN} of {len(sweep.trials)}; all are in trials.csv." if len(sweep.trials) > _SHOWN else ""
    return Table([names.get(name, name) for name in columns], rows, numeric, note=more)
