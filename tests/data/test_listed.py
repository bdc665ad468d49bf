import numpy as np
import pandas as pd
import pytest

from hallmark.checks import SettingError
from hallmark.data.listed import Listed


def _samples(listed: list[str]) -> pd.DataFrame:
    n = len(listed)
    return pd.DataFrame({
        "id": [str(row) for row in range(n)], "group": [str(row // 2) for row in range(n)],
        "target": ["real", "fake"] * (n // 2), "listed": listed,
    })  # fmt: skip


def test_what_is_listed_stays_and_only_what_is_missing_is_drawn_from_the_training_rows():
    samples = _samples(["train"] * 200 + ["val"] * 20 + ["test"] * 20)
    names = Listed(val=0.4, test=0.4, calibration=0.1, meta=0.05, seed=0).assign(samples)
    assert (names[200:220] == "val").all() and (names[220:] == "test").all()
    drawn = pd.Series(names[:200])
    assert drawn.value_counts().to_dict() == {"train": 170, "calibration": 20, "meta": 10}
    assert (drawn.groupby(samples["group"][:200]).nunique() == 1).all()


def test_rows_without_any_listed_split_are_all_drawn():
    names = Listed(val=0.2, test=0.2, seed=1).assign(_samples([""] * 100))
    assert pd.Series(names).value_counts().to_dict() == {"train": 60, "val": 20, "test": 20}


def test_a_split_that_is_listed_in_full_is_taken_as_it_is():
    listed = ["train"] * 4 + ["val"] * 2 + ["calibration"] * 2 + ["meta"] * 2 + ["test"] * 2
    names = Listed(val=0.1, test=0.1, calibration=0.1, meta=0.1, seed=0).assign(_samples(listed))
    np.testing.assert_array_equal(names, listed)


@pytest.mark.parametrize("shares", [{"val": 1.0, "test": 0}, {"val": 0.5, "test": 0.5}, {"val": -0.1, "test": 0}])
def test_shares_that_leave_nothing_are_refused(shares):
    with pytest.raises(SettingError):
        Listed(**shares, seed=0)


def test_lists_without_labelled_training_rows_say_so():
    with pytest.raises(ValueError, match="no labelled rows to train on"):
        Listed(val=0.15, test=0.15, seed=0).assign(pd.DataFrame({"id": [], "group": [], "target": [], "listed": []}))
