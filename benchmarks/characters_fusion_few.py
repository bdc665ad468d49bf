"""What a description adds where few pictures are to be learned from: python -m benchmarks.characters_fusion_few

A world of its own, of which less and less is for training; the number of steps stays that of `characters_fusion`. With
--outputs finished runs of another commit are read instead of fitted, with --only some are fitted and nothing measured.
"""

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.characters_fusion import FUSED, IMAGE, MODELS, TEXT, main_accuracy, of_task
from benchmarks.fits import fitted, looked_at
from benchmarks.results import Cell, value_cell, write_result
from benchmarks.tables import Pair, against, difference_table, holm_sentence
from hallmark.runs.configuration import default_resampling
from hallmark.runs.metrics import MAIN
from hallmark.runs.repeats import RepeatSet, runs_of
from hallmark.statistics import Interval, all_intervals

SEEDS, WORLD = 8, 9
COMMON = [
    "experiment=characters_fusion", "data.split.test=0.45", "data.batch_size=16", "data.sample.pictures=72",
    f"data.sample.seed={WORLD}", f"repeat=seeds:{SEEDS}",
]  # fmt: skip
# Pictures of a character to learn from, and what makes them so many.
SIZES = {
    10: ["data.split.val=0.41", "trainer.max_epochs=24"],
    5: ["data.split.val=0.48", "trainer.max_epochs=48"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, help="folder of finished runs, which are read and not made again")
    parser.add_argument("--only", type=int, choices=list(SIZES), help="pictures of a character, fitted alone")
    arguments = parser.parse_args()
    sizes = [arguments.only] if arguments.only else list(SIZES)
    sets: dict[int, dict[str, RepeatSet]] = {size: {} for size in sizes}
    for size in sizes:
        for name in (FUSED, IMAGE, TEXT):
            label = next((word for word in MODELS[name] if word.startswith("name=")), "name=characters_fusion")
            others = [word for word in MODELS[name] if word != label]
            result = fitted([*COMMON, *SIZES[size], *others, f"{label}_{size}"], arguments.outputs)
            assert isinstance(result, RepeatSet)
            sets[size][name] = result
    if arguments.only:
        return
    rows: list[dict[str, Cell]] = []
    pairs: dict[str, Pair] = {}
    n = 0
    for size, results in sets.items():
        accuracies = {name: main_accuracy(results[name].predictions("val")) for name in (IMAGE, TEXT)}
        best = max(accuracies, key=lambda name: accuracies[name])
        tables = {}
        for name, result in results.items():
            looked_at(runs_of(result), arguments.outputs)
            tables[name] = of_task(result.predictions("test"), MAIN)
        n = tables[IMAGE]["id"].str.rpartition("@")[0].nunique()
        cells = {name: value_cell(accuracy_interval(table)) for name, table in tables.items()}
        rows.append({"pictures of a character": str(size), **cells})
        pairs |= {f"{size}: {key}": pair for key, pair in against(FUSED, tables, [best]).items()}
    differences = difference_table(pairs, ["accuracy"])
    write_result(
        "characters_fusion_few",
        rows=f"{n} test pictures of the sample world of seed {WORLD}, with its own training rows; {SEEDS} seeds. No "
        "setting was chosen on this world. Validation rows selected the epoch and the better single input.",
        intervals=f"Intervals resample groups of pictures and seeds. {holm_sentence(differences)}",
        tables={"sizes": rows, "differences": differences},
        runs=[run for results in sets.values() for result in results.values() for run in runs_of(result)],
    )


def accuracy_interval(table: pd.DataFrame) -> Interval:
    return all_intervals(table, ["accuracy"], resampling=default_resampling())["accuracy"]


if __name__ == "__main__":
    main()
