"""What a sweep leaves: the table of its trials, the best one, figures."""

import warnings
from collections import Counter
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table

from hallmark.analysis.parallel import parallel_coordinates
from hallmark.analysis.state import save_figure
from hallmark.analysis.studies import importance_bars, optimisation_history, trade_off
from hallmark.engine.search.study import SweepStudy
from hallmark.engine.terminal import say
from hallmark.storage.files import write_csv, write_json

_SHOWN = 20
_ENOUGH = 4
"""Complete trials below which importances would be of chance."""


def summarise(study: SweepStudy, title: str) -> None:
    """Write `trials.csv`, `summary.json` and `figures/`, and print the trials, best first."""
    trials = trials_table(study)
    write_csv(study.directory / "trials.csv", trials)
    counts = Counter(trials["state"])
    best = _best(study)
    state = "failed" if counts["failed"] else "done"
    seconds = round(float(trials["seconds"].sum()), 2)
    summary = {"state": state, "metric": study.objectives[0].metric, "best": best, "n": len(trials), "seconds": seconds}
    write_json(study.directory / "summary.json", {**summary, "states": dict(counts)})
    _figures(study, trials)
    Console().print(_best_first(study, trials, title))
    for number, error in _errors(study):
        say(f"trial {number} failed: {error}")
    if best:
        say(f"best: trial {best['number']}, {best['directory']}")
    say(f"{', '.join(f'{n} {state}' for state, n in counts.items())} · {study.directory}")


def trials_table(study: SweepStudy) -> pd.DataFrame:
    """One row a trial: number, state, objectives, seconds, directory, searched keys."""
    keys = list(study.space.distributions)
    rows = [
        {
            "number": trial.number,
            "state": _state(trial),
            **dict(zip([one.metric for one in study.objectives], trial.values or _none(study), strict=True)),
            "seconds": trial.user_attrs.get("seconds"),
            "directory": trial.user_attrs.get("directory"),
            **{key: trial.params.get(key) for key in keys},
        }
        for trial in study.trials()
    ]
    return pd.DataFrame(rows)


def _none(study: SweepStudy) -> list[None]:
    return [None] * len(study.objectives)


def _state(trial: FrozenTrial) -> str:
    return "failed" if trial.state is TrialState.FAIL else trial.state.name.lower()


def _best(study: SweepStudy) -> dict[str, Any] | None:
    if not study.completed:
        return None
    best = study.best()
    values = dict(zip([one.metric for one in study.objectives], best.values, strict=True))
    return {
        "number": best.number, "value": best.values[0], "values": values, "params": best.params,
        "directory": best.user_attrs["directory"],
    }  # fmt: skip


def _errors(study: SweepStudy) -> list[tuple[int, str]]:
    return [(one.number, one.user_attrs.get("error", "")) for one in study.trials(TrialState.FAIL)]


def _best_first(study: SweepStudy, trials: pd.DataFrame, title: str) -> Table:
    first = study.objectives[0]
    ranked = trials.sort_values(first.metric, ascending=first.mode == "min", na_position="last", kind="stable")
    shown = ranked.drop(columns="directory").head(_SHOWN)
    more = f", {_SHOWN} of {len(ranked)}" if len(ranked) > _SHOWN else ""
    table = Table(*(_heading(str(name)) for name in shown), title=f"{title}: best first{more}")
    for row in shown.itertuples(index=False):
        table.add_row(*("–" if pd.isna(value) else _short(value) for value in row))
    return table


def _heading(name: str) -> str:
    return name if "/" in name else name.rpartition(".")[2]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figures(study: SweepStudy, trials: pd.DataFrame) -> None:
    folder = study.directory / "figures"
    keys = [key for key in study.space.distributions if trials[key].nunique() > 1]
    first = study.objectives[0]
    save_figure(folder / "history.png", optimisation_history(trials, first.metric, first.mode))
    if keys and study.completed:
        save_figure(folder / "parallel.png", parallel_coordinates(trials, keys, first.metric, first.mode))
    if len(study.completed) >= _ENOUGH and keys:
        save_figure(folder / "importance.png", importance_bars(_importances(study, keys)))
    if len(study.objectives) == 2:
        names, modes = [one.metric for one in study.objectives], [one.mode for one in study.objectives]
        save_figure(folder / "trade_off.png", trade_off(trials, names, modes))


def _importances(study: SweepStudy, keys: list[str]) -> dict[str, float]:
    """Importances for the first objective."""
    if len(study.objectives) == 1:
        return optuna.importance.get_param_importances(study.study, params=keys)
    sign = -1 if study.objectives[0].mode == "max" else 1  # of a target, Optuna looks at what makes it low
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*importances of params to achieve low .target. values.*")
        return optuna.importance.get_param_importances(
            study.study, target=lambda trial: sign * trial.values[0], params=keys
        )
