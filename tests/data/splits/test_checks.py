"""What is fitted has rows of every class in its splits, which are counted and hashed."""

import pandas as pd
import pytest
from tests.data.splits.table import rows

from hallmark.data.splits import check_splits, split_summary
from hallmark.runs.metrics import MAIN


@pytest.mark.parametrize("split", ["calibration", "meta"])
def test_what_is_fitted_needs_every_class(split: str) -> None:
    good = pd.DataFrame({"target": list("abaab"), "split": ["train", "train", "val", split, split]})
    check_splits(good, {MAIN: ["a", "b"]})
    with pytest.raises(ValueError, match=rf"class b has no row in {split}"):
        check_splits(good.iloc[:4], {MAIN: ["a", "b"]})


def test_check_splits() -> None:
    good = pd.DataFrame({"target": ["a", "b", "a", None], "split": ["train", "train", "val", "predict"]})
    check_splits(good, {MAIN: ["a", "b"]})
    with pytest.raises(ValueError, match=r"only one class \(a\) in 4 rows"):
        check_splits(good.assign(target="a"), {MAIN: ["a", "b"]})
    with pytest.raises(ValueError, match=r"data\.split: no rows in val"):
        check_splits(good.iloc[:2], {MAIN: ["a", "b"]})
    with pytest.raises(ValueError, match=r"data\.split: no rows in train"):
        check_splits(good.assign(split="val"), {MAIN: ["a", "b"]})
    with pytest.raises(ValueError, match="class b has no training row"):
        check_splits(good.assign(split=["train", "val", "train", "predict"]), {MAIN: ["a", "b"]})


def test_every_task_is_checked() -> None:
    good = pd.DataFrame({
        "target": ["a / 0", "b / 1", "a / 1"], "target_action": ["a", "b", "a"], "target_state": ["0", "1", None],
        "split": ["train", "train", "val"],
    })  # fmt: skip
    classes = {"action": ["a", "b"], "state": ["0", "1"]}
    check_splits(good, classes)
    with pytest.raises(ValueError, match=r"only one class of state \(0\) in 3 rows"):
        check_splits(good.assign(target_state="0"), classes)
    with pytest.raises(ValueError, match="class 1 has no training row"):
        check_splits(good.assign(target_state=["0", None, "1"]), classes)


def test_the_summary_counts_and_hashes_ids_in_any_order() -> None:
    samples = rows(n=60).assign(split=["train"] * 40 + ["val"] * 20)
    summary = split_summary(samples)
    assert summary["train"]["n"] == 40
    assert summary["val"]["groups"] == samples.iloc[40:]["group"].nunique()
    assert split_summary(samples.sample(frac=1, random_state=1)) == summary
    moved = samples.assign(split=["train"] * 39 + ["val"] * 21)
    assert split_summary(moved)["train"]["hash"] != summary["train"]["hash"]
