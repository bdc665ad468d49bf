"""One answer from several models of the same rows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hallmark.statistics.tables import class_order


def has_probabilities(predictions: pd.DataFrame) -> bool:
    """Whether every task of a predictions table has classes, so that tables of several models can be averaged."""
    return all(class_order(predictions, str(task)) is not None for task in predictions["task"].unique())


def mean_predictions(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One predictions table of several models: the class of the highest mean probability, of equals the first.

    Args:
        tables: a predictions table of each model, all of the same ids and tasks in whatever order.

    Returns:
        The first table's rows and order with `probabilities`, `confidence` and `prediction` of the mean.

    Raises:
        ValueError: the tables hold different rows, or a task without classes.
    """
    first = tables[0].reset_index(drop=True)
    if not has_probabilities(first):
        raise ValueError("predictions of a task without classes have no mean")
    keys = pd.MultiIndex.from_frame(first[["id", "task"]].astype(str))
    means = np.empty(len(first), dtype=object)  # row by row, because tasks differ in their numbers of classes
    aligned = []
    for table in tables:
        row_keys = pd.MultiIndex.from_frame(table[["id", "task"]].astype(str))
        same = len(row_keys) == len(keys) and row_keys.is_unique and row_keys.sort_values().equals(keys.sort_values())
        if not same:
            raise ValueError("the models were asked about different rows, so their predictions have no mean")
        aligned.append(table["probabilities"].to_numpy()[row_keys.get_indexer(keys)].tolist())
    for position, rows in enumerate(zip(*aligned, strict=True)):
        means[position] = np.mean([np.asarray(row, dtype=float) for row in rows], axis=0)
    tops = [int(np.argmax(mean)) for mean in means]
    classes = {task: class_order(first, str(task)) or [] for task in first["task"].unique()}
    mean = first.assign(
        probabilities=means,
        confidence=[float(mean[top]) for mean, top in zip(means, tops, strict=True)],
        prediction=[classes[task][top] for task, top in zip(first["task"], tops, strict=True)],
    )
    mean.attrs = tables[0].attrs
    return mean
