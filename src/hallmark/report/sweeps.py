"""A sweep: its trials, the best one, and how the search went."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hallmark.analysis.parallel import parallel_coordinates
from hallmark.analysis.studies import optimisation_history, short_names, trade_off
from hallmark.report.charts import chart_name
from hallmark.report.content import Block, Chart, Charts, Commands, Facts, Section, Table
from hallmark.report.wording import NOTHING, duration, listed, number, plural, without_secrets
from hallmark.storage.files import read_json

MANIFEST = "manifest.json"
_SHOWN = 30


@dataclass(frozen=True)
class Sweep:
    """A sweep on disk.

    Attributes:
        trials: `trials.csv`: number, state, objectives, seconds, directory, searched keys.
        objectives: dicts of metric and mode, the first one first.
    """

    directory: Path
    trials: pd.DataFrame
    objectives: list[dict[str, str]]
    command: str
    best: dict[str, Any] | None

    @classmethod
    def read(cls, directory: Path) -> "Sweep":
        """The sweep in `directory`.

        Raises:
            ValueError: it has no table of trials yet.
        """
        if not (directory / "trials.csv").exists():
            raise ValueError(f"{directory}: the sweep has no trials.csv yet; its command writes it when it ends")
        manifest, summary = read_json(directory / MANIFEST), read_json(directory / "summary.json")
        trials = pd.read_csv(directory / "trials.csv")
        command = without_secrets(" ".join(["python", *manifest["command"]]))
        return cls(directory, trials, manifest["objectives"], command, summary.get("best"))

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def keys(self) -> list[str]:
        """Searched keys: the columns after the fixed ones."""
        columns = self.trials.columns.astype(str).tolist()
        return columns[columns.index("directory") + 1 :]

    @property
    def ranked(self) -> pd.DataFrame:
        first = self.objectives[0]
        return self.trials.sort_values(
            first["metric"], ascending=first["mode"] == "min", na_position="last", kind="stable"
        )

    @property
    def best_run(self) -> Path | None:
        """The run or set of the best trial where it is still there, beside the sweep if both were moved."""
        if self.best is None or not self.best.get("directory"):
            return None
        recorded = Path(self.best["directory"])
        places = [recorded, self.directory.parent.parent / recorded.name]
        return next((place for place in places if place.is_dir()), None)


def sweep_section(sweep: Sweep) -> Section:
    blocks = [_facts(sweep), Charts(_charts(sweep)), _trials(sweep), Commands([sweep.command])]
    return Section(f"Sweep {sweep.name}", blocks)


def sweep_sentence(sweep: Sweep) -> str:
    counts = sweep.trials["state"].value_counts()
    states = listed([f"{n} {state}" for state, n in counts.items()])
    sentence = f"Sweep {sweep.name} has {plural(len(sweep.trials), 'trial')} ({states})"
    if sweep.best is None:
        return f"{sentence}; none has a value."
    values = listed([f"{name} = {number(value, 4)}" for name, value in sweep.best["values"].items()])
    return (
        f"{sentence}; the best, trial {sweep.best['number']}, has {values}, which is the best of many on the rows "
        "that chose it and hence too good."
    )


def _facts(sweep: Sweep) -> Block:
    goals = [f"{one['metric']} ({'higher' if one['mode'] == 'max' else 'lower'} is better)" for one in sweep.objectives]
    pairs = [("Objectives", listed(goals))]
    pairs += [("Trials", listed([f"{n} {state}" for state, n in sweep.trials["state"].value_counts().items()]))]
    pairs += [("Time of all trials", duration(float(sweep.trials["seconds"].fillna(0).sum())))]
    if sweep.best is not None:
        values = listed([f"{name} = {number(value, 4)}" for name, value in sweep.best["values"].items()])
        pairs += [("Best", f"trial {sweep.best['number']}: {values}")]
        names = short_names(sweep.keys)
        pairs += [(f"Best {names.get(key, key)}", _text(value)) for key, value in sweep.best["params"].items()]
    return Facts(pairs)


def _charts(sweep: Sweep) -> list[Chart]:
    first, trials = sweep.objectives[0], sweep.trials
    metric, mode = first["metric"], first["mode"]
    name = chart_name("sweep", sweep.name)
    found = [Chart(f"{name}-history", optimisation_history(trials, metric, mode), f"{metric} by trial")]
    varied = [key for key in sweep.keys if trials[key].nunique() > 1]
    if varied and sweep.best is not None:
        figure = parallel_coordinates(trials, varied, metric, mode)
        found.append(Chart(f"{name}-parallel", figure, f"the settings of each trial and its {metric}"))
    if len(sweep.objectives) == 2:
        names, modes = [one["metric"] for one in sweep.objectives], [one["mode"] for one in sweep.objectives]
        found.append(Chart(f"{name}-trade-off", trade_off(trials, names, modes), f"{listed(names)} of each trial"))
    return found


def _trials(sweep: Sweep) -> Table:
    shown = sweep.ranked.head(_SHOWN).round({"seconds": 1})
    metrics = [one["metric"] for one in sweep.objectives]
    names = short_names(sweep.keys)
    columns = ["number", "state", *metrics, "seconds", *sweep.keys]
    rows = [[_text(value) for value in row] for row in shown[columns].astype(object).itertuples(index=False)]
    numeric = [pd.api.types.is_numeric_dtype(sweep.trials[name]) for name in columns]
    places = frozenset(place for place, is_number in enumerate(numeric) if is_number)
    more = f"The best {_SHOWN} of {len(sweep.trials)}; all are in trials.csv." if len(sweep.trials) > _SHOWN else ""
    return Table([names.get(name, name) for name in columns], rows, places, note=more)


def _text(value: Any) -> str:
    if value is None or value != value:
        return NOTHING
    return f"{value:.4g}" if isinstance(value, float) else str(value)
