import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from hallmark.statistics.significance.delong import delong_p
from hallmark.statistics.significance.mcnemar import mcnemar_p
from hallmark.statistics.significance.paired import rowwise_p_values

Maker = Callable[..., pd.DataFrame]


def binary(make: Maker, n: int = 60, **changes: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(2)
    target = np.arange(n) % 2
    tables = []
    for skill in (0.1, 0.4):
        fake = 1 / (1 + np.exp(-rng.normal(skill * (2 * target - 1))))
        rows = np.column_stack([1 - fake, fake])
        tables.append(make(target, rows.argmax(1), probabilities=rows, classes=("real", "fake"), **changes))
    return tables[0], tables[1]


def test_rowwise_tests_are_those_of_correctness_and_of_the_second_class(make_predictions: Maker) -> None:
    first, second = binary(make_predictions)
    p_values = rowwise_p_values(first, second.sample(frac=1, random_state=0))
    assert p_values["mcnemar"] == mcnemar_p(first["score"] == 1, second["score"] == 1) < 1
    scores = [np.array(table["probabilities"].tolist())[:, 1] for table in (first, second)]
    assert p_values["delong"] == delong_p((first["target"] == "fake").to_numpy(), *scores) < 1


def test_rowwise_tests_do_not_apply_to_rows_that_are_not_independent(
    make_predictions: Maker, two_systems: Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
) -> None:
    grouped = binary(make_predictions, groups=[0, *range(59)])
    assert all(math.isnan(p) for p in rowwise_p_values(*grouped).values())
    three = two_systems()
    for table in three:
        table["group"] = table["id"]
    p_values = rowwise_p_values(*three)
    assert p_values["mcnemar"] < 1 and math.isnan(p_values["delong"])
    lone = [table.iloc[:3] for table in binary(make_predictions)]
    assert math.isnan(rowwise_p_values(*lone)["delong"])
    scores = [table.assign(score=1.0) for table in binary(make_predictions)]
    for table in scores:
        table.attrs["classes"] = {}
    assert all(math.isnan(p) for p in rowwise_p_values(*scores).values())
