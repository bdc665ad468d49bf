"""Runs, sets of repeats and sweeps written by hand, so that a report has all it can show."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.definitions import undefined

from hallmark.report.content import Report, Table
from hallmark.report.gather import gather
from hallmark.runs.predictions import write_predictions
from hallmark.runs.record import Provenance, Record, RunState
from hallmark.runs.repeats import RepeatRecord, RepeatSet
from hallmark.runs.run import Run
from hallmark.runs.seal import seal_of
from hallmark.statistics import table_metrics

CLASSES = ["negative", "neutral", "positive"]
ROWS = 48
METRICS = {"main": {"accuracy": 0.75, "macro_f1": 0.5, "n": 8}}


def predictions(
    *, seed: int = 0, quality: float = 1.5, split: str = "val", texts: list[str] | None = None, path: str = ""
) -> pd.DataFrame:
    """A predictions table of 48 rows in 24 groups, two slices, one of which has an empty category."""
    rng = np.random.default_rng(seed)
    target = np.arange(ROWS) % len(CLASSES)
    logits = rng.normal(size=(ROWS, 3)) + quality * np.eye(3)[target]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    answer = shares.argmax(axis=1)
    frame = pd.DataFrame({
        "id": [f"{split}-{i:02d}" for i in range(ROWS)], "split": split, "task": "main",
        "group": [f"g{i // 2}" for i in range(ROWS)], "target": [CLASSES[i] for i in target],
        "prediction": [CLASSES[i] for i in answer], "confidence": shares.max(axis=1), "probabilities": list(shares),
        "score": (answer == target).astype(float), "info_text": texts or [f"a tweet, number {i}" for i in range(ROWS)],
        "info_path": path, "slice_emoji": ["no emoji" if i % 3 else "1 emoji" for i in range(ROWS)],
    })  # fmt: skip
    frame.attrs = {"classes": {"main": CLASSES}, "slices": {"slice_emoji": ["no emoji", "1 emoji", "2+ emoji"]}}
    return frame


@pytest.fixture(autouse=True, scope="package")
def numbers_are_defined() -> Iterator[None]:
    """Every column of numbers of a report is defined in docs/metrics.md, but for those of classes, runs or settings."""
    make = Table.__init__

    def checked(table: Table, *arguments: Any, **named: Any) -> None:
        make(table, *arguments, **named)
        by_name = {"target", "split", "hash of the ids"} & set(table.columns)
        if not by_name and not table.columns[0].endswith("row − column"):
            of_settings = table.columns.index("seconds") + 1 if "state" in table.columns else None
            numbers = [name for index, name in enumerate(table.columns[:of_settings]) if index in table.numeric]
            assert undefined(numbers) == set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "__init__", checked)
        yield


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.fixture
def picture(tmp_path: Path) -> str:
    """The path of a JPEG, in a folder whose name is hostile to markup."""
    path = tmp_path / 'a"><img src=x onerror=alert(1)>' / "picture.jpg"
    path.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=b"Exif\0\0secret place")
    return str(path)


@pytest.fixture
def make_run(outputs: Path) -> Callable[..., Run]:
    """A function from a name, an id and what differs to a finished run."""
    return partial(write_run, outputs)


@pytest.fixture(scope="package")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of a run in which nothing is out of the ordinary."""
    return gather([write_run(tmp_path_factory.mktemp("plain"), rich=True).directory])


def write_run(
    outputs: Path, name: str = "clip_final", run_id: str = "aaaa0000", *, seed: int = 0, quality: float = 1.5,
    table: pd.DataFrame | None = None, measured: tuple[str, ...] = ("val",), rich: bool = False, **changes: Any,
) -> Run:  # fmt: skip
    """A finished run; `changes` are to its record, and only a rich one has learning curves and slices."""
    directory = outputs / name / run_id
    (directory / "checkpoints").mkdir(parents=True)
    (directory / "checkpoints" / "best.ckpt").write_bytes(run_id.encode())
    paths = f"{{outputs: {outputs}, seals: {outputs / 'seals'}, run_dir: null}}"
    (directory / "config.yaml").write_text(f"name: {name}\nprofile: sample\npaths: {paths}\nmodel: {{kind: {name}}}\n")
    metrics = {}
    for split in measured:
        frame = table if table is not None else predictions(seed=seed, quality=quality, split=split)
        frame = frame if rich else frame.drop(columns="slice_emoji")
        write_predictions(directory / "predictions" / f"{split}.parquet", frame)
        metrics[split] = table_metrics(frame)
    (directory / "metrics.json").write_text(json.dumps(metrics))
    if rich:
        _history(seed).to_csv(directory / "history.csv", index=False)
    _splits().to_csv(directory / "splits.csv", index=False)
    _record(name, run_id, seed, metrics, changes).write(directory)
    return Run(directory)


