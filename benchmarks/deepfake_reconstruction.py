"""GenConViT with and without its reconstruction: python -m benchmarks.deepfake_reconstruction [--seeds N]

Settings, such as data.sample.train=12, make it smaller, for a look at whether it works.
"""

import argparse

import pandas as pd

from benchmarks.deepfake_sample import by_method, of_task
from benchmarks.fits import fitted
from benchmarks.results import Cell, write_result
from benchmarks.tables import difference_table, holm_sentence
from hallmark.engine.finished import FinishedRun
from hallmark.runs.repeats import RepeatSet, runs_of
from hallmark.systems.deepfake.sample.forgeries import UNSEEN
from hallmark.systems.deepfake.tables import VIDEO

WITH = "with reconstruction"
NETWORKS = {
    WITH: [],
    "without its loss": ["model.mse_weight=0", "model.stages.autoencoder=0"],
    "without reconstruction": ["model.network.reconstruction=false", "model.stages.autoencoder=0"],
}
SPLIT = "calibration"  # which no fit of a member reads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    seeds, settings = arguments.seeds, arguments.settings
    predictions, runs = {}, []
    for name, overrides in NETWORKS.items():
        result = fitted(["experiment=deepfake_genconvit_ed", f"repeat=seeds:{seeds}", *overrides, *settings])
        assert isinstance(result, RepeatSet)
        predictions[name] = result.pooled([FinishedRun(run, folds=0).predictions(SPLIT) for run in runs_of(result)])
        runs += runs_of(result)
    videos = {name: of_task(table, VIDEO) for name, table in predictions.items()}
    differences = difference_table(
        {f"{WITH} − {name}": (videos[WITH], table) for name, table in videos.items() if name != WITH}, ["auroc"]
    )
    n_videos, n_pairs = (videos[WITH].loc[videos[WITH]["member"] == 0, column].nunique() for column in ("id", "group"))
    write_result(
        "deepfake_reconstruction",
        rows=f"{n_videos} videos in {n_pairs} pairs of the split {SPLIT}, of which no fit reads a row; validation rows "
        "selected epochs. Without its loss the same network draws what the classification makes it draw; without "
        "reconstruction it sees the frame alone.",
        intervals=f"Intervals resample pairs of videos and the {seeds} seeds. {holm_sentence(differences)}",
        tables={"videos": by_learned_method(predictions), "differences": differences},
        runs=runs,
    )


def by_learned_method(predictions: dict[str, pd.DataFrame]) -> list[dict[str, Cell]]:
    """Without the method that only test rows are of."""
    return [{name: cell for name, cell in row.items() if name != UNSEEN} for row in by_method(predictions, VIDEO)]


if __name__ == "__main__":
    main()
