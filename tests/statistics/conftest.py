from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def make_predictions() -> Callable[..., pd.DataFrame]:
    """Builds a predictions table of one task from class indices; probabilities are one-hot unless given."""

    def make(
        target: Sequence[int | None],
        prediction: Sequence[int],
        *,
        groups: Sequence[object] | None = None,
        probabilities: np.ndarray | None = None,
        classes: Sequence[str] = ("negative", "neutral", "positive"),
        task: str = "main",
    ) -> pd.DataFrame:
        n = len(target)
        rows = np.eye(len(classes))[list(prediction)] if probabilities is None else probabilities
        frame = pd.DataFrame(
            {
                "id": [f"row{i}" for i in range(n)],
                "split": "val",
                "task": task,
                "group": [str(g) for g in (range(n) if groups is None else groups)],
                "target": [None if t is None else classes[t] for t in target],
                "prediction": [classes[p] for p in prediction],
                "confidence": rows.max(axis=1),
                "probabilities": list(rows.tolist()),
                "score": [float(t == p) for t, p in zip(target, prediction, strict=True)],
            }
        )
        frame.attrs["classes"] = {task: list(classes)}
        return frame

    return make
