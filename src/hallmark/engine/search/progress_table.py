"""What a sweep shows while it runs: trials, the best one, what remains."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.live import Live
from rich.table import Table

from hallmark.engine.messages import echo
from hallmark.engine.search.study import SweepStudy, state_name
from hallmark.statistics.text import number_text
from hallmark.wording import short_names, value_text

_ROWS = 16


class ProgressTable:
    """A table that follows the study; where there is no terminal, a line for each trial that ends.

    Args:
        jobs: workers that share what remains.
    """

    def __init__(self, study: SweepStudy, title: str, jobs: int) -> None:
        self.study, self.title, self.jobs = study, title, jobs
        self._printed = {trial.number for trial in study.trials() if trial.state.is_finished()}
        self._live: Live | None = None

    def __enter__(self) -> "ProgressTable":
        console = Console()
        if console.is_terminal:
            self._live = Live(self.table(self.study.trials()), console=console, auto_refresh=False).__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self.refresh()
            self._live.__exit__(*error)

    def refresh(self) -> list[FrozenTrial]:
        """Show the study as it is now; gives its trials."""
        trials = self.study.trials()
        if self._live is not None:
            self._live.update(self.table(trials), refresh=True)
            return trials
        ended = [trial for trial in trials if trial.state.is_finished() and trial.number not in self._printed]
        if ended:
            remaining = self._remaining(trials)
            for trial in ended:
                self._printed.add(trial.number)
                point = ", ".join(f"{key}={value_text(value)}" for key, value in trial.params.items())
                values = " ".join(number_text(value) for value in trial.values or [])
                parts = (state_name(trial), values, f"({point})", trial.user_attrs.get("error", ""))
                echo(f"trial {trial.number} {' '.join(filter(None, parts))} · {remaining}")
        return trials

    def table(self, trials: list[FrozenTrial]) -> Table:
        """Running and latest trials with the best one, counts and the remaining time."""
        keys = list(self.study.space.distributions)
        objectives = [objective.metric for objective in self.study.objectives]
        table = Table("trial", "state", *objectives, "seconds", *short_names(keys).values())
        completed = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        best = self.study.best(completed).number if completed else None
        started = [trial for trial in trials if trial.state is not TrialState.WAITING]
        latest = sorted(started, key=lambda trial: trial.datetime_start or datetime.min)[-_ROWS:]
        listed = {best, *(trial.number for trial in latest)}
        for trial in trials:
            if trial.number not in listed:
                continue
            reported = trial.intermediate_values
            last = reported[max(reported)] if reported else None
            values = trial.values if trial.state is TrialState.COMPLETE else [last] * len(objectives)
            number = f"{trial.number}{' *' if trial.number == best else ''}"
            point = [value_text(trial.params.get(key, "")) for key in keys]
            table.add_row(number, state_name(trial), *map(number_text, values), _seconds(trial), *point)
        table.title, table.caption = self.title, self._remaining(trials)
        return table

    def _remaining(self, trials: list[FrozenTrial]) -> str:
        counts = Counter(state_name(trial) for trial in trials)
        states = ", ".join(f"{number} {state}" for state, number in counts.items())
        spent = [seconds for trial in trials if (seconds := trial.user_attrs.get("seconds")) is not None]
        open_ = sum(not trial.state.is_finished() for trial in trials)
        if not spent or not open_:
            return states
        left = timedelta(seconds=round(sum(spent) / len(spent) * open_ / min(self.jobs, open_)))
        return f"{states} · about {left} left"


def _seconds(trial: FrozenTrial) -> str:
    if trial.state is TrialState.RUNNING and trial.datetime_start:
        return f"{(datetime.now() - trial.datetime_start).total_seconds():.0f}"
    return value_text(trial.user_attrs.get("seconds", ""))
