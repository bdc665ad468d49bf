"""What is measured of pictures: energy by hand, and numbers that a bad generator cannot pass together."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import LightningModule
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from torch import Tensor
from torch.nn import Dropout
from torch.nn.functional import avg_pool2d, pad

from hallmark.learning.generation import measured, nyquist_energy, pictures_table
from hallmark.statistics import Resampling, all_intervals, metric_names, table_metrics, two_sets_note

CLASSES = [str(number) for number in range(10)]
N_TRAIN = 1200


def board(size: int, period: int) -> Tensor:
    """A picture [1, 1, H, W] of stripes of 0 and 1, each half a period wide, both ways."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    half = period // 2
    return ((rows // half + columns // half) % 2).float()[None, None]


def test_energy_by_hand() -> None:
    """A checkerboard is a frequency of 1/2 with all of its variance, 1/4; that of period 4 has most of it at 1/4."""
    stripes = (torch.arange(8) % 2).float().expand(8, 8)[None, None]
    assert nyquist_energy(board(8, 2)).item() == pytest.approx(0.25)
    assert nyquist_energy(stripes).item() == nyquist_energy(stripes.mT).item() == pytest.approx(0.25)
    assert nyquist_energy(0.5 + 0.1 * (2 * board(8, 2) - 1)).item() == pytest.approx(0.01)
    assert nyquist_energy(torch.full((1, 3, 7, 9), 0.7)).item() == pytest.approx(0, abs=1e-12)
    wave = torch.cos(2 * math.pi * torch.arange(16) / 4).expand(16, 16)[None, None]
    assert nyquist_energy(wave).item() == pytest.approx(0, abs=1e-9)
    assert nyquist_energy(torch.cat([board(8, 2), torch.zeros(1, 1, 8, 8)], dim=1)).item() == pytest.approx(0.125)


def test_of_white_noise_it_is_the_share_of_such_frequencies() -> None:
    """Of 16 frequencies a side 11 are below 3/8: 0 and up to 5/16 of either sign."""
    noise = torch.randn(400, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert nyquist_energy(noise).mean().item() == pytest.approx(1 - (11 / 16) ** 2, rel=0.02)


class Digits(SimpleNamespace):
    """Training rows and held-out ones of scikit-learn's digits, as a data module gives them."""

    def __init__(self) -> None:
        bunch = load_digits()
        order = np.random.default_rng(0).permutation(len(bunch.target))
        self.image = torch.tensor(bunch.images[order] / 16, dtype=torch.float32)[:, None]
        self.target = torch.tensor(bunch.target[order])
        names = np.array(CLASSES, dtype=object)[bunch.target[order]]
        number = [f"row {index}" for index in range(len(names))]
        frame = pd.DataFrame({"id": number, "group": number, "target": names, "info_path": "x.png"})
        self.frames = {"train": frame[:N_TRAIN], "val": frame[N_TRAIN:]}
        self.read: list[str] = []

    def rows(self, split: str) -> pd.DataFrame:
        return self.frames[split].reset_index(drop=True)

    def slice_categories(self) -> dict[str, list[str]]:
        return {}

    def batch(self, split: str) -> dict[str, Tensor]:
        part = slice(N_TRAIN) if split == "train" else slice(N_TRAIN, None)
        return {"image": self.image[part], "target": self.target[part]}

    def eval_dataloader(self, split: str) -> list[dict[str, Tensor]]:
        self.read.append(split)
        batch = self.batch(split)
        return [
            {name: value[start : start + 500] for name, value in batch.items()}
            for start in range(0, len(batch["target"]), 500)
        ]


@pytest.fixture(scope="module")
def data() -> Digits:
    return Digits()


@pytest.fixture(scope="module")
def judge(data: Digits) -> Callable[[Tensor], Tensor]:
    batch = data.batch("train")
    model = SVC(C=10, gamma=0.02).fit(16 * batch["image"].flatten(1).numpy() / 4, batch["target"])
    return lambda image: torch.tensor(model.decision_function(16 * image.flatten(1).numpy() / 4))


def features(image: Tensor) -> Tensor:
    """Of pixels, 24 numbers: fewer than half the rows."""
    return image.flatten(1) @ torch.randn(64, 24, generator=torch.Generator().manual_seed(0))


Drawing = Callable[[Digits, dict[str, Tensor]], Tensor]


def itself(data: Digits, batch: dict[str, Tensor]) -> Tensor:
    return batch["image"]


def blurred(data: Digits, batch: dict[str, Tensor]) -> Tensor:
    return avg_pool2d(pad(batch["image"], (1, 1, 1, 1), mode="replicate"), 3, stride=1)


def of_training_rows(data: Digits, batch: dict[str, Tensor]) -> Tensor:
    """A training picture of the class for each, another one each time."""
    train, rng = data.batch("train"), np.random.default_rng(0)
    pools = [rng.permutation(np.flatnonzero(train["target"] == number)) for number in range(10)]
    counts = [0] * 10
    drawn = []
    for number in batch["target"].tolist():
        drawn.append(pools[number][counts[number] % len(pools[number])])
        counts[number] += 1
    return train["image"][np.array(drawn)]


def one_of_a_class(data: Digits, batch: dict[str, Tensor]) -> Tensor:
    first = torch.stack([batch["image"][batch["target"] == number][0] for number in range(10)])
    return first[batch["target"]]


def table(data: Digits, judge: Callable[[Tensor], Tensor], drawing: Drawing, split: str = "val") -> pd.DataFrame:
    batch = data.batch(split)
    outputs = measured(batch["image"], drawing(data, batch), features=features, judge=judge)
    module: Any = LightningModule()
    module.dropout = Dropout().eval()
    frame = pictures_table(
        module, [outputs], data, split, features=lambda batch: features(batch["image"]), classes=CLASSES,  # type: ignore[arg-type]
        extractor="random projection",
    )  # fmt: skip
    assert module.training and not module.dropout.training
    return frame


def failures(table: pd.DataFrame) -> set[str]:
    values = table_metrics(table)["main"]
    passed = {
        "judge_accuracy": values["judge_accuracy"] >= 0.95, "diversity": values["diversity"] >= 0.7,
        "nyquist_energy": 0.4 <= values["nyquist_energy"] <= 1.2, "frechet_ratio": values["frechet_ratio"] <= 5,
        "copies": values["copies"] <= 0.02,
    }  # fmt: skip
    return {name for name, is_passed in passed.items() if not is_passed}


@pytest.mark.parametrize(
    ("drawing", "failed"),
    [(itself, set()), (blurred, {"nyquist_energy"}), (of_training_rows, {"copies"}), (one_of_a_class, {"diversity"})],
)
def test_no_bad_generator_passes_all(data: Digits, judge: Any, drawing: Drawing, failed: set[str]) -> None:
    assert failures(table(data, judge, drawing)) >= failed
    assert drawing is not itself or not failures(table(data, judge, drawing))


def test_pictures_have_all_numbers_with_intervals_and_the_extractor_is_named(data: Digits, judge: Any) -> None:
    frame = table(data, judge, blurred)
    names = metric_names(frame, None)
    assert {"kernel_distance", "neighbor_density", "fake_trained_accuracy", "copies"} <= set(names)
    assert "Features: random projection." in two_sets_note(frame)
    values = table_metrics(frame)["main"]
    assert set(values) == {*names, "n"} and all(value is not None for value in values.values())
    intervals = all_intervals(frame, names, resampling=Resampling(0.95, 100, 0))
    for name, interval in intervals.items():
        assert interval.estimate == pytest.approx(values[name]), name
        assert interval.low <= interval.estimate <= interval.high, name
    assert {*frame["prediction"]} <= {*CLASSES} and frame["info_path"].notna().all()


def test_training_rows_alone_are_read_for_copies(data: Digits, judge: Any) -> None:
    data.read.clear()
    frame = table(data, judge, itself)
    assert data.read == ["train"]
    train, real = data.batch("train")["image"], data.batch("val")["image"]
    expected = torch.cdist(features(real).double(), features(train).double()).min(dim=1).values
    nearest = frame.loc[frame["kind"] == "real", "train_distance"].to_numpy()
    assert nearest == pytest.approx(expected.numpy(), rel=1e-4)
    data.read.clear()
    of_train = table_metrics(table(data, judge, itself, split="train"))["main"]
    assert data.read == [] and of_train["copies"] is None and of_train["diversity"] == pytest.approx(1)


def test_halves_of_few_rows_are_said_to_be_too_rough(data: Digits, judge: Any) -> None:
    frame = table(data, judge, itself)
    few = frame[frame["id"].str.removesuffix(":generated").isin(frame["id"].iloc[:40])]
    assert "20 rows have features of 24 numbers" in two_sets_note(few)
    assert "too rough" not in two_sets_note(frame)


def test_the_order_of_rows_changes_no_number(data: Digits, judge: Any) -> None:
    frame = table(data, judge, blurred)
    shuffled = frame.sample(frac=1, random_state=1)
    assert table_metrics(shuffled)["main"] == pytest.approx(table_metrics(frame)["main"])
