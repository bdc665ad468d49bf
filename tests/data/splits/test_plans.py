"""Split plans keep groups whole, classes balanced and shares as asked, and depend on rows and seed alone."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold
from tests.data.splits.table import CLASSES, rows

from hallmark.checks import SettingError
from hallmark.data.splits import Evaluation, Holdout, InnerFold, KFold, check_splits
from hallmark.runs.metrics import MAIN


def shares(names: np.ndarray) -> dict[str, float]:
    return pd.Series(names).value_counts(normalize=True).to_dict()


PLANS = [Holdout(0.15, 0.2, 0), KFold(5, 2, 0.2, 0), InnerFold(Holdout(0.15, 0.2, 0), 4, 1, 0)]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: type(plan).__name__)
def test_groups_stay_whole_and_classes_stay_balanced(plan) -> None:
    samples = rows()
    names = plan.assign(samples)
    assert samples.assign(split=names).groupby("group")["split"].nunique().max() == 1
    overall = samples["target"].value_counts(normalize=True)
    for split in set(names):
        within = samples.loc[names == split, "target"].value_counts(normalize=True)
        assert (within - overall).abs().max() < 0.04, split


def of_seed(seed: int) -> list:
    return [Holdout(0.15, 0.2, seed), KFold(5, 2, 0.2, seed), InnerFold(Holdout(0.15, 0.2, 0), 4, 1, seed)]


@pytest.mark.parametrize("which", range(3))
def test_the_seed_decides_the_split(which: int) -> None:
    samples = rows()
    first = of_seed(1)[which].assign(samples)
    np.testing.assert_array_equal(first, of_seed(1)[which].assign(samples))
    assert (first != of_seed(2)[which].assign(samples)).any()


@settings(max_examples=15, deadline=None)
@given(st.floats(0.05, 0.49), st.floats(0.0, 0.49).filter(lambda test: test == 0 or test > 0.04), st.integers(0, 99))
def test_shares_are_about_those_asked_for(val: float, test: float, seed: int) -> None:
    fractions = shares(Holdout(val, test, seed).assign(rows(n=400, seed=seed)))
    assert abs(fractions["val"] - val) < 0.04
    assert abs(fractions.get("test", 0.0) - test) < 0.04


@pytest.mark.parametrize("val", [0.1, 0.25, 0.3, 0.4, 0.45])
def test_shares_that_are_no_whole_number_of_folds(val: float) -> None:
    assert shares(Holdout(val, 0.0, 0).assign(rows()))["val"] == pytest.approx(val, abs=0.02)


USES = {"calibration": 0.15, "meta": 0.2}


HOLDOUT = Holdout(0.15, 0.2, 0, **USES)


ALL_USES = [HOLDOUT, KFold(5, 2, 0.2, 0, **USES), InnerFold(HOLDOUT, 3, 1, 0)]


@pytest.mark.parametrize("plan", ALL_USES, ids=lambda plan: type(plan).__name__)
def test_one_plan_has_rows_for_every_use(plan) -> None:
    samples = rows()
    names = plan.assign(samples)
    assert {"train", "val", "calibration", "meta"} <= set(names)
    assert samples.assign(split=names).groupby("group")["split"].nunique().max() == 1
    overall = samples["target"].value_counts(normalize=True)
    for split in set(names):
        within = samples.loc[names == split, "target"].value_counts(normalize=True)
        assert (within - overall).abs().max() < 0.06, split
    check_splits(samples.assign(split=names), {MAIN: CLASSES})


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.05, 0.3), st.floats(0.05, 0.3), st.integers(60, 300), st.sampled_from([1, 2, 5]), st.integers(0, 99),
    st.booleans(),
)  # fmt: skip
def test_further_shares_are_taken_from_train_alone(calibration, meta, n, group_size, seed, folded) -> None:
    assume(min(calibration, meta) * 0.75 * n >= 2 * group_size)
    samples = rows(n, group_size, seed)
    uses = {"calibration": calibration, "meta": meta}
    less, more = (
        (KFold(4, 1, 0.15, seed, **each) if folded else Holdout(0.15, 0.2, seed, **each)).assign(samples)
        for each in ({}, uses)
    )
    moved = less != more
    assert set(less[moved]) == {"train"} and set(more[moved]) == {"calibration", "meta"}
    of = (less != "test").sum() if folded else n
    largest = samples["group"].value_counts().max()
    for name, share in uses.items():
        assert abs((more == name).sum() - share * of) <= 2 * largest
        # A class of which several groups are due is never left out.
        due = {cls for cls in CLASSES if share * (samples["target"] == cls).sum() >= 2 * group_size}
        assert due <= set(samples["target"][more == name])


def test_shares_of_0_are_the_plan_without_them() -> None:
    samples = rows()
    np.testing.assert_array_equal(
        Holdout(0.15, 0.2, 3, calibration=0.0, meta=0.0).assign(samples), Holdout(0.15, 0.2, 3).assign(samples)
    )
    np.testing.assert_array_equal(
        Evaluation(0.3, 0.3, 0, meta=0.0).assign(samples), Evaluation(0.3, 0.3, 0).assign(samples)
    )
    assert set(Evaluation(0.3, 0.3, 0, meta=0.2).assign(samples)) == {"calibration", "meta", "test", "val"}


def test_without_a_test_share_no_row_is_sealed() -> None:
    assert set(Holdout(0.2, 0.0, 0).assign(rows())) == {"train", "val"}


@pytest.mark.parametrize("group_size", [1, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_folds_are_those_of_scikit_learn(group_size: int, seed: int) -> None:
    samples = rows(200, group_size=group_size, seed=seed)
    plain = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    folds = [test for _, test in plain.split(samples, samples["target"], samples["group"])]
    for fold, expected in enumerate(folds):
        names = KFold(folds=5, fold=fold, val=0.1, seed=seed).assign(samples)
        assert np.flatnonzero(names == "test").tolist() == expected.tolist()


def test_test_folds_partition_the_rows() -> None:
    samples = rows()
    folds = [KFold(4, fold, 0.2, 3).assign(samples) for fold in range(4)]
    tested = np.sum([names == "test" for names in folds], axis=0)
    assert (tested == 1).all()
    for names in folds:
        assert shares(names)["test"] == pytest.approx(0.25, abs=0.02)
        assert shares(names)["val"] == pytest.approx(0.75 * 0.2, abs=0.02)


def test_inner_folds_partition_train_and_leave_val_and_test_alone() -> None:
    samples, outer = rows(), Holdout(0.15, 0.2, 0)
    assigned = outer.assign(samples)
    folds = [InnerFold(outer, 3, fold, 5).assign(samples) for fold in range(3)]
    held = np.array([names == "held_out" for names in folds])
    np.testing.assert_array_equal(held.sum(axis=0), (assigned == "train").astype(int))
    for names, out in zip(folds, held, strict=True):
        np.testing.assert_array_equal(names[~out], assigned[~out])


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 0.6), st.floats(0, 0.39), st.integers(1, 60), st.integers(0, 9))
def test_shares_of_groups_for_data_that_nothing_is_trained_on(calibration, test, groups, seed) -> None:
    samples = rows(n=3 * groups, group_size=3, seed=seed)
    names = Evaluation(calibration, test, seed).assign(samples)
    of_group = samples.assign(split=names).groupby("group")["split"].agg(["nunique", "first"])
    assert (of_group["nunique"] == 1).all()
    counts = of_group["first"].value_counts()
    assert set(counts.index) <= {"calibration", "val", "test"}
    ends = round(calibration * groups), round((calibration + test) * groups)  # halves to the even one, as numpy's
    assert (counts.get("calibration", 0), counts.get("test", 0)) == (ends[0], ends[1] - ends[0])


def test_a_share_of_meta_rows_that_is_no_group_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.split\.meta=0\.1: less than one of 3 groups"):
        Evaluation(0.1, 0.1, 0, meta=0.1).assign(rows(n=60, group_size=20))


def test_an_evaluation_split_depends_on_groups_and_seed_alone() -> None:
    samples = rows(n=90, group_size=3)
    by_group = dict(zip(samples["group"], Evaluation(0.3, 0.3, 7).assign(samples), strict=True))
    fewer = samples.drop_duplicates("group").sample(frac=1, random_state=0).reset_index(drop=True).assign(target="x")
    assert Evaluation(0.3, 0.3, 7).assign(fewer).tolist() == [by_group[group] for group in fewer["group"]]
    assert (Evaluation(0.3, 0.3, 8).assign(samples) != Evaluation(0.3, 0.3, 7).assign(samples)).any()
    assert set(Evaluation(0.0, 0.0, 0).assign(samples)) == {"val"}
    assert Evaluation(0.3, 0.3, 0).assign(samples.iloc[:0]).tolist() == []


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Evaluation(1.0, 0.0, 0), "calibration"),
        (lambda: Evaluation(-0.1, 0.0, 0), "calibration"),
        (lambda: Evaluation(0.5, 0.5, 0), "test"),
        (lambda: Evaluation(0.0, -0.1, 0), "test"),
        (lambda: Evaluation(0.3, 0.3, 0, meta=0.4), "meta"),
        (lambda: Holdout(0.2, 0.2, 0, calibration=0.6), "calibration"),
        (lambda: Holdout(0.2, 0.2, 0, calibration=-0.1), "calibration"),
        (lambda: Holdout(0.2, 0.2, 0, calibration=0.3, meta=0.3), "meta"),
        (lambda: KFold(5, 0, 0.2, 0, calibration=0.8), "calibration"),
        (lambda: KFold(5, 0, 0.2, 0, calibration=0.3, meta=0.5), "meta"),
        (lambda: Holdout(0.0, 0.1, 0), "val"),
        (lambda: Holdout(0.5, 0.1, 0), "val"),
        (lambda: Holdout(0.1, 0.5, 0), "test"),
        (lambda: Holdout(0.1, -0.1, 0), "test"),
        (lambda: KFold(1, 0, 0.1, 0), "folds"),
        (lambda: KFold(5, 5, 0.1, 0), "fold"),
        (lambda: KFold(5, -1, 0.1, 0), "fold"),
        (lambda: KFold(5, 0, 0.0, 0), "val"),
        (lambda: InnerFold(Holdout(0.1, 0.1, 0), 1, 0, 0), "folds"),
        (lambda: InnerFold(Holdout(0.1, 0.1, 0), 3, 3, 0), "fold"),
        (lambda: InnerFold(Holdout(0.1, 0.1, 0), 3, -1, 0), "fold"),
    ],
)
def test_nonsense_names_its_key(build: Callable[[], object], key: str) -> None:
    with pytest.raises(SettingError) as caught:
        build()
    assert caught.value.key == key


def test_too_few_groups_are_said_so() -> None:
    samples = rows(n=40, group_size=10)
    with pytest.raises(ValueError, match=r"data\.split\.test=0\.1: .*10 groups.*found 4 in 40 rows"):
        Holdout(0.1, 0.1, 0).assign(samples)


def test_classes_too_small_for_a_share_are_named_with_their_rows() -> None:
    samples = rows(n=20).assign(target=["a"] * 5 + ["b"] * 9 + ["c"] * 6)
    for plan, setting in ((Holdout(0.1, 0, 0), r"val=0\.1"), (KFold(10, 0, 0.1, 0), "folds=10")):
        with pytest.raises(ValueError, match=rf"data\.split\.{setting}: .*9 of b, 6 of c, 5 of a"):
            plan.assign(samples)


def test_a_share_of_less_than_a_group_is_said_so() -> None:
    samples = rows(n=100, group_size=5)
    with pytest.raises(ValueError, match=r"data\.split\.meta=0\.01: less than one of the 1\d groups"):
        Holdout(0.1, 0.1, 0, meta=0.01).assign(samples)
