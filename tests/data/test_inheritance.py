"""Which rows of a parent a run may not have, by what it takes of the parent and what the parent was fitted on."""

from dataclasses import replace

import pandas as pd
import pytest

from hallmark.data.inheritance import inherited_leaks
from hallmark.runs.parents import InheritedRows, Use

EVERYTHING = frozenset({"train", "val", "calibration", "meta"})
FITTED_BY_STEPS = frozenset({"train", "val"})


def parent(use: Use, splits: dict[str, str], fitted_on=EVERYTHING, *, comparable: bool = True) -> InheritedRows:
    """A parent with one row of each content in `splits`."""
    rows = [(f"parent {content}", content, split) for content, split in splits.items()]
    return InheritedRows("teacher", use, fitted_on, comparable, rows)


def child(splits: dict[str, str]) -> pd.DataFrame:
    rows = [(f"child {content}", split, content) for content, split in splits.items()]
    return pd.DataFrame(rows, columns=["id", "split", "content"])


@pytest.mark.parametrize(
    ("own", "of_parent", "forbidden"),
    [
        ("val", "val", set()),
        ("val", "train", {Use.WEIGHTS, Use.PREDICTIONS, Use.OUT_OF_FOLD}),
        ("train", "train", {Use.PREDICTIONS}),
        ("train", "val", {Use.PREDICTIONS, Use.OUT_OF_FOLD}),
        ("train", "test", {Use.OUT_OF_FOLD}),
        ("meta", "meta", {Use.WEIGHTS, Use.PREDICTIONS, Use.OUT_OF_FOLD}),
        ("calibration", "calibration", {Use.WEIGHTS, Use.PREDICTIONS, Use.OUT_OF_FOLD}),
        ("calibration", "meta", {Use.WEIGHTS, Use.PREDICTIONS, Use.OUT_OF_FOLD}),
        ("test", "val", {Use.WEIGHTS, Use.PREDICTIONS, Use.OUT_OF_FOLD}),
        ("test", "test", set()),
        ("predict", "train", set()),
    ],
)
def test_a_row_may_not_be_one_that_the_parent_was_fitted_or_selected_on(own, of_parent, forbidden):
    for use in Use:
        leaks = inherited_leaks(child({"a": own}), [parent(use, {"a": of_parent})])
        expected = [("fitted by parent teacher", "child a", own, "parent a", of_parent)] if use in forbidden else []
        assert list(leaks.findings.itertuples(index=False, name=None)) == expected
        assert leaks.verdicts == {"fitted by parent teacher": "found" if expected else "clean"}
        fitted_test = own == "test" and use in forbidden
        assert leaks.fitted_test == ({"teacher": 1} if fitted_test else {})


@pytest.mark.parametrize("use", [Use.WEIGHTS, Use.PREDICTIONS])
@pytest.mark.parametrize("own", ["calibration", "meta", "test"])
def test_rows_that_the_parent_had_and_was_not_fitted_on_are_free(use, own):
    splits = {"a": own, "b": "calibration", "c": "meta"}
    leaks = inherited_leaks(child(splits), [parent(use, splits, FITTED_BY_STEPS)])
    assert leaks.findings.empty and leaks.verdicts == {"fitted by parent teacher": "clean"}


@pytest.mark.parametrize("use", [Use.WEIGHTS, Use.PREDICTIONS])
def test_rows_of_a_split_that_the_run_does_not_read_may_be_those_that_the_parent_was_fitted_on(use):
    splits = {"a": "meta", "b": "calibration"}
    of_parent = replace(parent(use, splits), unread=frozenset({"meta"}))
    leaks = inherited_leaks(child(splits), [of_parent])
    assert leaks.findings["first_split"].tolist() == ["calibration"]


def test_out_of_fold_every_row_is_one_of_the_parent():
    leaks = inherited_leaks(child({"a": "train", "b": "val"}), [parent(Use.OUT_OF_FOLD, {"a": "train"})])
    assert leaks.findings[["first_id", "second_split"]].to_numpy().tolist() == [["child b", "absent"]]


def test_rows_of_another_reader_that_are_never_equal_are_unknown():
    other = parent(Use.WEIGHTS, {"b": "train"}, comparable=False)
    assert inherited_leaks(child({"a": "test"}), [other]).verdicts == {"fitted by parent teacher": "unknown"}
