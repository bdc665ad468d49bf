"""Data module of the digits that come with scikit-learn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.data import Dataset

from hallmark.data.arrays import TensorRows
from hallmark.data.leakage import LeakageInputs
from hallmark.data.module import DataModule
from hallmark.data.problems import Problems
from hallmark.data.sampling import Transform
from hallmark.data.splits import SplitPlan
from hallmark.features.store import FeatureStore
from hallmark.runs.metrics import MAIN
from hallmark.storage.hashing import digest_bytes


class DigitsDataModule(DataModule):
    """1,797 handwritten digits, 8 by 8 pixels (Alpaydin & Kaynak 1998); batches hold `image`, float32 [B, 1, 8, 8]
    in [0, 1], and `target`.

    Args:
        classes: the digits to tell apart, as texts; rows of others are left out.
        common: the arguments of `DataModule`.
    """

    def __init__(
        self, *, classes: Sequence[str], batch_size: int, num_workers: int, split: SplitPlan, leakage: str, seed: int
    ) -> None:
        super().__init__(
            classes={MAIN: classes}, batch_size=batch_size, num_workers=num_workers, augment=None, split=split,
            leakage=leakage, seed=seed,
        )  # fmt: skip
        self.images = torch.empty(0, 1, 8, 8)

    def read(self) -> tuple[pd.DataFrame, Problems]:
        from sklearn.datasets import load_digits  # here, because what only composes a configuration must not wait

        digits = load_digits()
        self.images = torch.from_numpy(digits.images).float()[:, None] / 16  # 17 gray levels
        ink = digits.images.mean(axis=(1, 2))
        samples = pd.DataFrame({
            "id": [f"{row:04d}" for row in range(len(ink))],
            "group": [f"{row:04d}" for row in range(len(ink))],  # the writers are not known
            "target": [str(target) for target in digits.target],
            "content": [digest_bytes(image.tobytes()) for image in digits.images],
            "row": range(len(ink)),
            "slice_ink": ["light" if mean < 4.9 else "heavy" for mean in ink],
        })  # fmt: skip
        return samples[samples["target"].isin(self.classes[MAIN])].reset_index(drop=True), Problems({}, repairable=[])

    def sources(self) -> list[Path]:
        """None, since the rows come with a package."""
        return []

    def metadata(self) -> dict[str, Any]:
        return {"source": "scikit-learn's digits", "rows": len(self.samples)}

    def leakage_inputs(self) -> LeakageInputs:
        return LeakageInputs(self.samples, grouped=False, files={"image": self.samples["content"].tolist()})

    def slice_categories(self) -> dict[str, list[str]]:
        return {"slice_ink": ["light", "heavy"]}

    def configure_inputs(self, inputs: Mapping[str, Any], store: FeatureStore | None) -> None:
        """Every model sees the pixels."""

    def dataset(self, split: str, transform: Transform | None = None) -> Dataset:
        rows = self.rows(split)
        target = torch.tensor([self.classes[MAIN].index(name) for name in rows["target"]])
        tensors = {"image": self.images[rows["row"].tolist()], "target": target}
        return TensorRows(tensors, transform=transform, transformed="image")
