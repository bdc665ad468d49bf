"""Splits that the data itself lists, with those that it lacks drawn from the rows that are left to train on."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.checks import require
from hallmark.data.splits import deal


class Listed:
    """The split that the column `listed` of the samples names, "" for none; a split that no row is listed in is drawn.

    It is drawn from the rows that are listed as `train` or not at all, stratified by target, groups whole. What is not
    drawn of these is trained on.

    Args:
        val, test, calibration, meta: shares of the rows that splits are drawn from; 0 draws none.
        seed: of what is drawn.
    """

    def __init__(self, val: float, test: float, seed: int, *, calibration: float = 0.0, meta: float = 0.0) -> None:
        self.shares = {"val": val, "test": test, "calibration": calibration, "meta": meta}
        for name, share in self.shares.items():
            require(0 <= share < 1, name, share, "a share of rows in [0, 1)")
        total = sum(self.shares.values())
        require(total < 1, "meta", meta, f"shares that leave some rows to train on; all together are {total:.2g}")
        self.seed = seed

    def assign(self, samples: pd.DataFrame) -> NDArray:
        names = samples["listed"].replace("", "train").to_numpy(object, copy=True)
        lacking = {name: share for name, share in self.shares.items() if not (names == name).any()}
        deal(names, samples, lacking, int(np.count_nonzero(names == "train")), self.seed)
        return names

    def files(self) -> list:
        return []