def _record(name: str, run_id: str, seed: int, measured: dict[str, Any], changes: dict[str, Any]) -> Record:
    fields: dict[str, Any] = {
        "name": name, "run_id": run_id, "state": RunState.DONE, "provenance": Provenance("d" * 32, {"a.py": "aa"}),
        "seed": seed, "command": ["python", "train.py", f"experiment={name}", f"seed={seed}"],
        "started": "2026-01-01T00:00:00+00:00", "git": {"commit": "c0ffee" * 6 + "c0ff", "dirty": False},
        "versions": {"torch": "2.9", "numpy": "2.3"}, "device": {"device": "cpu", "threads": 1},
        "splits": {
            name: {"n": n, "groups": groups, "hash": hash * 32}
            for name, n, groups, hash in (
                ("train", 90, 80, "1"), ("val", 48, 24, "2"), ("test", 30, 30, "3"), ("predict", 5, 5, "4"),
            )
        },
        "leakage": {"action": "stop", "findings": 0, "checks": {"id": "clean", "identical image": "clean"}},
        "data": {"source": "sample", "rows": 173, "groups": 139, "extra": {}, "content": "e" * 32},
        "wall_seconds": 12.5,
        "selected": {"metric": "val/macro_f1", "value": measured.get("val", METRICS)["main"].get("macro_f1")},
    }  # fmt: skip
    return Record(**{**fields, **changes})


def _history(seed: int) -> pd.DataFrame:
    falling = np.array([1.0, 0.6, 0.4]) + seed / 100
    return pd.DataFrame(
        {"epoch": [0, 1, 2], "train/loss": falling, "val/loss": falling + 0.1, "val/macro_f1": 1 - falling / 2}
    )


def _splits() -> pd.DataFrame:
    rows = [
        (f"{split}-{i}", f"g{i}", CLASSES[i % 3], split)
        for split, n in (("train", 90), ("val", 48), ("test", 30))
        for i in range(n)
    ]
    rows += [(f"predict-{i}", f"p{i}", "", "predict") for i in range(5)]
    return pd.DataFrame(rows, columns=["id", "group", "target", "split"])


@pytest.fixture
def make_set(outputs: Path, make_run: Callable[..., Run]) -> Callable[..., RepeatSet]:
    """A function from a name to a finished set of three seeds."""

    def make(
        name: str = "clip_final", *, quality: float = 1.5, seeds: int = 3, first: int = 0, rich: bool = False
    ) -> RepeatSet:
        runs = [
            make_run(name, f"{name[:4]}{seed}", seed=seed, quality=quality, rich=rich)
            for seed in range(first, first + seeds)
        ]
        directory = outputs / name / "5e7f0000"
        directory.mkdir()
        members = [
            {"note": f"seed {index}", "repetition": index, "directory": f"../{run.directory.name}"}
            for index, run in enumerate(runs)
        ]
        record = RepeatRecord(
            name, "5e7f0000", f"seeds:{seeds}", RunState.DONE, "val/macro_f1", "max", "val/accuracy",
            ["python", "train.py", f"experiment={name}", f"repeat=seeds:{seeds}"], members,
        )  # fmt: skip
        return RepeatSet.create(directory, record)

    return make


@pytest.fixture
def make_sweep(outputs: Path, make_run: Callable[..., Run]) -> Callable[[], Path]:
    """A function to a finished sweep of four trials."""

    def make() -> Path:
        runs = [make_run("clip_probe", f"trial{i}", seed=i) for i in range(4)]
        directory = outputs / "clip_probe" / "sweeps" / "grid-12345678"
        directory.mkdir(parents=True)
        values = [run.metrics["val"]["main"]["macro_f1"] for run in runs]
        trials = pd.DataFrame({
            "number": range(4), "state": ["complete"] * 4, "val/macro_f1": values, "seconds": [1.25] * 4,
            "directory": [str(run.directory) for run in runs], "model.optimizer.lr": [1e-4, 1e-3, 1e-2, 1e-1],
            "model.head.dropout": [0.1, 0.2, 0.1, 0.2],
        })  # fmt: skip
        trials.to_csv(directory / "trials.csv", index=False)
        best = int(np.argmax(values))
        manifest = {"objectives": [{"metric": "val/macro_f1", "mode": "max"}], "command": ["sweep.py", "sweep=grid"]}
        params = {"model.optimizer.lr": trials["model.optimizer.lr"][best], "model.head.dropout": 0.1}
        best_trial = {
            "number": best,
            "values": {"val/macro_f1": values[best]},
            "params": params,
            "directory": str(runs[best].directory),
        }
        (directory / "manifest.json").write_text(json.dumps(manifest))
        (directory / "summary.json").write_text(json.dumps({"states": {"complete": 4}, "best": best_trial}))
        return directory

    return make


@pytest.fixture
def open_test_split() -> Callable[..., None]:
    """A function that opens the test seal of runs and records what they scored."""

    def access(*runs: Run, reason: str | None = None) -> None:
        with seal_of(runs[0]).opened(runs, reason=reason) as opened:
            for run in runs:
                opened.record(run, METRICS)

    return access
