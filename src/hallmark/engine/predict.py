"""Predictions of a split, from the selected weights to the table and its metrics."""

from pathlib import Path
from typing import Any

import pandas as pd
from lightning import LightningModule, Trainer

from hallmark.data.module import DataModule, View
from hallmark.learning.encoders.weights import safe_load
from hallmark.learning.module import PredictingModule
from hallmark.runs.predictions import write_predictions
from hallmark.runs.run import Run
from hallmark.statistics.tables import table_metrics


def load_weights(module: LightningModule, checkpoint: Path) -> None:
    """Load a checkpoint's weights; nothing in the file is executed."""
    saved = safe_load(checkpoint)
    module.on_load_checkpoint(saved)
    module.load_state_dict(saved["state_dict"])


def predict_split(run: Run, trainer: Trainer, module: PredictingModule, data: DataModule, split: str) -> pd.DataFrame:
    """Predict every row of `split`, write its table and, where it has labels, its metrics."""
    frame = predicted(trainer, module, data, split)
    write_predictions(run.directory / "predictions" / f"{split}.parquet", frame)
    metrics = table_metrics(frame)
    if metrics:
        run.add_metrics(split, metrics)
    return frame


def predicted(
    trainer: Trainer, module: PredictingModule, data: DataModule, split: str, view: View | None = None
) -> pd.DataFrame:
    """The predictions table of `split`, its inputs as in `view`."""
    outputs: list[Any] = trainer.predict(module, data.eval_dataloader(split, view)) or []
    return module.table(outputs, data, split)
