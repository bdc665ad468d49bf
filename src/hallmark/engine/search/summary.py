"""What a sweep leaves: the table of its trials, the best one, figures."""

import warnings
from collections import Counter
from typing import Any

import optuna
import pandas as pd
from optuna.trial import TrialState
from rich.table import Table

from hallmark.analysis.plots.studies import importance_bars
from hallmark.analysis.state import save_figure
from hallmark.engine.messages import echo, print_block
from hallmark.engine.search.study import SweepStudy, state_name
from hallmark.report.sweeps import figures, ranked
from hallmark.statistics.text import number_text
from hallmark.storage.files import write_csv, write_json
from hallmark.wording import short_names, value_text

_SHOWN = 20
_ENOUGH = 4
"""Complete trials below which importances would be of chance."""


def summarize(study: SweepStudy, title: str) -> None:
    """Write `trials.csv`, `summary.json` and `figures/`, and print the trials, best first."""
    trials = trials_table(study)
    write_csv(study.directory / "trials.csv", trials)
    counts = Counter(trials["state"])
    best: dict[str, Any] | None = None
    if study.completed:
        trial = study.best()
        values = dict(zip([objective.metric for objective in study.objectives], trial.values, strict=True))
        best = {
            "number": trial.number, "value": trial.values[0], "values": values, "params": trial.params,
            "directory": trial.user_attrs["directory"],
        }  # fmt: skip
    state = "failed" if counts["failed"] else "done"
    seconds = round(float(trials["seconds"].sum()), 2)
    summary = {"state": state, "metric": study.objectives[0].metric, "best": best, "n": len(trials), "seconds": seconds}
    write_json(study.directory / "summary.json", {**summary, "states": dict(counts)})
    _figures(study, trials)
    print_block(_best_first(study, trials, title))
    for trial in study.trials(TrialState.FAIL):
        echo(f"trial {trial.number} failed: {trial.user_attrs.get('error', '')}")
    if best:
        echo(f"best: trial {best['number']}, {best['directory']}")
    echo(f"{', '.join(f'{n} {state}' for state, n in counts.items())} · {study.directory}")


def trials_table(study: SweepStudy) -> pd.DataFrame:
    """One row a trial: number, state, objectives, seconds, directory, searched keys."""
    keys, metrics = list(study.space.distributions), [objective.metric for objective in study.objectives]
    rows = [
        {
            "number": trial.number,
            "state": state_name(trial),
            **dict(zip(metrics, trial.values or [None] * len(metrics), strict=True)),
            "seconds": trial.user_attrs.get("seconds"),
            "directory": trial.user_attrs.get("directory"),
            **{key: trial.params.get(key) for key in keys},
        }
        for trial in study.trials()
    ]
    return pd.DataFrame(rows)


def _best_first(study: SweepStudy, trials: pd.DataFrame, title: str) -> Table:
    rows = ranked(trials, study.objectives[0].metric, study.objectives[0].mode).drop(columns="directory").head(_SHOWN)
    more = f", {_SHOWN} of {len(trials)}" if len(trials) > _SHOWN else ""
    names = list(map(str, rows))
    heads = [name if "/" in name else short for name, short in short_names(names).items()]
    table = Table(*heads, title=f"{title}: best first{more}")
    metrics = [objective.metric for objective in study.objectives]
    forms = [number_text if name in metrics else value_text for name in names]
    for row in rows.itertuples(index=False):
        table.add_row(*(form(value) for form, value in zip(forms, row, strict=True)))
    return table


def _figures(study: SweepStudy, trials: pd.DataFrame) -> None:
    folder, keys = study.directory / "figures", list(study.space.distributions)
    metrics, modes = zip(*((objective.metric, objective.mode) for objective in study.objectives), strict=True)
    for name, figure in figures(trials, keys, metrics, modes):
        save_figure(folder / f"{name}.png", figure)
    varied = [key for key in keys if trials[key].nunique() > 1]
    if len(study.completed) < _ENOUGH or not varied:
        return
    # With several objectives Optuna asks for a target, and looks at what makes it low.
    sign = -1 if modes[0] == "max" else 1
    target = (lambda trial: sign * trial.values[0]) if len(metrics) > 1 else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*importances of params to achieve low .target. values.*")
        importances = optuna.importance.get_param_importances(study.study, target=target, params=varied)
    save_figure(folder / "importance.png", importance_bars(importances))
