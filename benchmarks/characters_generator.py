"""Generators of characters on the test split of the sample world: python -m benchmarks.characters_generator

Three seeds of each preset, which open the test split once; the judge is the same for all. With --outputs finished sets
of another commit are read instead of fitted.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.fits import fitted, looked_at
from benchmarks.pages import RESULTS
from benchmarks.results import Cell, number_cell, spread_cell, write_result
from hallmark.engine.setup import silence_expected_warnings
from hallmark.runs.repeats import RepeatSet, runs_of
from hallmark.statistics import spread, table_metrics

SEEDS = 3
PRESETS = ("characters_generator", "characters_generator_faithful")
# Measure, its name among the metrics, and what is asked of it.
NUMBERS = (
    ("judge accuracy", "judge_accuracy", "≥ 0.95"),
    ("judge accuracy of real pictures", "judge_accuracy_real", ""),
    ("Fréchet distance over that of real halves", "frechet_ratio", "≤ 5"),
    ("Fréchet distance at the n of a half", "frechet_distance_halves", ""),
    ("the same of real halves", "frechet_distance_real", ""),
    ("kernel distance (KID)", "kernel_distance", ""),
    ("the same of real halves", "kernel_distance_real", ""),
    ("diversity within classes over that of real", "diversity", "≥ 0.7"),
    ("energy near Nyquist over that of real", "nyquist_energy", "0.4 to 1.2"),
    ("copies", "copies", "≤ 0.02"),
    ("density", "neighbor_density", ""),
    ("coverage", "neighbor_coverage", ""),
    ("trained on drawn, tested on real", "fake_trained_accuracy", ""),
    ("trained on real, tested on real", "real_trained_accuracy", ""),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, help="folder of finished sets, which are read and not made again")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    arguments = parser.parse_args()
    silence_expected_warnings()
    results: dict[str, RepeatSet] = {}
    for preset in arguments.presets:
        result = fitted([f"experiment={preset}", f"repeat=seeds:{SEEDS}"], arguments.outputs)
        assert isinstance(result, RepeatSet)
        results[preset] = result
    tables = {preset: looked_at(runs_of(result), arguments.outputs) for preset, result in results.items()}
    real = tables[arguments.presets[0]][0].query("kind == 'real'")
    runs = [run for result in results.values() for run in runs_of(result)]
    shutil.copyfile(runs[0].directory / "figures" / "truncation.png", RESULTS / "characters_generator_truncation.png")
    write_result(
        "characters_generator",
        rows=f"{len(real)} test pictures of {real['target'].nunique()} characters of the sample world and one drawn "
        f"for each, in {len(real['features'].iloc[0])} features of {real['extractor'].iloc[0]}; validation rows "
        "selected the epoch. Beside real halves, distances are at the n of a half.",
        intervals=f"± is the standard deviation over {SEEDS} seeds.",
        tables={"numbers": numbers(tables)},
        values={"minutes": number_cell(max(run.record.wall_seconds for run in runs) / 60, 1, " minutes")},
        runs=runs,
    )


def numbers(tables: dict[str, list[pd.DataFrame]]) -> list[dict[str, Cell]]:
    """One row a measure, one column a preset."""
    measured = {preset: [_metrics(table) for table in of_seeds] for preset, of_seeds in tables.items()}
    return [
        {
            "measure": title,
            "asked": asked,
            **{preset: _cell([metrics[key] for metrics in of_seeds]) for preset, of_seeds in measured.items()},
        }
        for title, key, asked in NUMBERS
    ]


def _metrics(table: pd.DataFrame) -> dict[str, float | None]:
    (metrics,) = table_metrics(table).values()
    return dict(metrics)


def _cell(values: Sequence[float | None]) -> Cell:
    return spread_cell(spread(float("nan") if value is None else value for value in values))


if __name__ == "__main__":
    main()
