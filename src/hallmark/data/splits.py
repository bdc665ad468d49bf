"""Who trains, selects and tests: grouped, stratified, written down with a hash."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.checks import require
from hallmark.runs.metrics import MAIN
from hallmark.storage.delimited import read_table_of
from hallmark.storage.hashing import digest
from hallmark.storage.spreadsheets import unescaped

_NAMES = {"train", "val", "calibration", "meta", "test", "held_out", "predict"}
_FITTED = ("calibration", "meta")  # what is fitted on these rows needs every class


class SplitPlan(Protocol):
    """Assigns a split name to each labelled row; groups stay whole.

    The splits and their uses: `train` fits weights, `val` selects checkpoints and settings, `calibration` fits
    temperatures and thresholds, `meta` fits what is stacked upon models, and `test` is sealed.
    """

    def assign(self, samples: pd.DataFrame) -> NDArray:
        """Split names [N] for `samples` with columns id, group, target."""
        ...

    def files(self) -> list[Path] | None:
        """The files that it reads; None where that is not known."""
        ...


class _Drawn:
    def files(self) -> list[Path]:
        return []


class Holdout(_Drawn):
    """train / val / calibration / meta / test by shares of rows, stratified by target, groups whole.

    The rows of val and test are the same whatever the shares of calibration and meta, which training gives up.

    Args:
        val: share of rows that select checkpoints and settings; `test`: share that is sealed.
        calibration: share that temperatures and thresholds are fitted on; `meta`: share that stackers are fitted on.
        seed: of the split alone, so that runs with other training seeds share it.
    """

    added_later = ("calibration", "meta")

    def __init__(self, val: float, test: float, seed: int, *, calibration: float = 0.0, meta: float = 0.0) -> None:
        require(
            0 < val < 0.5, "val", val, "a share of rows in (0, 0.5); without validation rows nothing can be selected"
        )
        require(0 <= test < 0.5, "test", test, "a share of rows in [0, 0.5)")
        _check_shares(calibration, meta, 1 - val - test)
        self.val, self.test, self.seed, self.calibration, self.meta = val, test, seed, calibration, meta

    def assign(self, samples: pd.DataFrame) -> NDArray:
        names = np.full(len(samples), "train", dtype=object)
        if self.test:
            names[_carve(samples, self.test, self.seed, f"data.split.test={self.test}")] = "test"
        training = np.flatnonzero(names == "train")
        part = _carve(samples.iloc[training], self.val / (1 - self.test), self.seed, f"data.split.val={self.val}")
        names[training[part]] = "val"
        deal(names, samples, {"calibration": self.calibration, "meta": self.meta}, len(names), self.seed)
        return names


class KFold(_Drawn):
    """Fold `fold` of `folds` is the test split; `val`, `calibration` and `meta` are shares of the rest."""

    added_later = ("calibration", "meta")

    def __init__(
        self, folds: int, fold: int, val: float, seed: int, *, calibration: float = 0.0, meta: float = 0.0
    ) -> None:  # fmt: skip
        require(folds >= 2, "folds", folds, "at least 2")
        require(0 <= fold < folds, "fold", fold, f"between 0 and {folds - 1}")
        require(0 < val < 0.5, "val", val, "a share of the training rows in (0, 0.5)")
        _check_shares(calibration, meta, 1 - val)
        self.folds, self.fold, self.val, self.seed = folds, fold, val, seed
        self.calibration, self.meta = calibration, meta

    def assign(self, samples: pd.DataFrame) -> NDArray:
        names = np.full(len(samples), "train", dtype=object)
        names[_folds(samples, self.folds, self.seed, f"data.split.folds={self.folds}")[self.fold]] = "test"
        training = np.flatnonzero(names == "train")
        names[training[_carve(samples.iloc[training], self.val, self.seed, f"data.split.val={self.val}")]] = "val"
        n_outside = int((names != "test").sum())
        deal(names, samples, {"calibration": self.calibration, "meta": self.meta}, n_outside, self.seed)
        return names


class Evaluation(_Drawn):
    """calibration / meta / val / test by shares of groups, for data that nothing is trained on.

    Args:
        calibration: share of the groups that thresholds are fitted on; `test`: share that is sealed; `meta`: share
            that stackers are fitted on.
        seed: of the split alone.
    """

    added_later = ("meta",)

    def __init__(self, calibration: float, test: float, seed: int, *, meta: float = 0.0) -> None:
        require(0 <= calibration < 1, "calibration", calibration, "a share of groups in [0, 1)")
        require(0 <= test < 1 - calibration, "test", test, "a share of groups that leaves some for val")
        require(0 <= meta < 1 - calibration - test, "meta", meta, "a share of groups that leaves some for val")
        self.calibration, self.test, self.seed, self.meta = calibration, test, seed, meta

    def assign(self, samples: pd.DataFrame) -> NDArray:
        groups = np.sort(samples["group"].unique())
        drawn = np.random.default_rng(self.seed).permutation(groups)
        ends = np.rint(np.cumsum([self.calibration, self.test, self.meta]) * len(groups)).astype(int)
        names = np.full(len(samples), "val", dtype=object)
        names[samples["group"].isin(drawn[: ends[0]])] = "calibration"
        names[samples["group"].isin(drawn[ends[0] : ends[1]])] = "test"
        names[samples["group"].isin(drawn[ends[1] : ends[2]])] = "meta"
        if self.meta and len(groups) and not (names == "meta").any():
            raise ValueError(f"data.split.meta={self.meta}: less than one of {len(groups)} groups; raise it")
        return names


class FromFile:
    """A fixed split from a CSV with columns id and split (train, val, calibration, meta, test).

    The `splits.csv` of any run directory is such a file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def assign(self, samples: pd.DataFrame) -> NDArray:
        require(self.path.is_file(), "path", str(self.path), "an existing CSV file with columns id and split")
        table = unescaped(read_table_of("path", self.path, required=("id", "split")).cells)
        unknown = sorted(set(table["split"]) - _NAMES)
        require(not unknown, "path", str(self.path), f"splits among {', '.join(sorted(_NAMES))}; found {unknown[:3]}")
        twice = table.loc[table["id"].duplicated(), "id"].tolist()
        require(not twice, "path", str(self.path), f"each id once; found {twice[:3]} again")
        assigned = samples["id"].map(table.set_index("id")["split"])
        missing = samples["id"][assigned.isna()].tolist()
        require(
            not missing, "path", str(self.path), f"a split for every row; {len(missing)} lack one, e.g. {missing[:3]}"
        )
        return assigned.to_numpy(object)

    def files(self) -> list[Path]:
        return [self.path]


