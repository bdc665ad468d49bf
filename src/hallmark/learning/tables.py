"""From what a module predicted to the predictions table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from hallmark.data.module import DataModule
from hallmark.data.splits import target_column


def classification_table(outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
    """One row a sample and task, task after task.

    Args:
        outputs: of the batches in their order, each with `probabilities` {task: [B, C]}.
    """
    tasks, rows, parts = outputs[0]["probabilities"], data.rows(split), []
    for task in tasks:
        probabilities = torch.cat([batch["probabilities"][task] for batch in outputs]).double().cpu().numpy()  # [N, C]
        target, top = rows[target_column(task)], probabilities.argmax(axis=1)
        prediction = np.array(data.classes[task], dtype=object)[top]
        parts.append(pd.DataFrame({
            "id": rows["id"], "split": split, "task": task, "group": rows["group"], "target": target,
            "prediction": prediction, "confidence": probabilities[np.arange(len(top)), top],
            "probabilities": list(probabilities), "score": (prediction == target).astype(float).where(target.notna()),
            **carried_columns(rows),
        }))  # fmt: skip
    frame = pd.concat(parts, ignore_index=True)
    frame.attrs = {"classes": {task: data.classes[task] for task in tasks}, "slices": data.slice_categories()}
    return frame


def carried_columns(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """The `slice_*` and `info_*` columns of samples, which go into the table as they are."""
    return {str(name): rows[name] for name in rows if str(name).startswith(("slice_", "info_"))}
