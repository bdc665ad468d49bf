"""Hand-made recordings."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hallmark.data.splits import Holdout
from hallmark.systems.touch.corpus import KINDS, REPAIRABLE
from hallmark.systems.touch.data import WindowDataModule

CLASSES = {"action": ["tap", "press"], "state": ["calm", "aroused"]}
COLUMNS = ["id", "subject", "scene", "action", "state", "signals", "frames"]
POLICY = {kind: "keep" if kind in REPAIRABLE else "skip" for kind in KINDS}


class Folder:
    """Recordings to be written one by one; every signal is different unless told."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, []
        path.mkdir(parents=True)

    def add(
        self, row_id: str, *, subject: str = "A", action: str = "tap", state: str = "calm", scene: str = "lab",
        signals: np.ndarray | None = None, samples: int = 40, rate: float = 4.0, channels: tuple[str, ...] = ("x", "y"),
        frames: np.ndarray | None = None, frame_rate: float = 2.0,
    ) -> str:  # fmt: skip
        rng = np.random.default_rng(len(self.rows))
        values = rng.normal(size=(samples, len(channels))).astype(np.float32) if signals is None else signals
        np.savez(self.path / f"{row_id}.npz", signals=values, channels=np.array(channels), rate=rate)
        if frames is not None:
            np.savez(self.path / f"{row_id}-frames.npz", frames=frames, rate=frame_rate)
        frames_name = "" if frames is None else f"{row_id}-frames.npz"
        self.rows.append([row_id, subject, scene, action, state, f"{row_id}.npz", frames_name])
        return row_id

    def write(self) -> Path:
        with (self.path / "recordings.csv").open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *self.rows])
        return self.path

    def fill(self, subjects: int = 10, samples: int = 80) -> Path:
        """Every subject does everything in every state."""
        for subject in range(subjects):
            for action in CLASSES["action"]:
                for state in CLASSES["state"]:
                    self.add(f"s{subject}-{action}-{state}", subject=f"S{subject}", action=action, state=state,
                             samples=samples)  # fmt: skip
        return self.write()


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path / "recordings")


@pytest.fixture
def table_file(tmp_path) -> Callable[..., Path]:
    """A function that writes a table of signals as the suffix of its name says."""

    def table_file(name: str, table: pd.DataFrame) -> Path:
        path = tmp_path / name
        if name.endswith(".parquet"):
            table.to_parquet(path, index=False)
        else:
            table.to_csv(path, index=False)
        return path

    return table_file


@pytest.fixture
def module_of(cache) -> Callable[..., WindowDataModule]:
    """A function from a folder, or from nothing for a few generated recordings, to its prepared data module."""

    def module_of(path: Path | None = None, **changed) -> WindowDataModule:
        sample = {"subjects": 12, "recordings": 6, "unlabelled": 3, "seed": 7}
        source = {
            "folder": None, "sample": sample, "window": 4.0, "overlap": 2.0,
            "channels": ["bvp", "eda", "temp", "acc_x", "acc_y", "acc_z"],
            "classes": {"action": ["rest", "stroke", "tap", "press", "pinch"], "state": ["calm", "aroused"]},
        }  # fmt: skip
        if path is not None:
            source = {"folder": str(path), "sample": None, "channels": ["x", "y"], "window": 2.0, "overlap": 1.0,
                   "classes": CLASSES}  # fmt: skip
        common = {
            "log_channels": [], "rate": None, "min_observed": 0.5, "normalise": "channel", "unit": "subject",
            "on_problem": POLICY, "augment": None, "cache": str(cache), "batch_size": 8, "num_workers": 0,
            "split": Holdout(0.2, 0.2, 0), "leakage": "stop", "seed": 0,
        }  # fmt: skip
        data = WindowDataModule(**{**common, **source, **changed})
        data.prepare()
        data.configure_inputs({"signals": None}, None)
        return data

    return module_of