class InnerFold:
    """Fold `fold` of the training rows of `outer` is `held_out`; validation stays, test is left out.

    The union of the `held_out` predictions over all folds is out-of-fold for the training split.
    """

    def __init__(self, outer: SplitPlan, folds: int, fold: int, seed: int) -> None:
        require(folds >= 2, "folds", folds, "at least 2")
        require(0 <= fold < folds, "fold", fold, f"between 0 and {folds - 1}")
        self.outer, self.folds, self.fold, self.seed = outer, folds, fold, seed

    def assign(self, samples: pd.DataFrame) -> NDArray:
        names = self.outer.assign(samples)
        training = np.flatnonzero(names == "train")
        held_out = _folds(samples.iloc[training], self.folds, self.seed, f"out_of_fold.folds={self.folds}")[self.fold]
        names[training[held_out]] = "held_out"
        return names

    def files(self) -> list[Path] | None:
        return self.outer.files()


def target_column(task: str) -> str:
    """The column of a sample table that holds the labels of `task`."""
    return "target" if task == MAIN else f"target_{task}"


def check_splits(samples: pd.DataFrame, classes: Mapping[str, Sequence[str]]) -> None:
    """Raise ValueError unless train and val hold rows, and train every class of every task.

    So must calibration and meta where they hold any.

    `samples` needs the column split and a target column for each task.
    """
    for task in classes:
        present = sorted(samples[target_column(task)].dropna().unique())
        if len(present) < 2:
            of_task = "" if task == MAIN else f" of {task}"
            listed = ", ".join(present) or "none"
            raise ValueError(f"data: only one class{of_task} ({listed}) in {len(samples)} rows; a classifier needs two")
    for split in ("train", "val"):
        if not (samples["split"] == split).any():
            raise ValueError(f"data.split: no rows in {split}; give it a larger share or more data")
    for split in ("train", *_FITTED):
        rows = samples[samples["split"] == split]
        for task, names in classes.items():
            absent = set(names) - set(rows[target_column(task)])
            if absent and split == "train":
                raise ValueError(f"data.split: class {', '.join(sorted(absent))} has no training row; "
                                 "drop it from data.classes or choose another data.split.seed")  # fmt: skip
            if absent and len(rows):
                listed = ", ".join(sorted(absent))
                raise ValueError(f"data.split: class {listed} has no row in {split}, where something is fitted; "
                                 f"give data.split.{split} a larger share, or choose another seed")  # fmt: skip


def split_summary(samples: pd.DataFrame) -> dict[str, dict[str, object]]:
    """{split: {n, groups, hash of its ids}} for the record."""
    return {
        str(name): {"n": len(rows), "groups": rows["group"].nunique(), "hash": digest(sorted(rows["id"]))}
        for name, rows in samples.groupby("split", sort=True)
    }


