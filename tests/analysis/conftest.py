"""Hand-sized predictions tables and a state over them; helpers are fixtures that give functions."""

from collections.abc import Sequence
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.analysis.drawn import F1, LOSS
from tests.definitions import numeric_columns, undefined

from hallmark.analysis.multitask.task_table import TaskTable
from hallmark.analysis.segmentation.mask_table import MaskTable
from hallmark.analysis.state import State

CLASSES = ["cat", "dog"]


def _table(
    targets: Sequence[str | None],
    probabilities: Sequence[Sequence[float]],
    *,
    classes: list[str] = CLASSES,
    groups: Sequence[str] | None = None,
    slices: dict[str, list[str]] | None = None,
    task: str = "main",
    **columns: Sequence[str],
) -> pd.DataFrame:
    """A predictions table; ids are a, b, c ..., the prediction is the most probable class."""
    ids = [chr(97 + i) if len(targets) <= 26 else f"r{i:03d}" for i in range(len(targets))]
    shares = np.asarray(probabilities, dtype=float).reshape(len(targets), len(classes))
    prediction = [classes[i] for i in shares.argmax(axis=1)]
    frame = pd.DataFrame(
        {
            "id": ids,
            "split": "val",
            "task": task,
            "group": list(groups) if groups is not None else ids,
            "target": pd.Series(list(targets), dtype=object),
            "prediction": prediction,
            "confidence": shares.max(axis=1),
            "probabilities": list(shares),
            "score": [None if t is None else float(t == p) for t, p in zip(targets, prediction, strict=True)],
            **columns,
        }
    )
    frame.attrs = {"classes": {task: classes}, "slices": slices or {}}
    return frame


def _random_table(n: int, *, seed: int, quality: float = 1.5, classes: list[str] = CLASSES) -> pd.DataFrame:
    """Predictions that are right more often than not."""
    rng = np.random.default_rng(seed)
    target = np.arange(n) % len(classes)
    logits = rng.normal(size=(n, len(classes))) + quality * np.eye(len(classes))[target]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return _table([classes[i] for i in target], shares, classes=classes)


@pytest.fixture(autouse=True)
def numbers_are_defined(monkeypatch):
    """Every number of a table that an analysis writes, or a sweep has of its jobs, is defined in docs/metrics.md."""

    def checked(table):
        assert undefined(numeric_columns(table)) == set()
        return table

    save = State.save_table
    monkeypatch.setattr(State, "save_table", lambda state, name, table: save(state, name, checked(table)))
    for kind in (TaskTable, MaskTable):
        monkeypatch.setattr(kind, "table", lambda self, rows, make=kind.table: checked(make(self, rows)))


@pytest.fixture
def make_state(tmp_path):
    """A function from predictions (and more, for some tests) to a state in an empty run directory."""

    def make(
        predictions: pd.DataFrame, *, history: pd.DataFrame | None = None, data: object = None, predict: object = None,
        **others: pd.DataFrame,
    ) -> State:  # fmt: skip
        tables = {"val": predictions, **others}
        return State(
            directory=tmp_path / "run",
            split="val",
            predictions=predictions,
            history=pd.DataFrame() if history is None else history,
            predictions_of=tables.__getitem__,
            predict=predict or (lambda _: pytest.fail("an analysis of predictions must not predict")),
            data=lambda: data or pytest.fail("an analysis of predictions must not read the data"),
            load=lambda: pytest.fail("an analysis of predictions must not load the model"),
        )

    return make


@pytest.fixture
def trials():
    """Trials of a search out of order, as a resumed one may write them; trial 3 is complete without a value."""
    return pd.DataFrame(
        {
            "number": [4, 0, 1, 2, 3, 5, 6, 7],
            "state": ["complete", "complete", "complete", "pruned", "complete", "failed", "running", "complete"],
            F1: [0.7, 0.5, 0.8, nan, nan, nan, nan, 0.6],
            LOSS: [0.2, 0.9, 0.5, nan, nan, nan, nan, 0.6],
            "seconds": 1.0,
            "model.optimizer.lr": [1e-3, 1e-5, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-2],
            "model.head.dropout": [0.1, 0.2, 0.4, 0.1, 0.1, 0.1, 0.1, 0.3],
            "model.encoder": ["b/large", "a/small", "a/small", "x", "x", "x", "x", "b/base"],
            "model.frozen": [True, False, False, True, True, True, True, True],
            "model.clip": [nan, 1.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        }
    )


@pytest.fixture
def subjects():
    """Two tasks of 8 samples; subject A has the six worst cases, B and C have one each; the second task has one."""
    wrong = [0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.8, 0.7]
    columns = {"info_recording": [f"rec{i}" for i in range(8)], "info_start": [float(i) for i in range(8)]}
    groups = ["A"] * 6 + ["B", "C"]
    first = _table(["cat"] * 8, [[1 - p, p] for p in wrong], groups=groups, task="pet", **columns)
    right = [[0.9, 0.1]] * 7 + [[0.35, 0.65]]
    second = _table(["cat"] * 8, right, groups=groups, task="toy", **columns)
    both = pd.concat([first, second], ignore_index=True)
    both.attrs = {"classes": first.attrs["classes"] | second.attrs["classes"], "slices": {}}
    return both


@pytest.fixture
def picture(tmp_path):
    """A function that writes a small JPEG of noise and gives its path."""

    def write(name: str = "picture", seed: int = 0, size: tuple[int, int] = (40, 24)) -> str:
        path = tmp_path / f"{name}.jpg"
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(path, quality=95)
        return str(path)

    return write


def _read_csv(directory: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(
        directory / "analysis" / f"{name}.csv", dtype={"guid": str, "source_id": str}, keep_default_na=False
    )


def _assert_drawn(directory: Path, name: str, *, least: tuple[int, int] = (500, 300)) -> None:
    """The figure is there as PNG and PDF, of some size, and not blank."""
    with Image.open(directory / "figures" / f"{name}.png") as image:
        assert image.size[0] >= least[0] and image.size[1] >= least[1]
        assert len(np.unique(np.asarray(image.convert("L")))) > 20
    assert (directory / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.fixture(scope="session")
def table():
    return _table


@pytest.fixture(scope="session")
def random_table():
    return _random_table


@pytest.fixture(scope="session")
def read_csv():
    return _read_csv


@pytest.fixture(scope="session")
def assert_drawn():
    return _assert_drawn
