"""Predictions of a split, from the selected weights to the table and its metrics."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from hallmark.data.module import DataModule, View
from hallmark.data.splits import target_column
from hallmark.learning.encoders.weights import safe_load
from hallmark.runs.predictions import write_predictions
from hallmark.runs.run import Run
from hallmark.statistics.tables import table_metrics


def load_weights(module: LightningModule, checkpoint: Path) -> None:
    """Load a checkpoint's weights; nothing in the file is executed."""
    saved = safe_load(checkpoint)
    module.on_load_checkpoint(saved)
    module.load_state_dict(saved["state_dict"])


def predict_split(run: Run, trainer: Trainer, module: LightningModule, data: DataModule, split: str) -> pd.DataFrame:
    """Predict every row of `split`, write its table and, where it has labels, its metrics."""
    frame = predicted(trainer, module, data, split)
    write_predictions(run.directory / "predictions" / f"{split}.parquet", frame)
    metrics = table_metrics(frame)
    if metrics:
        run.add_metrics(split, metrics)
    return frame


def predicted(
    trainer: Trainer, module: LightningModule, data: DataModule, split: str, view: View | None = None
) -> pd.DataFrame:
    """The predictions table of `split`, its inputs as in `view`: one row a sample and task, task after task."""
    batches: list[Any] = trainer.predict(module, data.eval_dataloader(split, view)) or []
    tasks = batches[0]["probabilities"]
    parts = [
        _of_task(data, split, task, torch.cat([batch["probabilities"][task] for batch in batches])) for task in tasks
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame.attrs = {"classes": {task: data.classes[task] for task in tasks}, "slices": data.slice_categories()}
    return frame


def _of_task(data: DataModule, split: str, task: str, predicted: Tensor) -> pd.DataFrame:
    """`predicted`: probabilities [N, C] in the order of the rows."""
    rows, probabilities = data.rows(split), predicted.double().cpu().numpy()
    target = rows[target_column(task)]
    top = probabilities.argmax(axis=1)
    prediction = np.array(data.classes[task], dtype=object)[top]
    carried = [column for column in rows.columns.astype(str) if column.startswith(("slice_", "info_"))]
    return pd.DataFrame({
        "id": rows["id"], "split": split, "task": task, "group": rows["group"], "target": target,
        "prediction": prediction, "confidence": probabilities[np.arange(len(top)), top],
        "probabilities": list(probabilities), "score": (prediction == target).astype(float).where(target.notna()),
        **{column: rows[column] for column in carried},
    })  # fmt: skip
