from collections.abc import Sequence
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from hallmark.data.sampling import SampleIndex
from hallmark.data.splits import Holdout
from hallmark.runs.metrics import MAIN
from hallmark.systems.digits.data import DigitsDataModule

ALL = [str(digit) for digit in range(10)]


def prepared(classes: Sequence[str] = ALL, **changes: Any) -> DigitsDataModule:
    common = {"batch_size": 32, "num_workers": 0, "split": Holdout(0.1, 0.1, 0), "leakage": "stop", "seed": 0}
    data = DigitsDataModule(classes=classes, **{**common, **changes})
    data.prepare()
    return data


def test_every_row_is_in_one_split_and_its_content_is_its_pixels() -> None:
    data = prepared()
    assert data.samples["split"].value_counts().to_dict() == {"train": 1437, "val": 180, "test": 180}
    assert data.samples["content"].nunique() == data.samples["id"].nunique() == 1797


def test_a_batch_holds_the_pixels_and_the_class_of_its_rows() -> None:
    data, digits = prepared(), load_digits()
    (position,) = data.rows("val").index[data.rows("val")["row"] == data.rows("val")["row"].max()]
    batch = data.dataset("val").__getitems__([SampleIndex(0, 0), SampleIndex(int(position), 0)])
    row = data.rows("val")["row"].max()
    assert batch["index"].tolist() == [0, position]
    assert batch["image"].shape == (2, 1, 8, 8)
    assert torch.equal(batch["image"][1, 0] * 16, torch.from_numpy(digits.images[row]).float())
    assert batch["target"][1] == digits.target[row]


def test_rows_of_other_classes_are_left_out_and_targets_follow_the_order() -> None:
    data = prepared(["7", "3"])
    assert set(data.samples["target"]) == {"3", "7"}
    batch = next(iter(data.eval_dataloader("val")))
    expected = [["7", "3"].index(name) for name in data.rows("val")["target"][: len(batch["target"])]]
    assert batch["target"].tolist() == expected


def test_without_a_file_the_state_of_what_was_read_is_known_all_the_same() -> None:
    data = prepared()
    assert data.read_from == [] and data.read_state is not None


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_row_has_a_known_slice(split: str) -> None:
    data = prepared()
    assert set(data.rows(split)["slice_ink"]) == set(data.slice_categories()["slice_ink"])


def test_the_task_is_the_main_one() -> None:
    assert prepared().classes == {MAIN: ALL}
