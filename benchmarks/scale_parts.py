"""What `benchmarks.scale` measures by rows: the parts, and the generated data that they read."""

from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from hallmark.analysis.compare import Compare
from hallmark.data.inputs import InputRows
from hallmark.data.leakage import LeakageInputs, find_leaks
from hallmark.data.module import DataModule
from hallmark.data.problems import Problems
from hallmark.data.sampling import Transform
from hallmark.data.splits import Holdout
from hallmark.features.store import FeatureStore
from hallmark.report.gather import gather
from hallmark.report.render import write
from hallmark.runs.metrics import MAIN
from hallmark.runs.predictions import read_predictions, write_predictions
from hallmark.runs.record import Provenance, Record, RunState
from hallmark.statistics import Resampling, all_intervals, table_metrics
from hallmark.storage.delimited import read_table
from hallmark.storage.hashing import digest_bytes

RESAMPLING = Resampling(confidence_level=0.95, n_resamples=2000, seed=0)  # as conf/statistics has it
CLASSES = ["negative", "neutral", "positive"]
_WIDTH = 128  # of an embedding
_WORDS = 12  # of a text, on average
_BATCH = 64

Action = Callable[[], object]


@dataclass(frozen=True)
class Part:
    """One thing to measure.

    Attributes:
        source: writes generated data of so many rows into a folder.
        prepared: from that folder what is measured, with its input read.
    """

    title: str
    source: Callable[[int, Path], None]
    prepared: Callable[[Path], Action]


