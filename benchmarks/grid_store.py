"""A 16-point grid over frozen encoders with and without the feature store: python -m benchmarks.grid_store

With the store the towers run once for each sample; without it, once for each sample, epoch and point. The plain side
is measured on all 16 points too, and the predictions of every point are compared.
"""

import itertools
import tempfile
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

from benchmarks.timing import seconds
from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.runs.predictions import read_predictions

CONF = Path(__file__).parents[1] / "conf"
GRID = {
    "data.batch_size": (8, 16),
    "model.optimizer.lr": (1e-5, 2e-5),
    "model.optimizer.weight_decay": (1e-4, 5e-4),
    "model.head.dropout": (0.1, 0.2),
}
POINTS = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
# A backbone of real size with random weights, because the cost does not depend on what they are.
COMMON = [
    "experiment=sentiment_gated",
    "data.sample={rows: 60, unlabelled: 0, seed: 3, label_noise: 0.0}",
    "model.encoders.image.name=mobilenetv2_100",
    "model.encoders.image.image_size=224",
    "model.encoders.image.frozen=true",
    "model.encoders.text.frozen=true",
    "trainer.max_epochs=20",
    "callbacks.progress=null",
    "callbacks.early_stopping=null",
]


def run_grid(root: Path, *, enabled: bool) -> list[np.ndarray]:
    """Train every point below `root`; gives the validation probabilities [N, C] of each."""
    found = []
    for point in POINTS:
        overrides = [f"{key}={value}" for key, value in point.items()]
        paths = [f"paths.outputs={root}", f"paths.cache={root}/cache", f"features.enabled={str(enabled).lower()}"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("train", [*COMMON, *overrides, *paths])
        train(config)
        table = read_predictions(Job.of(config).directory / "predictions" / "val.parquet")
        found.append(np.stack(table["probabilities"].tolist()))
    return found


def main() -> None:
    results: dict[str, list[np.ndarray]] = {}
    spent: dict[str, float] = {}
    for name, enabled in {"store": True, "plain": False}.items():
        with tempfile.TemporaryDirectory() as scratch:
            spent[name] = seconds(lambda: results.update({name: run_grid(Path(scratch), enabled=enabled)}))  # noqa: B023
            print(f"{name}: {spent[name]:.0f} s", flush=True)
    worst = max(np.abs(a - b).max() for a, b in zip(results["store"], results["plain"], strict=True))
    ratio = spent["plain"] / spent["store"]
    print(f"{len(POINTS)} points: ratio {ratio:.1f}, largest difference of a probability {worst:.1e}")


if __name__ == "__main__":
    main()
