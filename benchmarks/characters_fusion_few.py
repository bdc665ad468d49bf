"""What a description adds where few pictures are to be learned from: python -m benchmarks.characters_fusion_few

A world of its own, of which little is for training; the number of steps stays that of `characters_fusion`. With
--outputs finished runs of another commit are read instead of fitted.
"""

import argparse
from pathlib import Path

from benchmarks.characters_fusion import FUSED, IMAGE, MODELS, TEXT, main_accuracy, of_task
from benchmarks.fits import fitted, looked_at
from benchmarks.results import write_result
from benchmarks.tables import against, difference_table, holm_sentence, metric_table
from hallmark.runs.metrics import MAIN
from hallmark.runs.repeats import RepeatSet, runs_of

SEEDS, WORLD = 8, 9
COMMON = [
    "experiment=characters_fusion", "data.split.val=0.41", "data.split.test=0.45", "trainer.max_epochs=24",
    "data.batch_size=16", "data.sample.pictures=72", f"data.sample.seed={WORLD}", f"repeat=seeds:{SEEDS}",
]  # fmt: skip
NAMES = {FUSED: "characters_fusion_10", IMAGE: "characters_fusion_image_10", TEXT: "characters_fusion_text_10"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, help="folder of finished runs, which are read and not made again")
    arguments = parser.parse_args()
    sets: dict[str, RepeatSet] = {}
    for name, label in NAMES.items():
        inputs = [word for word in MODELS[name] if not word.startswith("name=")]
        result = fitted([*COMMON, *inputs, f"name={label}"], arguments.outputs)
        assert isinstance(result, RepeatSet)
        sets[name] = result
    accuracies = {name: main_accuracy(sets[name].predictions("val")) for name in (IMAGE, TEXT)}
    best = max(accuracies, key=lambda name: accuracies[name])
    tables = {}
    for name, result in sets.items():
        looked_at(runs_of(result), arguments.outputs)
        tables[name] = of_task(result.predictions("test"), MAIN)
    differences = difference_table(against(FUSED, tables, [best]), ["accuracy", "macro_f1"])
    runs = [run for result in sets.values() for run in runs_of(result)]
    n = tables[IMAGE]["id"].str.rpartition("@")[0].nunique()
    write_result(
        "characters_fusion_few",
        rows=f"{n} test pictures of the sample world of seed {WORLD}, {runs[0].record.splits['train']['n']} of 12 "
        f"characters to learn from; {SEEDS} seeds. No setting was chosen on this world. Validation rows selected the "
        "epoch and the better single input.",
        intervals=f"Intervals resample groups of pictures and seeds. {holm_sentence(differences)}",
        tables={"models": metric_table(tables, ("accuracy", "macro_f1")), "differences": differences},
        runs=runs,
    )


if __name__ == "__main__":
    main()
