"""A 16-point grid over frozen encoders with and without the feature store: python -m benchmarks.grid_store

With the store the encoders run once for each sample; without it, once for each sample, epoch and point. The plain side
is measured on all 16 points too, and the predictions of every point are compared.
"""

import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.fits import composed
from benchmarks.results import count_cell, number_cell, write_result
from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.runs.predictions import read_predictions

GRID = {
    "data.batch_size": (8, 16),
    "model.optimizer.lr": (1e-5, 2e-5),
    "model.optimizer.weight_decay": (1e-4, 5e-4),
    "model.head.dropout": (0.1, 0.2),
}
POINTS: list[dict[str, float]] = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
# A backbone of real size with random weights, because the cost does not depend on what they are.
COMMON = [
    "experiment=sentiment_gated",
    "data.sample={rows: 60, unlabelled: 0, seed: 3, label_noise: 0.0}",
    "model.encoders.image.name=resnet50",
    "model.encoders.image.image_size=224",
    "model.encoders.image.frozen=true",
    "model.encoders.text.frozen=true",
    "trainer.max_epochs=20",
    "callbacks.early_stopping=null",
]


def fit(root: Path, point: dict[str, float], *, enabled: bool) -> tuple[np.ndarray, int]:
    """Train one point below `root`; gives its validation probabilities [N, C] and the epoch that was selected."""
    overrides = [f"{key}={value}" for key, value in point.items()]
    paths = [f"paths.outputs={root}", f"paths.cache={root}/cache", f"features.enabled={str(enabled).lower()}"]
    config = composed([*COMMON, *overrides, *paths])
    train(config)
    directory = Job.of(config).directory
    table = read_predictions(directory / "predictions" / "val.parquet")
    epoch = int(pd.read_csv(directory / "history.csv")[config.monitor.metric].idxmax())
    return np.stack(table["probabilities"].tolist()), epoch


def main() -> None:
    fits: dict[bool, list[tuple[np.ndarray, int]]] = {True: [], False: []}
    spent = {True: 0.0, False: 0.0}
    with tempfile.TemporaryDirectory() as store, tempfile.TemporaryDirectory() as plain:
        roots = {True: Path(store), False: Path(plain)}
        for number, point in enumerate(POINTS, start=1):
            for enabled, root in roots.items():  # in turn, so that both sides see the same load of the machine
                began = time.perf_counter()
                fits[enabled].append(fit(root, point, enabled=enabled))
                spent[enabled] += time.perf_counter() - began
            (with_store, epoch), (without, other) = fits[True][-1], fits[False][-1]
            off = f"probabilities differ by {np.abs(with_store - without).max():.0e}, epochs {epoch} and {other}"
            print(f"{number} points: {spent[True]:.0f} s with the store, {spent[False]:.0f} s plain; {off}", flush=True)
    pairs = list(zip(fits[True], fits[False], strict=True))
    worst = max(np.abs(a - b).max() for (a, _), (b, _) in pairs)
    flipped = sum(int((a.argmax(axis=1) != b.argmax(axis=1)).sum()) for (a, _), (b, _) in pairs)
    ratio = spent[False] / spent[True]
    write_result(
        "grid_store",
        rows=f"A grid of {len(POINTS)} points over a frozen ResNet-50 with a small BERT, each point fitted with the "
        "feature store and without it by turns; validation predictions of both are compared.",
        intervals="",
        values={
            "store": number_cell(spent[True], 0, " s"),
            "plain": number_cell(spent[False], 0, " s"),
            "ratio": number_cell(ratio, 0, "×"),
            "largest": {"text": f"{worst:.0e}", "value": float(worst)},
            "flipped": count_cell(flipped),
            "predictions": count_cell(sum(len(a) for (a, _), _ in pairs)),
        },
    )


if __name__ == "__main__":
    main()
