"""From what a module predicted to the predictions table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from hallmark.data.module import DataModule
from hallmark.data.splits import target_column
from hallmark.learning.sets import MAX_ROWS, kept_rows
from hallmark.runs.metrics import MAIN
from hallmark.statistics.metrics.sets import GENERATED, REAL


def classification_table(outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
    """One row a sample and task, task after task.

    Args:
        outputs: of the batches in their order, each with `probabilities` {task: [B, C]}.
    """
    by_task = outputs[0].get("probabilities") if isinstance(outputs[0], Mapping) else None
    if not isinstance(by_task, Mapping) or not set() < set(by_task) <= set(data.classes):
        shapes = ", ".join(f"{task}: [B, {len(names)}]" for task, names in data.classes.items())
        raise ValueError(f"predict_step: a table of classes is made of `probabilities` by task ({shapes}); "
                         "a model that predicts something else overrides `table`")  # fmt: skip
    tasks, rows, parts = list(by_task), data.rows(split), []
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


def two_sets_table(
    outputs: Sequence[Any], data: DataModule, split: str, *, max_rows: int = MAX_ROWS, task: str = MAIN
) -> pd.DataFrame:
    """Two rows a sample: itself, of kind `real`, and what was generated for it, `<id>:generated`.

    Both are of one group, so that intervals leave a subject's rows out together with what was generated for them.

    Args:
        outputs: of the batches in their order, each with the features `real` and `generated` [B, D]; numbers [B] named
            `real_<column>` and `generated_<column>` become a column.
        max_rows: samples that are kept, by `kept_rows`; as `SetDistance` has it.
    """
    samples = data.rows(split)
    drawn = kept_rows(np.arange(len(samples)), max_rows)
    rows = samples.iloc[drawn].reset_index(drop=True)
    parts = []
    for kind in (REAL, GENERATED):
        features = torch.cat([batch[kind] for batch in outputs]).float().cpu().numpy()[drawn]  # [N, D]
        columns = [name for name in outputs[0] if name.startswith(f"{kind}_")]
        numbers = {name: torch.cat([batch[name] for batch in outputs]).cpu().numpy()[drawn] for name in columns}
        parts.append(pd.DataFrame({
            "id": rows["id"] if kind == REAL else rows["id"].astype(str) + f":{GENERATED}", "split": split,
            "task": task, "group": rows["group"], "target": rows["target"], "prediction": None, "confidence": np.nan,
            "probabilities": None, "score": np.nan, "kind": kind, "features": list(features), **carried_columns(rows),
            **{name.removeprefix(f"{kind}_"): values for name, values in numbers.items()},
        }))  # fmt: skip
    frame = pd.concat(parts, ignore_index=True)
    frame.attrs = {"classes": {}, "slices": data.slice_categories()}
    return frame


def carried_columns(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """The `slice_*` and `info_*` columns of samples, which go into the table as they are."""
    return {str(name): rows[name] for name in rows if str(name).startswith(("slice_", "info_"))}
