"""Predictions of a split, from the selected weights to the table and its metrics."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from lightning import LightningModule, Trainer

from hallmark.data.module import DataModule
from hallmark.data.sampling import Transform
from hallmark.engine.messages import print_failed_calls
from hallmark.learning.encoders.weights import safe_load
from hallmark.learning.module import PredictingModule
from hallmark.runs.predictions import read_predictions, write_predictions
from hallmark.runs.run import Run
from hallmark.statistics.tables import table_metrics


def load_weights(module: LightningModule, checkpoint: Path) -> None:
    """Load a checkpoint's weights; nothing in the file is executed."""
    saved = safe_load(checkpoint)
    module.on_load_checkpoint(saved)
    module.load_state_dict(saved["state_dict"])


def predict_split(run: Run, trainer: Trainer, module: PredictingModule, data: DataModule, split: str) -> pd.DataFrame:
    """Predict every row of `split`, write its table and, where it has labels, its metrics."""
    with recorded_calls(run, module, split):
        frame = predicted(trainer, module, data, split)
    if run.record.warnings:
        frame["info_warning"] = "; ".join(run.record.warnings)
    write_predictions(run.directory / "predictions" / f"{split}.parquet", frame)
    metrics = table_metrics(frame)
    if metrics:
        run.add_metrics(split, metrics)
    return frame


def add_missing_metrics(run: Run) -> list[str]:
    """Compute the metrics of every stored predictions table of `run` that `metrics.json` lacks; the splits added.

    A process that is killed between writing a table and writing its metrics leaves such a table. The caller holds
    the lock of the run.

    Raises:
        ValueError: a file in `predictions/` is not a predictions table.
    """
    added = []
    for path in sorted(run.directory.glob("predictions/[!.]*.parquet")):
        if path.stem in run.metrics:
            continue
        metrics = table_metrics(read_predictions(path))
        if metrics:  # a table without labelled rows has none
            run.add_metrics(path.stem, metrics)
            added.append(path.stem)
    return added


@contextmanager
def recorded_calls(run: Run, module: PredictingModule, phase: str) -> Iterator[None]:
    """Put the calls that `module` made in the block into the record, and say which of them failed, however it ends."""
    try:
        yield
    finally:
        if module.calls:
            run.record.calls[phase] = dict(module.calls)
            run.record.write(run.directory)
            print_failed_calls(phase, module.calls)


def predicted(
    trainer: Trainer, module: PredictingModule, data: DataModule, split: str, transform: Transform | None = None
) -> pd.DataFrame:
    """The predictions table of `split`, its inputs as in `transform`."""
    outputs: list[Any] = trainer.predict(module, data.eval_dataloader(split, transform)) or []
    return module.table(outputs, data, split)
