"""Data and modules of the hand-made world."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.systems.refseg.parts import ColourEncoder, ColourProposer, Picture, write_world

from hallmark.data.splits import FromFile
from hallmark.systems.refseg.corpus import KINDS
from hallmark.systems.refseg.data import ExpressionDataModule
from hallmark.systems.refseg.module import LoopModule

POLICY = dict.fromkeys(KINDS, "skip") | {"empty_mask": "keep"}


@pytest.fixture
def data_of(tmp_path) -> Callable[..., ExpressionDataModule]:
    """A function from pictures and changed settings to their data, prepared."""

    def data_of(pictures: Sequence[Picture] | None = None, **changes: Any) -> ExpressionDataModule:
        settings: dict[str, Any] = {
            "source": None if pictures is None else write_world(tmp_path / "world", pictures), "sample": None,
            "perturbation": None, "anchors": None, "on_problem": POLICY, "cache": str(tmp_path / "data_cache"),
            "batch_size": 2,
            "split": FromFile(str(tmp_path / "splits.csv")), "leakage": "stop", "seed": 0,
        }  # fmt: skip
        data = ExpressionDataModule(**(settings | changes))
        data.prepare()
        return data

    return data_of


@pytest.fixture
def module_of(tmp_path) -> Callable[..., LoopModule]:
    """A function from changed settings to a module, which never rewrites unless it is told to."""

    def module_of(**changes: Any) -> LoopModule:
        settings: dict[str, Any] = {
            "proposer": ColourProposer(), "encoder": ColourEncoder(abstains=False), "position": 0.0,
            "region_batch": 64, "rewriter": None, "max_iter": 0, "combine": "replace", "weight": 0.5,
            "keep": "most_confident", "temperature": None, "thresholds": None, "budget": 1.0, "parallel": 1,
            "cache": str(tmp_path / "cache"),
        }  # fmt: skip
        return LoopModule(**(settings | changes))

    return module_of


@pytest.fixture
def predict() -> Callable[..., list[dict[str, Any]]]:
    """A function from module, data and split to what the module says of each batch."""

    def predict(module: LoopModule, data: ExpressionDataModule, split: str) -> list[dict[str, Any]]:
        return [module.predict_step(batch, batch_idx) for batch_idx, batch in enumerate(data.eval_dataloader(split))]

    return predict


@pytest.fixture
def run_directory(tmp_path) -> Path:
    """The directory of a run, for `attach_run`."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder
