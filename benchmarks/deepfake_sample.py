"""The detectors of the sample profile on its test split: python -m benchmarks.deepfake_sample [--outputs FOLDER]

Three seeds of each preset, which opens the test split once. With --outputs finished sets of another commit are read
instead of fitted.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.fits import fitted, looked_at
from benchmarks.results import Cell, value_cell, write_result
from benchmarks.tables import difference_table, holm_sentence
from hallmark.analysis.detection.by_kind import Detection
from hallmark.analysis.slices import ALL
from hallmark.runs.configuration import default_resampling
from hallmark.runs.metrics import MAIN
from hallmark.runs.repeats import RepeatSet, runs_of
from hallmark.statistics import Interval
from hallmark.systems.deepfake.tables import VIDEO

MEMBERS = ("deepfake_effnet", "deepfake_genconvit_ed", "deepfake_genconvit_vae")
PRESETS = ("deepfake_stage1", *MEMBERS, "deepfake_stack", "deepfake_cascade")
METHODS = ("easy", "mid", "hard", "other")
SEEDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, help="folder of finished sets, which are read and not made again")
    outputs = parser.parse_args().outputs
    results = {preset: fitted([f"experiment={preset}", f"repeat=seeds:{SEEDS}"], outputs) for preset in PRESETS}
    predictions = {}
    for preset, result in results.items():
        assert isinstance(result, RepeatSet)
        predictions[preset] = result.pooled(looked_at(runs_of(result), outputs))
    videos = {preset: of_task(table, VIDEO) for preset, table in predictions.items()}
    known = {preset: table[table["slice_method"] != "other"] for preset, table in videos.items()}
    for preset, table in known.items():
        table.attrs = videos[preset].attrs
    pairs = {f"deepfake_stack − {member}": (known["deepfake_stack"], known[member]) for member in MEMBERS}
    pairs["deepfake_cascade − deepfake_stack"] = (known["deepfake_cascade"], known["deepfake_stack"])
    differences = difference_table(pairs, metrics=["auroc"])
    first = videos[PRESETS[0]].query("member == 0")  # every seed has the same videos
    write_result(
        "deepfake_sample",
        rows=f"{first['id'].nunique()} test videos in {first['group'].nunique()} groups of the generated world, of "
        f"which {int((first['slice_method'] == 'other').sum())} are forged by a method that no training row is of; "
        "validation rows selected epochs and poolings, meta rows fitted the stack, calibration rows the thresholds.",
        intervals=f"Intervals resample groups of videos and the {SEEDS} seeds. {holm_sentence(differences)}",
        tables={
            "frames": by_method(predictions, MAIN),
            "videos": by_method(predictions, VIDEO),
            "differences": differences,
        },
        runs=[run for result in results.values() for run in runs_of(result)],
    )


def of_task(table: pd.DataFrame, task: str) -> pd.DataFrame:
    rows = table[table["task"] == task].reset_index(drop=True)
    rows.attrs = table.attrs
    return rows


def by_method(predictions: dict[str, pd.DataFrame], task: str) -> list[dict[str, Cell]]:
    """AUROC of the forgeries of each method against all real rows, one row a model."""
    detection = Detection(["method"], method="method", other_family=["other"], statistics=default_resampling())
    rows: list[dict[str, Cell]] = []
    for preset, table in predictions.items():
        measured = {row["category"]: row for row in detection.table(of_task(table, task)).to_dict("records")}
        cells = {
            title: value_cell(_interval(measured[category]))
            for title, category in {"all": ALL, **dict(zip(METHODS, METHODS, strict=True))}.items()
        }
        rows.append({"model": preset, **cells})
    return rows


def _interval(row: Mapping[Any, Any]) -> Interval:
    return Interval(row["auroc"], row["auroc_low"], row["auroc_high"], default_resampling().confidence_level)


if __name__ == "__main__":
    main()
