"""Characters by picture and description in the sample world: python -m benchmarks.characters_fusion [--outputs FOLDER]

Each setting opens the test split once, with all of its seeds. With --outputs finished runs of another commit are read
instead of fitted.
"""

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.fits import fitted, looked_at
from benchmarks.results import write_result
from benchmarks.tables import against, difference_table, holm_sentence, majority, metric_table
from hallmark.runs.metrics import MAIN
from hallmark.runs.repeats import RepeatSet, runs_of
from hallmark.statistics import table_metrics

FUSED, IMAGE, TEXT, SHUFFLED = "picture and description", "picture", "description", "picture and another's description"
MODELS = {
    FUSED: [],
    IMAGE: ["~model.encoders.text", "name=characters_fusion_image"],
    TEXT: ["~model.encoders.image", "name=characters_fusion_text"],
    SHUFFLED: ["data.shuffled=true", "name=characters_fusion_shuffled"],
}
GIVEN = {MAIN: "both", "image": "the picture alone", "text": "the description alone"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--world", type=int, default=8, help="seed of the pictures; none was chosen on those of 8")
    parser.add_argument("--pictures", type=int, default=72, help="of each character")
    parser.add_argument("--outputs", type=Path, help="folder of finished runs, which are read and not made again")
    arguments = parser.parse_args()
    common = [
        # Many rows to measure on; of the few to train on smaller batches, so that the steps are those of the preset.
        "experiment=characters_fusion", "data.split.val=0.25", "data.split.test=0.45", "data.batch_size=16",
        f"data.sample.pictures={arguments.pictures}", f"data.sample.seed={arguments.world}",
        f"repeat=seeds:{arguments.seeds}",
    ]  # fmt: skip
    sets: dict[str, RepeatSet] = {}
    for name, overrides in MODELS.items():
        result = fitted([*common, *overrides], arguments.outputs)
        assert isinstance(result, RepeatSet)
        sets[name] = result
    best = max((IMAGE, TEXT), key=lambda name: main_accuracy(sets[name].predictions("val")))
    tables: dict[str, pd.DataFrame] = {}
    for name, result in sets.items():
        looked_at(runs_of(result), arguments.outputs)
        tables[name] = result.predictions("test")
    mains = {name: of_task(table, MAIN) for name, table in tables.items()}
    rows = mains[FUSED]
    differences = difference_table({
        **against(FUSED, mains, [best]),
        **against(SHUFFLED, mains, [IMAGE]),
        **against(FUSED, mains, [SHUFFLED]),
    })  # fmt: skip
    write_result(
        "characters_fusion",
        rows=f"{rows['id'].str.rpartition('@')[0].nunique()} test pictures in {rows['group'].nunique()} groups of the "
        f"sample world with {arguments.pictures} pictures of each of 12 characters, one description in five with a "
        f"wrong attribute; {arguments.seeds} seeds. Settings, and how often descriptions say what, were chosen on "
        "validation rows of other worlds. Here validation rows selected the epoch and the better single input.",
        intervals=f"Intervals resample groups of pictures and seeds. {holm_sentence(differences)}",
        tables={
            "models": metric_table({"majority class": majority(rows), **mains}, ("accuracy", "macro_f1")),
            "given": metric_table(
                {title: of_task(tables[FUSED], task) for task, title in GIVEN.items()}, ("accuracy", "macro_f1"),
                title="the fused model is given",
            ),
            "differences": differences,
        },
        runs=[run for result in sets.values() for run in runs_of(result)],
    )  # fmt: skip


def of_task(table: pd.DataFrame, task: str) -> pd.DataFrame:
    """The rows of `task`, as a table of the only task."""
    rows = table[table["task"] == task].assign(task=MAIN).reset_index(drop=True)
    rows.attrs = {**table.attrs, "classes": {MAIN: table.attrs["classes"][task]}}
    return rows


def main_accuracy(table: pd.DataFrame) -> float:
    return table_metrics(table)[MAIN]["accuracy"] or 0.0


if __name__ == "__main__":
    main()