class Listed(DataModule):
    """The rows of a list `rows.csv`, with texts, digests of files, thumbnails and embeddings that are generated."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            classes={MAIN: CLASSES}, batch_size=_BATCH, num_workers=0, augment=None,
            split=Holdout(val=0.1, test=0.1, seed=0), leakage="report", seed=0,
        )  # fmt: skip
        self.folder = folder
        self.problems = Problems({}, repairable=())

    def read(self) -> tuple[pd.DataFrame, Problems]:
        rows = read_table(self.folder / "rows.csv", required=("id", "target", "text"), tidy=True).cells
        content = [digest_bytes(text.encode()) for text in rows["text"]]
        return rows.assign(group=rows["id"], content=content), self.problems

    def metadata(self) -> dict[str, Any]:
        return {"source": "generated"}

    def leakage_inputs(self) -> LeakageInputs:
        return LeakageInputs(
            self.samples, grouped=True, files={"file": self.samples["content"].tolist()},
            texts=self.samples["text"].tolist(),
        )  # fmt: skip

    def dataset(self, split: str, transform: Transform | None = None) -> Dataset:
        rows = self.rows(split)
        content = rows["content"].tolist()
        features = FeatureStore(self.folder / "features", 4096, "cpu").features(Frozen(), content, Frozen.inputs)
        return InputRows(target=torch.zeros(len(rows), dtype=torch.long), inputs={"text": features}, transform=None)

    def configure_inputs(self, inputs: Mapping[str, Any], store: FeatureStore | None) -> None:
        return


class Frozen(nn.Module):
    """An encoder that costs nothing."""

    preprocessing: Mapping[str, Any] = {}

    @staticmethod
    def inputs(positions: Any) -> Tensor:
        return torch.tensor(positions, dtype=torch.float32)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, None] + torch.arange(_WIDTH)


def write_list(n: int, folder: Path) -> None:
    """A list of n texts whose words are as frequent as those of a language (Zipf), with a vocabulary that grows."""
    rng = np.random.default_rng(0)
    ranks = np.minimum(rng.zipf(1.1, size=(n, _WORDS)), 10 * n)
    texts = [" ".join(f"w{rank}" for rank in row) for row in ranks.tolist()]
    copies = rng.choice(n, n // 50, replace=False)
    for row in copies.tolist():  # one in fifty is a copy of another, but for a word
        texts[row] = f"{texts[(row + 1) % n]} again"
    target = np.array(CLASSES)[rng.integers(3, size=n)]
    table = pd.DataFrame({"id": [f"row{row:08d}" for row in range(n)], "target": target, "text": texts})
    table.to_csv(folder / "rows.csv", index=False)


def write_features(n: int, folder: Path) -> None:
    """The list, and the embedding of each of its rows in the store."""
    write_list(n, folder)
    data = Listed(folder)
    content = data.read()[0]["content"].tolist()
    FeatureStore(folder / "features", 4096, "cpu").features(Frozen(), content, Frozen.inputs)


def write_pictures(n: int, folder: Path) -> None:
    """n thumbnails of smooth random pictures; one in fifty is a brighter copy of another."""
    rng = np.random.default_rng(0)
    thumbnails = np.lib.format.open_memmap(folder / "thumbnails.npy", mode="w+", dtype=np.uint8, shape=(n, 32, 32, 3))
    for start in range(0, n, 4096):
        rows = min(4096, n - start)
        coarse = rng.integers(0, 230, (rows, 8, 8, 3), dtype=np.uint8)
        copied = np.arange(0, rows - 1, 50)
        coarse[copied + 1] = coarse[copied] + 12
        thumbnails[start : start + rows] = coarse.repeat(4, axis=1).repeat(4, axis=2)


def write_tables(n: int, folder: Path) -> None:
    """Predictions of n rows by two runs of a classifier and one of a segmentation."""
    for name, quality in (("run", 1.5), ("baseline", 1.4)):
        write_predictions(folder / f"{name}.parquet", _classified(n, quality))
    write_predictions(folder / "masks.parquet", _segmented(n))


def write_run(n: int, folder: Path) -> None:
    """A finished run with predictions of n validation rows."""
    paths = f"{{outputs: {folder}, seals: {folder / 'seals'}, run_dir: null}}"
    (folder / "config.yaml").write_text(f"name: scale\nprofile: sample\npaths: {paths}\nmodel: {{kind: scale}}\n")
    write_predictions(folder / "predictions" / "val.parquet", _classified(n, 1.5))
    splits = {"val": {"n": n, "groups": n, "hash": "0" * 32}}
    Record(
        name="scale", run_id="0" * 8, state=RunState.DONE, provenance=Provenance("0" * 32, {}), seed=0, command=[],
        started="2026-01-01T00:00:00+00:00", git={"commit": "0" * 40, "dirty": False}, versions={},
        device={"device": "cpu", "threads": 1}, splits=splits, leakage={"action": "stop", "findings": 0, "checks": {}},
        data={"source": "generated", "rows": n, "groups": n, "extra": {}},
        selected={"metric": "val/macro_f1", "value": 0.5},
    ).write(folder)  # fmt: skip


def _classified(n: int, quality: float) -> pd.DataFrame:
    rng = np.random.default_rng(round(10 * quality))
    target = np.arange(n) % len(CLASSES)
    logits = rng.normal(size=(n, 3)) + quality * np.eye(3)[target]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    answer = shares.argmax(axis=1)
    names = np.array(CLASSES, dtype=object)
    return _table(n, {MAIN: CLASSES}).assign(
        target=names[target], prediction=names[answer], confidence=shares.max(axis=1), probabilities=list(shares),
        score=(answer == target).astype(float), slice_half=np.where(np.arange(n) % 2, "odd", "even"),
    )  # fmt: skip


def _segmented(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    area = rng.integers(0, 2000, size=n) * (rng.random(n) > 0.1)
    overlap = np.floor(area * rng.random(n))
    union = area + rng.integers(1, 500, size=n)
    return _table(n, {}).assign(
        target=None, prediction=None, confidence=1.0, probabilities=None, score=overlap / union,
        intersection=overlap, union=union.astype(float), target_area=area.astype(float),
    )  # fmt: skip


def _table(n: int, classes: dict[str, list[str]]) -> pd.DataFrame:
    names = [f"row{row:08d}" for row in range(n)]
    table = pd.DataFrame({"id": names, "split": "val", "task": MAIN, "group": names})
    table.attrs["classes"] = classes
    return table


def _read_list(folder: Path) -> Action:
    return partial(read_table, folder / "rows.csv", required=("id", "target", "text"), tidy=True)


def _prepare(folder: Path) -> Action:
    data = Listed(folder)

    def prepare() -> None:
        data.prepare()
        data.write_splits(folder)
        assert data.fingerprint

    return prepare


def _leaks_of_texts(folder: Path) -> Action:
    data = Listed(folder)
    rows = data.read()[0]
    data.samples = rows.assign(split=_splits(len(rows)))
    return lambda: find_leaks(data.leakage_inputs())


def _leaks_of_pictures(folder: Path) -> Action:
    thumbnails = np.load(folder / "thumbnails.npy", mmap_mode="r")
    names = [f"row{row:08d}" for row in range(len(thumbnails))]
    samples = pd.DataFrame({"id": names, "group": names, "split": _splits(len(names))})
    return lambda: find_leaks(LeakageInputs(samples, grouped=False, files={}, thumbnails=thumbnails))


def _splits(n: int) -> NDArray:
    return np.random.default_rng(1).choice(["train", "val", "test"], size=n, p=[0.8, 0.1, 0.1])


def _epoch(folder: Path) -> Action:
    data = Listed(folder)
    rows = data.read()[0]
    data.samples = rows.assign(split="train")

    def epoch() -> None:
        for batch in data.train_dataloader():
            assert batch["text_features"].shape == (_BATCH, _WIDTH)

    return epoch


def _write_predictions(folder: Path) -> Action:
    table = read_predictions(folder / "run.parquet")
    return lambda: write_predictions(folder / "written.parquet", table)


def _point_values(folder: Path) -> Action:
    table = read_predictions(folder / "run.parquet")
    return lambda: table_metrics(table)


def _interval(metric: str, file: str, folder: Path) -> Action:
    table = read_predictions(folder / file)
    return lambda: all_intervals(table, [metric], resampling=RESAMPLING)


def _compare(folder: Path) -> Action:
    table, other = (read_predictions(folder / f"{name}.parquet") for name in ("run", "baseline"))
    return lambda: Compare("baseline", ["accuracy", "macro_f1"], statistics=RESAMPLING).table(table, {"other": other})


def _report(folder: Path) -> Action:
    def report() -> None:
        with redirect_stdout(StringIO()):
            write(gather([folder]), folder / "report")

    return report


def _read_predictions(folder: Path) -> Action:
    return partial(read_predictions, folder / "run.parquet")


PARTS = {
    "list": Part("reading the list of a data set", write_list, _read_list),
    "prepare": Part("list, split and fingerprint", write_list, _prepare),
    "texts": Part("leakage gate: ids, files, texts", write_list, _leaks_of_texts),
    "pictures": Part("leakage gate: pictures", write_pictures, _leaks_of_pictures),
    "epoch": Part("an epoch from the feature store", write_features, _epoch),
    "write": Part("writing predictions", write_tables, _write_predictions),
    "read": Part("reading predictions", write_tables, _read_predictions),
    "metrics": Part("all metrics without intervals", write_tables, _point_values),
    "accuracy": Part("accuracy with interval", write_tables, partial(_interval, "accuracy", "run.parquet")),
    "macro_f1": Part("macro F1 with interval", write_tables, partial(_interval, "macro_f1", "run.parquet")),
    "auroc": Part("AUROC with interval", write_tables, partial(_interval, "auroc", "run.parquet")),
    "miou": Part("mean IoU with interval", write_tables, partial(_interval, "miou", "masks.parquet")),
    "compare": Part("compare, two metrics", write_tables, _compare),
    "report": Part("report", write_run, _report),
}
