"""A data module whose test split cannot be touched, importable by the worker processes of a sweep."""

from typing import Any

import pandas as pd
from torch.utils.data import DataLoader, Dataset

from hallmark.data.sampling import Transform
from hallmark.systems.sentiment.data import PairDataModule


class Untouchable(PairDataModule):
    """Whatever reads a test row through it fails."""

    def dataset(self, split: str, transform: Transform | None = None) -> Dataset:
        return super().dataset(_untested(split), transform)

    def eval_dataloader(self, split: str, transform: Transform | None = None) -> DataLoader[Any]:
        return super().eval_dataloader(_untested(split), transform)

    def rows(self, split: str) -> pd.DataFrame:
        return super().rows(_untested(split))

    def texts(self, split: str) -> list[str]:
        return super().texts(_untested(split))


def _untested(split: str) -> str:
    assert split != "test", "a test row was read"
    return split
