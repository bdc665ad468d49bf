"""Every number that the code writes is defined in docs/metrics.md, and nothing else is.

The tables of analyses and reports are compared with the page by the tests that make them (`numbers_are_defined`).
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.definitions import PAGE, definitions, plain, undefined

from hallmark.statistics import (
    CLASSIFICATION_METRICS,
    LOWER_IS_BETTER,
    SEGMENTATION_METRICS,
    TWO_CLASS_METRICS,
)
from hallmark.statistics.bootstrap import metric_range
from hallmark.statistics.jackknife import set_range
from hallmark.statistics.metrics import WITHOUT_DIRECTION
from hallmark.statistics.metrics.sets import SET_METRICS
from hallmark.statistics.sample import Sample

SOURCE = Path(__file__).parents[2] / "src" / "hallmark"
METRICS = {*CLASSIFICATION_METRICS, *TWO_CLASS_METRICS, *map(plain, SEGMENTATION_METRICS), "score", *SET_METRICS}


def metric_rows() -> dict[str, list[str]]:
    """Those of tables that say which direction is better."""
    return {name: cells for name, cells in definitions().items() if len(cells) == 3}


@cache
def texts() -> frozenset[str]:
    """Every string and keyword of the source behind its last slash, a part that is filled in as {}."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")]
    return frozenset(text for tree in trees for text in _texts(tree))


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
            yield from _texts(child)


def is_written(name: str) -> bool:
    """Whether the source has the name, or a text that becomes it where one of its own texts is filled in."""
    last = {text.rpartition("/")[2] for text in texts()}
    template = re.sub(r"<\w+>|(?<=@)t$", "{}", name)
    if template != name:
        return not {template, template.removesuffix("{}")}.isdisjoint(last)
    halves = ((name[:i], name[i:]) for i in range(1, len(name)))
    return name in last or any(first + "{}" in last and second in last for first, second in halves)


def test_every_metric_has_its_definition_and_direction() -> None:
    assert set(metric_rows()) == METRICS
    lower = {name for name, cells in metric_rows().items() if cells[1] == "lower"}
    assert lower == LOWER_IS_BETTER
    assert {name for name, cells in metric_rows().items() if cells[1] == "neither"} == WITHOUT_DIRECTION
    assert all(cells[1] in ("lower", "higher", "neither") for cells in metric_rows().values())


def test_the_ranges_are_those_of_the_code() -> None:
    groups = np.arange(5)
    sample = Sample(pd.DataFrame(), ["a", "b"], groups, 5, np.zeros_like(groups), 1)
    ranges = {name: metric_range(name, sample) for name in CLASSIFICATION_METRICS + TWO_CLASS_METRICS}
    ranges |= {name: set_range(name) for name in SET_METRICS}
    for name, values in ranges.items():
        assert (metric_rows()[name][2] == "yes") == (values.low == 0 and values.high == 1), name


def test_what_training_logs_of_validation_rows_is_defined() -> None:
    logged = {
        text.replace("_{}", "_<part>") for text in texts() if re.fullmatch(r"val/([\w{}]+/)?[a-z_]+[\w@.{}]*", text)
    }
    assert {"val/loss", "val/macro_f1", "val/{}/macro_f1", "val/miou_<part>", "val/p@0.5"} <= logged
    assert undefined(logged) == set()


@pytest.mark.parametrize("name", sorted(definitions()))
def test_what_is_defined_is_written_by_the_code(name: str) -> None:
    assert name in METRICS or is_written(name), f"{PAGE.name} defines {name}, which nothing writes"
