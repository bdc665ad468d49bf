"""The rows that a statistic is computed from, and the units that it resamples.

The unit is the group. A table of repeats has two columns besides: `repetition` (int), which whole pass over the data a
row belongs to, and `member` (int), which trained model predicted it: a seed, a fold, or a fold of a repetition. Where
`member` is missing, each repetition is a model. Groups recur in every repetition, and each model has a luck of its own.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

import hallmark.statistics.tables as tables
from hallmark.statistics.metrics.classification import Integers


@dataclass(frozen=True, eq=False)
class Sample:
    """Labelled rows of one task, and of each the group 0 .. n_groups - 1 and the model 0 .. n_models - 1."""

    rows: pd.DataFrame
    classes: list[str] | None
    group: Integers
    n_groups: int
    model: Integers
    n_models: int

    def repetitions(self) -> list["Sample"]:
        """One sample a repetition in ascending order, all with the codes of the whole table; itself where there is one.

        Raises:
            ValueError: a row of a table of repeats has no repetition.
        """
        parts = [
            replace(self, rows=self.rows[mask], group=self.group[mask], model=self.model[mask])
            for mask in tables.repetition_masks(self.rows)
        ]
        return [self] if len(parts) == 1 else parts


def one_task(predictions: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The labelled rows and the one task they belong to. ValueError where there is none, or more than one."""
    rows = tables.labelled_rows(predictions)
    names = [str(name) for name in rows["task"].unique()]
    if len(names) != 1:
        tasks = f"{len(names)} tasks ({', '.join(names)})" if names else "no task, as no row is labelled"
        raise ValueError(f"statistics are of one task, the table has {tasks}: select one task")
    return rows, names[0]


def task_sample(predictions: pd.DataFrame) -> Sample:
    """The sample of a table with one task."""
    rows, task = one_task(predictions)
    return Sample(rows, tables.class_order(predictions, task), *group_codes(rows["group"]), *model_codes(rows))


def model_codes(rows: pd.DataFrame) -> tuple[Integers, int]:
    """Models as codes 0 .. M - 1 [N], and M; one where the table is not of repeats. ValueError where a row has none."""
    column = next((name for name in ("member", "repetition") if name in rows), None)
    if column is None:
        return np.zeros(len(rows), dtype=np.intp), 1
    codes, names = pd.factorize(rows[column], sort=True)
    if (codes < 0).any():
        raise ValueError(f"{(codes < 0).sum()} of {len(codes)} rows have no {column}: give each an integer")
    return codes, len(names)


def group_codes(groups: pd.Series) -> tuple[Integers, int]:
    """Groups as codes 0 .. G - 1 [N], and G. ValueError where a row has no group."""
    codes, names = pd.factorize(groups)
    if (codes < 0).any():
        missing = f"{(codes < 0).sum()} of {len(codes)} rows"
        raise ValueError(f"{missing} have no group: give each the unit it comes from")
    return codes, len(names)


def paired_samples(first: pd.DataFrame, second: pd.DataFrame) -> tuple[Sample, Sample]:
    """The samples of two tables of one task, row by row the same ids in the order of the first.

    Raises:
        ValueError: the tables differ in task, classes, ids, targets, groups or repetitions (the message counts the
            rows), or an id occurs twice.
    """
    (rows, task), (second_rows, other_task) = one_task(first), one_task(second)
    classes, other_classes = tables.class_order(first, task), tables.class_order(second, other_task)
    if (task, classes) != (other_task, other_classes):
        difference = f"{task} {classes} and {other_task} {other_classes}"
        raise ValueError(f"the tables differ in task or class order: {difference}")
    for name, table in (("first", rows), ("second", second_rows)):
        if repeated := int(table["id"].duplicated().sum()):
            raise ValueError(f"{repeated} rows of the {name} table repeat an id: give each row its own")
    rows, second_rows = rows.set_index("id"), second_rows.set_index("id")
    only_first, only_second = (~rows.index.isin(second_rows.index)).sum(), (~second_rows.index.isin(rows.index)).sum()
    if only_first or only_second:
        raise ValueError(
            f"the tables must have the same labelled ids of task {task}: {only_first} of {len(rows)} are "
            f"only in the first, {only_second} of {len(second_rows)} only in the second"
        )
    second_rows = second_rows.loc[rows.index]
    for column in ("target", "kind", "group", "repetition", "member"):
        if column not in rows and column not in second_rows:
            continue
        left, right = (table.get(column, pd.Series(None, table.index)).astype(object) for table in (rows, second_rows))
        if different := int(((left != right) & ~(left.isna() & right.isna())).sum()):
            raise ValueError(f"{different} of {len(rows)} rows differ in {column} between the two tables")
    group, n_groups = group_codes(rows["group"])
    first_sample = Sample(rows, classes, group, n_groups, *model_codes(rows))
    return first_sample, replace(first_sample, rows=second_rows)