def _carve(samples: pd.DataFrame, share: float, seed: int, typed: str) -> NDArray:
    # The nearest m / k with few folds k, because each fold needs a group; a share of 0.4 is 2 folds of 5.
    most = max(min(10, samples["group"].nunique()), ceil(1 / share), ceil(1 / (1 - share)))
    part = Fraction(share).limit_denominator(most)
    return np.concatenate(_folds(samples, part.denominator, seed, typed)[: part.numerator])


def _check_shares(calibration: float, meta: float, left: float) -> None:
    """Raise `SettingError` unless they leave some of the share `left` to train on."""
    for name, share, most in (("calibration", calibration, left), ("meta", meta, left - calibration)):
        expected = f"a share of rows in [0, {most:.2g}), so that some are left to train on"
        require(0 <= share < most - 1e-9, name, share, expected)


def deal(names: NDArray, samples: pd.DataFrame, shares: Mapping[str, float], n: int, seed: int) -> None:
    """Give each of `shares` of `n` rows its part of the training rows in `names`."""
    shares = {name: share for name, share in shares.items() if share}
    if not shares:
        return
    training = np.flatnonzero(names == "train")
    if not len(training):
        raise ValueError("data.split: no labelled rows to train on; a list of training rows is empty, or has no labels")
    rows = samples.iloc[training]
    sizes = np.array([*(share * n for share in shares.values()), len(rows) - sum(shares.values()) * n])
    groups = f"{rows['group'].nunique()} groups that are not in val or test"
    if sizes[-1] < 1:
        raise ValueError(f"data.split: {' and '.join(shares)} leave none of the {groups} to train on")
    part_of = _stratified_groups(rows["target"].to_numpy(), rows["group"].to_numpy(), sizes / len(rows), seed)
    for part, (name, share) in enumerate(shares.items()):
        if not (part_of == part).any():
            raise ValueError(f"data.split.{name}={share}: less than one of the {groups}; give it a larger share")
        names[training[part_of == part]] = name


def _folds(samples: pd.DataFrame, folds: int, seed: int, typed: str) -> list[NDArray]:
    """The positions of the rows of each fold; `typed` is the setting that asks for them."""
    groups = samples["group"].nunique()
    if groups < folds:
        raise ValueError(f"{typed}: takes {folds} groups or more; found {groups} in {len(samples)} rows")
    class_sizes = samples["target"].value_counts()
    if (class_sizes < folds).all():
        present = ", ".join(f"{n} of {name}" for name, n in class_sizes.head(10).items())
        raise ValueError(f"{typed}: takes {folds} rows of some class or more; found {present}")
    fold_of = _stratified_groups(samples["target"].to_numpy(), samples["group"].to_numpy(), np.ones(folds), seed)
    held = [np.flatnonzero(fold_of == fold) for fold in range(folds)]
    assert all(map(len, held))
    return held


def _stratified_groups(target: NDArray, group: NDArray, parts: NDArray, seed: int) -> NDArray:
    """The fold [N] of each row, as scikit-learn's `StratifiedGroupKFold` shuffled by `seed`, ties included.

    Groups are dealt out in the order of how uneven their classes are, each to the fold where it leaves the classes
    spread most evenly. Here all folds are proposed at once, in a tenth of the time, and a fit waits for no import.

    Args:
        parts: [folds] how large the folds are to be, in proportion; ones for folds of one size.
    """
    folds = len(parts)
    _, class_of, class_sizes = np.unique(target, return_inverse=True, return_counts=True)
    names, group_of = np.unique(group, return_inverse=True)
    counts = np.zeros((len(names), len(class_sizes)))  # [group, class]
    np.add.at(counts, (group_of, class_of), 1)
    shuffled = np.arange(len(names))
    np.random.RandomState(seed).shuffle(shuffled)
    in_folds = np.zeros((folds, len(class_sizes)))  # [fold, class]
    fold_of_group = np.empty(len(names), int)
    for position in shuffled[np.argsort(-counts[shuffled].std(axis=1), kind="stable")]:
        proposed = in_folds + np.eye(folds)[:, :, None] * counts[position]  # [proposal, fold, class]
        spread = np.std(proposed / class_sizes / parts[:, None], axis=1).mean(axis=1).tolist()
        sizes = (in_folds.sum(axis=1) / parts).tolist()
        best = 0
        for fold in range(1, folds):
            alike = abs(spread[fold] - spread[best]) <= 1e-8 + 1e-5 * abs(spread[best])  # as numpy.isclose
            if spread[fold] < spread[best] or (alike and sizes[fold] < sizes[best]):
                best = fold
        in_folds[best] += counts[position]
        fold_of_group[position] = best
    return fold_of_group[group_of]
