"""Digits that are also read from pictures of 8 by 8 pixels, for predictions of new files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import Dataset

from hallmark.data.arrays import TensorRows
from hallmark.data.problems import Problems
from hallmark.data.sampling import Transform
from hallmark.runs.metrics import MAIN
from hallmark.storage.hashing import digest_bytes
from hallmark.systems.digits.data import DigitsDataModule

SETTINGS = [
    "experiment=digits_classifier", "data._target_=tests.commands.drawn_digits.DrawnDigits", "trusted_packages=[tests]",
    "trainer.max_epochs=1", "trainer.limit_train_batches=4", "callbacks.progress=null",
]  # fmt: skip


class DrawnDigits(DigitsDataModule):
    def read_new(self, inputs: Sequence[Path]) -> tuple[pd.DataFrame, Problems]:
        problems = Problems({"unreadable_image": "skip"}, repairable=[])
        rows, images = [], []
        for path in inputs:
            try:
                with Image.open(path) as picture:
                    image = np.asarray(picture, float)
            except OSError:
                problems.add(str(path), "unreadable_image", f"{path}: no picture")
                continue
            rows.append(
                {
                    "id": str(path),
                    "group": str(path),
                    "target": None,
                    "content": digest_bytes(image.tobytes()),
                    "info_path": str(path),
                }
            )
            images.append(torch.from_numpy(image).float()[None] / 16)
        self.images = torch.stack(images) if images else torch.empty(0, 1, 8, 8)
        samples = pd.DataFrame(rows, columns=["id", "group", "target", "content", "info_path"], dtype=object)
        return samples.assign(row=range(len(rows))), problems

    def dataset(self, split: str, transform: Transform | None = None) -> Dataset:
        rows = self.rows(split)
        numbers = {name: number for number, name in enumerate(self.classes[MAIN])}
        target = torch.tensor([numbers.get(name, -1) for name in rows["target"]])
        return TensorRows({"image": self.images[rows["row"].tolist()], "target": target})


def draw(folder: Path, split: str, digits: DigitsDataModule, n: int) -> list[Path]:
    """The first `n` rows of `split` as pictures."""
    paths = []
    for id_, row in digits.rows(split)[["id", "row"]].head(n).itertuples(index=False):
        pixels = (digits.images[row, 0] * 16).numpy().astype(np.uint8)
        paths.append(folder / f"{split}-{id_}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths
