"""Rows to be split."""

import numpy as np
import pandas as pd

CLASSES = ["negative", "neutral", "positive"]
SHARES = [0.5, 0.3, 0.2]


def rows(n: int = 600, group_size: int = 2, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    groups = rng.permutation(n) // group_size
    return pd.DataFrame({
        "id": [f"r{number}" for number in range(n)],
        "group": [f"g{group}" for group in groups],
        "target": rng.choice(CLASSES, n, p=SHARES),
    })  # fmt: skip
