"""Evaluate a finished run or set of repeats: predictions of a split, metrics, analyses."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from hallmark.analysis.state import Analysis, State
from hallmark.checks import setting
from hallmark.data.module import DataModule, View
from hallmark.engine.build import build
from hallmark.engine.finished import Finished, opened
from hallmark.engine.loggers.tracking import track_evaluation
from hallmark.engine.repeats import repeats_table
from hallmark.engine.terminal import print_metrics, say
from hallmark.engine.train import quieten
from hallmark.runs.repeats import RepeatSet, open_result
from hallmark.runs.run import held


def evaluate(config: DictConfig) -> None:
    """Predict `split` of `run` where that is not stored yet, and run each analysis on it.

    Of a set of repeats every run is predicted, with one look where the split is sealed; the analyses see their
    predictions as one table.

    Raises:
        ValueError: no such finished run, no such split, other data than the run was made on.
        SealedError: the test split was opened before, and `seal.reason` does not say why it is opened again.
    """
    quieten()
    if OmegaConf.is_missing(config, "run"):
        raise ValueError("run: give a finished run, such as run=outputs/clip_final/<run id>")
    analyses = {name: build(node) for name, node in config.get("analysis", {}).items()}
    result = open_result(config.run)
    runs = [member.run for member in result.members] if isinstance(result, RepeatSet) else [result]
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(run.locked())
        if isinstance(result, RepeatSet):
            stack.enter_context(held(result.directory))
        reading = opened(runs, config.split, folds=config.out_of_fold.folds, reason=config.seal.reason)
        finished = stack.enter_context(reading)
        if isinstance(result, RepeatSet):
            _analyse(_state_of_set(result, finished, config.split), analyses)
            return
        (one,) = finished
        state = _state_of_run(one, config.split)
        if state.predictions["target"].isna().all():
            written = one.data.write_labels(state.predictions, state.directory)
            say(f"{len(state.predictions)} unlabelled rows: {written}")
        track_evaluation(one.job, one.run, config.split, _analyse(state, analyses))


def _state_of_run(finished: Finished, split: str) -> State:
    return State(
        directory=finished.run.directory, split=split, predictions=finished.predictions(split),
        history=finished.history, predictions_of=finished.predictions,
        predict=lambda view: finished.viewed(split, view), data=lambda: _bound(finished),
        load=lambda: (finished.data, finished.module),
    )  # fmt: skip


def _state_of_set(repeats: RepeatSet, finished: Sequence[Finished], split: str) -> State:
    def pooled(name: str) -> pd.DataFrame:
        for one in finished:
            one.predictions(name)
        return repeats.predictions(name)

    def viewed(view: View) -> pd.DataFrame:
        return repeats.pooled([one.viewed(split, view) for one in finished])

    def refuse() -> NoReturn:
        raise ValueError(f"run={repeats.directory}: this analysis needs one model; give one run of the set")

    predictions = pooled(split)
    repeats.write_summary()
    Console().print(repeats_table(repeats))
    return State(
        directory=repeats.directory, split=split, predictions=predictions, history=pd.DataFrame(),
        predictions_of=pooled, predict=viewed, data=lambda: _bound(finished[0]), load=refuse,
    )  # fmt: skip


def _bound(finished: Finished) -> DataModule:
    _ = finished.module  # building it tells the data what it reads
    return finished.data


def _analyse(state: State, analyses: dict[str, Analysis]) -> list[Path]:
    """Print the metrics and run the analyses; gives what they wrote."""
    print_metrics(state.predictions, f"{state.directory.parent.name} · {state.split}")
    for name, analysis in analyses.items():
        before = len(state.written)
        with setting(f"analysis.{name}"):
            analysis.run(state)
        written = sorted(state.written[before:])
        say(f"{name}: {', '.join(path.relative_to(state.directory).as_posix() for path in written)}")
    return state.written
