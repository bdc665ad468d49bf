"""Evaluate a finished run: predictions of a split, metrics, analyses."""

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from hallmark.analysis.state import State
from hallmark.checks import setting
from hallmark.engine.build import build
from hallmark.engine.finished import Finished
from hallmark.engine.terminal import metrics_table, say
from hallmark.engine.train import quieten
from hallmark.runs.run import Run, open_run


def evaluate(config: DictConfig) -> None:
    """Predict `split` of `run` where that is not stored yet, and run each analysis on it.

    Raises:
        ValueError: no such finished run, no such split, other data than the run was made on.
    """
    quieten()
    if OmegaConf.is_missing(config, "run"):
        raise ValueError("run: give a finished run, such as run=outputs/clip_final/<run id>")
    analyses = {name: build(node) for name, node in config.get("analysis", {}).items()}
    run = open_run(config.run)
    with run.locked():
        finished = Finished(run, folds=config.out_of_fold.folds)
        predictions = finished.predictions(config.split)
        _report(finished, predictions, config.split)
        state = State(
            directory=run.directory, split=config.split, predictions=predictions, history=finished.history,
            predictions_of=finished.predictions, load=lambda: (finished.data, finished.module),
        )  # fmt: skip
        for name, analysis in analyses.items():
            with setting(f"analysis.{name}"):
                analysis.run(state)
            written = sorted(path.relative_to(run.directory).as_posix() for path in _written(run, name))
            say(f"{name}: {', '.join(written)}")


def _report(finished: Finished, predictions: pd.DataFrame, split: str) -> None:
    if predictions["target"].notna().any():
        Console().print(metrics_table(predictions, f"{finished.job.config.name} · {split} · n = {len(predictions)}"))
        return
    say(f"{len(predictions)} unlabelled rows: {finished.data.write_labels(predictions, finished.run.directory)}")


def _written(run: Run, name: str) -> list[Path]:
    return [path for folder in ("analysis", "figures") for path in (run.directory / folder).glob(f"{name}*.*")]
