"""Detectors and data that are told what they say, for the models that are made of several."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from hallmark.runs.metrics import MAIN

CLASSES = ["real", "fake"]
FRAMES = 4


class Detector:
    """P(fake) of the rows of a batch that its input `image` numbers; it counts the rows that it has seen."""

    def __init__(self, fake: np.ndarray, classes: Sequence[str] = CLASSES) -> None:
        self.fake, self.classes, self.seen = fake, list(classes), 0
        self.inputs = {"image": None}

    def predict_step(self, batch: Mapping[str, Any], batch_idx: int) -> dict[str, Any]:
        fake = self.fake[batch["image"].numpy()]
        self.seen += len(fake)
        return {"probabilities": {MAIN: torch.from_numpy(np.column_stack([1 - fake, fake]))}}

    def embedding(self, batch: Mapping[str, Any]) -> torch.Tensor:
        return torch.from_numpy(np.column_stack([self.fake[batch["image"].numpy()], np.zeros(len(batch["image"]))]))


class Rows:
    """A split as a loader reads it: batches of a filter and a stack."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = rows

    def __getitems__(self, indices: Sequence[Any]) -> dict[str, torch.Tensor]:
        rows = torch.tensor([self.rows[index.position] for index in indices])
        return {"index": rows, "filter.image": rows, "stack.image": rows}


class Frames:
    """Videos of four frames each, half of them fake, in the splits of given numbers of videos."""

    def __init__(self, **n_videos: int) -> None:
        parts = []
        for split, n in n_videos.items():
            video = np.repeat(np.arange(n), FRAMES)
            names = np.array([f"{split}/{number}" for number in range(n)], dtype=object)[video]
            parts.append(pd.DataFrame({
                "id": [f"{name}/{row % FRAMES}" for row, name in enumerate(names)], "video": names, "split": split,
                "group": [f"{split} {number // 2}" for number in video],
                "target": np.array(CLASSES, dtype=object)[video % 2],
                "slice_method": np.where(video % 2, "easy", "real").astype(object), "info_video": names,
            }))  # fmt: skip
        self.samples = pd.concat(parts, ignore_index=True)
        self.samples["row"] = np.arange(len(self.samples))
        self.classes = {MAIN: CLASSES}

    @property
    def fake(self) -> np.ndarray:
        return (self.samples["target"] == "fake").to_numpy()

    def rows(self, split: str) -> pd.DataFrame:
        return self.samples[self.samples["split"] == split].reset_index(drop=True)

    def slice_categories(self) -> dict[str, list[str]]:
        return {"slice_method": ["real", "easy"]}

    def batches(self, split: str, inputs: Sequence[str], size: int = 30) -> list[dict[str, Any]]:
        rows = torch.tensor(self.rows(split)["row"].tolist())
        return [{"index": part, **dict.fromkeys(inputs, part)} for part in rows.split(size)]

    def dataset(self, split: str) -> "Rows":
        return Rows(self.rows(split)["row"].tolist())

    def loader_settings(self) -> dict[str, Any]:
        return {"collate_fn": lambda batch: batch}

    def answers(self, quality: float, seed: int) -> np.ndarray:
        """P(fake) of all rows by a detector whose logits are that far apart, with noise of videos and of frames."""
        rng = np.random.default_rng(seed)
        of_videos = rng.normal(size=len(self.samples) // FRAMES)[np.arange(len(self.samples)) // FRAMES]
        noise = of_videos + 0.5 * rng.normal(size=len(self.samples))
        return np.asarray(expit(np.where(self.fake, quality, -quality) + noise))
