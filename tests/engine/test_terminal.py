"""What a command prints of its results."""

import numpy as np
import pandas as pd

from hallmark.engine.terminal import print_metrics
from hallmark.statistics import Resampling


def of_two_tasks() -> pd.DataFrame:
    """Twelve rows of three groups in task `action`, one group in task `state`."""
    share = np.linspace(0.1, 0.9, 12)
    frame = pd.DataFrame({
        "id": [f"r{i}" for i in range(12)], "split": "val", "task": "action", "group": [f"P{i % 3}" for i in range(12)],
        "target": ["rest", "tap"] * 6, "prediction": np.where(share < 0.5, "rest", "tap"),
        "confidence": np.maximum(share, 1 - share), "probabilities": list(np.column_stack([1 - share, share])),
    })  # fmt: skip
    frame["score"] = (frame["target"] == frame["prediction"]).astype(float)
    both = pd.concat([frame, frame.assign(task="state", group="P0")], ignore_index=True)
    both.attrs = {"classes": {"action": ["rest", "tap"], "state": ["rest", "tap"]}}
    return both


def test_each_task_has_its_areas_and_says_how_many_groups_its_intervals_stand_on(capsys):
    print_metrics(of_two_tasks(), "touch · val", Resampling(0.95, 100, 0))
    action, state = capsys.readouterr().out.split("touch · val · ")[1:]
    assert action.startswith("action · n = 12 in 3 groups") and state.startswith("state · n = 12 in 1 group ")
    for name in ("macro_f1", "auroc", "auprc"):
        assert name in action and name in state
    assert "nan" not in state
    assert "fewer than 4 groups" in action and "fewer than 4 groups" in state
