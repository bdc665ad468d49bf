"""Members and stack of the sample world on shuffled labels: python -m benchmarks.deepfake_shuffled [--shuffles N]

Where labels say nothing, an AUC that differs from a half would be a leak. Settings of the sample world, such as
data.sample.train=12, make it smaller, for a look at whether it works.
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.fits import composed, fitted
from benchmarks.results import Cell, number_cell, write_result
from hallmark.data.generated import data_folder
from hallmark.engine.finished import FinishedRun
from hallmark.runs.metrics import MAIN
from hallmark.runs.run import Run
from hallmark.statistics.tables import table_metrics
from hallmark.systems.deepfake.manifest import manifest_name
from hallmark.systems.deepfake.sample.world import generate

MEMBERS = ("stage1", "effnet", "genconvit_ed", "genconvit_vae")
ROLES = {"effnet": "effnet", "ed": "genconvit_ed", "vae": "genconvit_vae"}
SHUFFLED = ("train", "val", "calibration", "meta")
SPLIT = "calibration"  # which neither members nor stack are fitted or selected on
EPOCHS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shuffles", type=int, default=5)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    table: list[dict[str, Cell]] = []
    values: list[float] = []
    runs: list[Run] = []
    for number in range(arguments.shuffles):
        data = [f"data.folder={shuffled_world(number, arguments.settings)}", "data.split.test=0", f"seed={number}"]
        members = {
            name: fitted([f"experiment=deepfake_{name}", *data, f"trainer.max_epochs={EPOCHS}"]) for name in MEMBERS
        }
        parents = [f"parents.{role}={members[name].directory}" for role, name in ROLES.items()]
        results = {**members, "stack": fitted(["experiment=deepfake_stack", *data, *parents])}
        row = {}
        for name, run in results.items():
            assert isinstance(run, Run)
            row[name] = float(table_metrics(FinishedRun(run, folds=0).predictions(SPLIT))[MAIN]["auroc"] or 0)
            runs.append(run)
        values += row.values()
        table.append({"shuffle": str(number + 1), **{name: number_cell(value, 3) for name, value in row.items()}})
    write_result(
        "deepfake_shuffled",
        rows="Frame AUROC on the split calibration of the sample world, of which no row is fitted or selected on. In "
        f"each pair of a real and a forged video of {', '.join(SHUFFLED)} a coin decides which one is called forged. "
        f"Members are fitted for {EPOCHS} epochs.",
        intervals="",
        tables={"auroc": table},
        values={"furthest": number_cell(float(np.abs(np.array(values) - 0.5).max()), 3)},
        runs=runs,
    )


def shuffled_world(number: int, settings: Sequence[str]) -> Path:
    """A folder with the frames of the sample world and manifests whose labels are those of shuffle `number`."""
    config = composed(["experiment=deepfake_stage1", *settings])
    cache = Path(config.paths.cache)
    world = data_folder(None, cache, "deepfake", generate, dict(config.data.sample), expected="")
    folder = cache / "sample" / f"{world.name}-shuffled-{number}"
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(world / "frames", partial / "frames", copy_function=os.link)
        for position, split in enumerate(SHUFFLED):
            rows = pd.read_csv(world / manifest_name(split), dtype=str, keep_default_na=False)
            shuffled(rows, np.random.default_rng([number, position])).to_csv(
                partial / manifest_name(split), index=False
            )
        partial.rename(folder)
    return folder


def shuffled(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Frames of a manifest with both labels of a pair of videos swapped or left, by a coin a pair; no methods."""
    pair = rows["video"].str.extract(r"^([a-z]+_\d+)", expand=False)
    codes, names = pd.factorize(pair)
    swapped = rng.random(len(names)) < 0.5
    label = rows["label"].where(~swapped[codes], rows["label"].map({"real": "fake", "fake": "real"}))
    return rows.assign(label=label).drop(columns="method")


if __name__ == "__main__":
    main()
