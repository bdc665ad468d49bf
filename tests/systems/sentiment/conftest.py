"""Hand-made corpora."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hallmark.data.augment import LightAugment
from hallmark.data.splits import Holdout
from hallmark.systems.sentiment.data import PairDataModule

CLASSES = ["negative", "neutral", "positive"]
POLICY = {
    "missing_image": "skip", "unreadable_image": "skip", "missing_text": "skip", "empty_text": "keep",
    "cmyk_image": "keep", "unknown_tag": "skip", "duplicate_id": "skip", "damaged_metadata": "keep",
    "unreadable_text": "skip", "uncertain_encoding": "keep", "empty_id": "skip", "unsafe_path": "skip",
}  # fmt: skip


class Corpus:
    """A corpus to be written row by row; every picture and text is different unless told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows = folder, []
        (folder / "data").mkdir(parents=True)

    def picture(self, row_id: str) -> Path:
        return self.folder / "data" / f"{row_id}.jpg"

    def text(self, row_id: str) -> Path:
        return self.folder / "data" / f"{row_id}.txt"

    def add(self, row_id: str, tag: str = "positive", text: str | bytes | None = None) -> str:
        raw = f"this is tweet number {row_id}" if text is None else text
        self.text(row_id).write_bytes(raw if isinstance(raw, bytes) else raw.encode())
        rng = np.random.default_rng(len(self.rows))
        pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((80, 60), Image.Resampling.BICUBIC).save(self.picture(row_id), quality=95)
        self.rows.append((row_id, tag))
        return row_id

    def write_list(self, *, head: str = "guid,tag", end: str = "\n", start: bytes = b"") -> None:
        lines = [head, *(",".join(row) for row in self.rows)]
        (self.folder / "train.txt").write_bytes(start + end.join([*lines, ""]).encode())


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    return Corpus(tmp_path / "corpus")


@pytest.fixture
def policy() -> dict[str, str]:
    return dict(POLICY)


@pytest.fixture
def module_of(cache) -> Callable[..., PairDataModule]:
    """A function from a folder, or from nothing for a small generated world, to its prepared data module."""

    def module_of(folder: Path | None = None, *, augment: LightAugment | None = None, **changed) -> PairDataModule:
        arguments = {
            "folder": None if folder is None else str(folder),
            "sample": None if folder else {"rows": 120, "unlabelled": 20, "seed": 7, "label_noise": 0.05},
            "extra": None, "on_problem": POLICY, "augment": augment, "mark_links": True, "cache": str(cache),
            "classes": CLASSES, "batch_size": 16, "num_workers": 0, "split": Holdout(0.1, 0.1, 0),
            "leakage": "stop", "seed": 0,
        }  # fmt: skip
        data = PairDataModule(**{**arguments, **changed})
        data.prepare()
        return data

    return module_of
