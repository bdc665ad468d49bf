"""Predictions of a split, from the selected weights to the table and its metrics."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning import LightningModule, Trainer
from numpy.typing import NDArray

from hallmark.data.module import DataModule
from hallmark.learning.encoders.weights import safe_load
from hallmark.runs.predictions import write_predictions
from hallmark.runs.run import Run
from hallmark.statistics.tables import table_metrics

TASK = "main"


def load_weights(module: LightningModule, checkpoint: Path) -> None:
    """Load a checkpoint's weights; nothing in the file is executed."""
    saved = safe_load(checkpoint)
    module.on_load_checkpoint(saved)
    module.load_state_dict(saved["state_dict"])


def predict_split(run: Run, trainer: Trainer, module: LightningModule, data: DataModule, split: str) -> pd.DataFrame:
    """Predict every row of `split`, write its table and, where it has labels, its metrics."""
    batches: list[Any] = trainer.predict(module, data.eval_dataloader(split)) or []
    probabilities = torch.cat([batch["probabilities"] for batch in batches]).double().cpu().numpy()
    frame = predictions_table(data, split, probabilities)
    write_predictions(run.directory / "predictions" / f"{split}.parquet", frame)
    metrics = table_metrics(frame)
    if metrics:
        run.add_metrics(split, metrics)
    return frame


def predictions_table(data: DataModule, split: str, probabilities: NDArray) -> pd.DataFrame:
    """The predictions table of a single-task classifier; `probabilities` [N, C] in the order of the rows."""
    rows = data.rows(split)
    top = probabilities.argmax(axis=1)
    prediction = np.array(data.classes, dtype=object)[top]
    carried = [column for column in rows.columns.astype(str) if column.startswith(("slice_", "info_"))]
    labelled = rows["target"].notna()
    frame = pd.DataFrame({
        "id": rows["id"], "split": split, "task": TASK, "group": rows["group"], "target": rows["target"],
        "prediction": prediction, "confidence": probabilities[np.arange(len(top)), top],
        "probabilities": list(probabilities), "score": (prediction == rows["target"]).astype(float).where(labelled),
        **{column: rows[column] for column in carried},
    })  # fmt: skip
    frame.attrs = {"classes": {TASK: data.classes}, "slices": data.slice_categories()}
    return frame
