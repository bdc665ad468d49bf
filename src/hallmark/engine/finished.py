"""A finished run, with what made it: data, weights, predictions of any split."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import pandas as pd
from lightning import Trainer

from hallmark.checks import require
from hallmark.data.module import DataModule
from hallmark.data.perturb import transform_name
from hallmark.data.sampling import Transform
from hallmark.engine.config.trust import NO_TRUST, Trust
from hallmark.engine.job import Job
from hallmark.engine.messages import print_warnings
from hallmark.engine.origins import foreign_weights
from hallmark.engine.predict import load_weights, predict_split, predicted, recorded_calls
from hallmark.engine.refits import refit_fold
from hallmark.engine.setup import build_module, build_predictor, prepare_data
from hallmark.learning.module import PredictingModule, TrainingFreeModule
from hallmark.runs.access import LabelledRows
from hallmark.runs.fitted import check_fitted
from hallmark.runs.metrics import OUT_OF_FOLD, TEST
from hallmark.runs.predictions import read_predictions, write_predictions
from hallmark.runs.repeats import RepeatSet
from hallmark.runs.run import Run
from hallmark.runs.seal import OpenTestAccess, SealedError, seal_of
from hallmark.statistics.tables import table_metrics


@dataclass
class FinishedRun:
    """A finished run, with what made it built on demand and at most once.

    Attributes:
        folds: of the training rows, for out-of-fold predictions.
        access: the right to read the test split, from `open_split`; None for the sealed run that it is at first.
        trust: what the run's configuration may use beside Hallmark's own classes and its own folder.
        inputs: new files, which are predicted instead of the rows that it was made on.
    """

    run: Run
    folds: int
    access: OpenTestAccess | None = None
    trust: Trust = NO_TRUST
    inputs: Sequence[Path] | None = None

    @cached_property
    def job(self) -> Job:
        return Job.reopened(self.run, self.trust)

    @cached_property
    def data(self) -> DataModule:
        if self.inputs is not None:
            return prepare_data(self.job, self.inputs)
        data = prepare_data(self.job)
        if data.fingerprint != self.run.record.provenance.data:
            raise ValueError(
                f"{self.run.directory}: the data in {data.metadata()['source']} is no longer what the run was made on; "
                "restore it, or train again with rerun=true"
            )
        return data

    @cached_property
    def module(self) -> PredictingModule:
        data = self.data
        try:
            module = build_module(self.job, data)
        except ValueError as error:
            record = self.run.record
            if record.provenance.code == self.job.code:
                raise
            raise ValueError(
                f"{self.run.directory}: made with other code, whose settings do not fit any more ({error}); "
                f"check out commit {record.git['commit']}, or train again with rerun=true"
            ) from error
        record = self.run.record
        if not record.warnings:  # as in a run that was made before there were any
            record.warnings = foreign_weights(self.job, module, data)
            if self.inputs is None:  # of new files it is said with the answers
                print_warnings(record)
        if isinstance(module, TrainingFreeModule):
            check_fitted(self.run.directory, record)
            module.attach_run(self.run.directory)
        else:
            load_weights(module, self.run.best)
        return module.eval()

    @cached_property
    def trainer(self) -> Trainer:
        return build_predictor(self.job)

    @cached_property
    def quiet_trainer(self) -> Trainer:
        """Without a progress bar, for the many passes of one analysis."""
        return build_predictor(self.job, progress=False)

    @property
    def history(self) -> pd.DataFrame:
        return self.run.history

    def configured_data(self) -> DataModule:
        """The data module, told what the model reads."""
        _ = self.module  # building it tells the data
        return self.data

    def load(self) -> tuple[DataModule, PredictingModule]:
        return self.data, self.module

    def predictions(self, split: str) -> pd.DataFrame:
        """The stored table of `split`, computed first where there is none.

        Raises:
            SealedError: the test split, and the seal was not opened for this run.
            SettingError: stored predictions out of fold are of another number of folds.
        """
        path = self.run.directory / "predictions" / f"{split}.parquet"
        access = self._granted() if split == TEST else None
        if split == OUT_OF_FOLD:
            return self._out_of_fold(path)
        if path.exists():
            table = read_predictions(path)
        else:
            table = predict_split(self.run, self.trainer, self.module, self.data, split)
        if access is not None:
            access.record(self.run, table_metrics(table))
        return table

    def transformed(self, split: str, transform: Transform) -> pd.DataFrame:
        """Predictions of `split` with inputs as in `transform`; they are not stored.

        Raises:
            SealedError: the test split, and the seal was not opened for this run.
        """
        if split == TEST:
            self._granted()
        with recorded_calls(self.run, self.module, f"{split}, {transform_name(transform) or 'another view'}"):
            return predicted(self.quiet_trainer, self.module, self.data, split, transform)

    def _granted(self) -> OpenTestAccess:
        if self.access is None:
            raise SealedError(
                f"{self.run.directory}: the test split is sealed; only evaluate.py run=... split=test opens it, once"
            )
        return self.access

    def _out_of_fold(self, path: Path) -> pd.DataFrame:
        """Predictions of the training rows by models that did not see them; from `path` where they were stored.

        Refits the run on grouped folds of its training rows. Each fold is a run of its own below
        `<run>/out_of_fold/`, so that an interrupted refit goes on; the validation rows select its checkpoint.
        """
        if path.exists():
            counts = {int(fold.name.partition("-of-")[2]) for fold in (self.run.directory / OUT_OF_FOLD).glob("*-of-*")}
            expected = (
                f"{' or '.join(map(str, sorted(counts)))}, as {path} was made with; without that file it is made again"
            )
            require(not counts or self.folds in counts, "out_of_fold.folds", self.folds, expected)
            return read_predictions(path)
        rows = self.data.row_contents("train")
        tables = []
        for fold in range(self.folds):
            refit = refit_fold(self.job, fold=fold, folds=self.folds, rows=rows, content=self.data.content)
            tables.append(FinishedRun(refit, self.folds, trust=self.trust).predictions("held_out"))
        pooled = pd.concat(tables, ignore_index=True).assign(split=OUT_OF_FOLD)
        pooled.attrs = tables[0].attrs
        write_predictions(path, pooled)
        self.run.add_metrics(OUT_OF_FOLD, table_metrics(pooled))
        return pooled


@dataclass
class FinishedSet:
    """A finished set of repeats as one: each run is predicted, and their tables are pooled.

    Attributes:
        runs: its members in order, opened.
    """

    repeats: RepeatSet
    runs: Sequence[FinishedRun]

    @property
    def history(self) -> pd.DataFrame:
        """Empty: its runs have one each."""
        return pd.DataFrame()

    def configured_data(self) -> DataModule:
        """The data module of the first run, told what the model reads."""
        return self.runs[0].configured_data()

    def load(self) -> NoReturn:
        raise ValueError(f"run={self.repeats.directory}: this analysis needs one model; give one run of the set")

    def predictions(self, split: str) -> pd.DataFrame:
        """The pooled tables of `split`, computed first where a run has none."""
        for run in self.runs:
            run.predictions(split)
        self.repeats.write_summary()  # which of its runs predict the same shows on all splits
        return self.repeats.predictions(split)

    def transformed(self, split: str, transform: Transform) -> pd.DataFrame:
        return self.repeats.pooled([run.transformed(split, transform) for run in self.runs])


@contextmanager
def open_split(
    runs: Sequence[Run], split: str, *, folds: int, reason: str | None = None, trust: Trust = NO_TRUST
) -> Iterator[list[FinishedRun]]:
    """`runs` with the right to read `split`; for the test split that breaks the seal, once for all of them.

    The access record is written before anything is read; what can go wrong without reading is found out before.

    Raises:
        SealedError: the test split was opened before and no reason is given.
        ValueError: other data or code than a run was made on, no rows in the test split, weights or a calibration that
            cannot be read.
    """
    finished = [FinishedRun(run, folds, trust=trust) for run in runs]
    if split != TEST:
        yield finished
        return
    for run in finished:
        run.data.rows(TEST)
        if not (run.run.directory / "predictions" / f"{TEST}.parquet").exists():
            _ = run.module  # weights, networks and calibration are read now
        if LabelledRows.read(run.run.directory) is None:  # a run of a version that did not store them
            run.data.write_splits(run.run.directory)
    seals = {(seal.path, seal.name) for seal in map(seal_of, runs)}
    assert len(seals) == 1, "one access is to one data set by one experiment"
    with seal_of(*runs).opened(runs, reason=reason) as access:
        try:
            for run in finished:
                run.access = access
            yield finished
        finally:
            for run in finished:
                run.access = None


def predict_out_of_fold(run: Run, folds: int, trust: Trust) -> None:
    """Predict the training rows of `run` out of fold and store them, unless they are stored."""
    with run.locked():
        FinishedRun(run, folds, trust=trust).predictions(OUT_OF_FOLD)


def sealed_tables(
    runs: Sequence[Run], *, reason: str | None = None, trust: Trust = NO_TRUST
) -> list[pd.DataFrame]:  # fmt: skip
    """Test predictions of `runs` for a script: those of an earlier access to these very runs, or of a new access.

    Raises:
        SealedError: the test split was opened for other runs and no reason is given.
    """
    paths = [run.directory / "predictions" / f"{TEST}.parquet" for run in runs]
    if all(path.exists() for path in paths) and any(access.covers(runs) for access in seal_of(*runs).accesses()):
        return [read_predictions(path) for path in paths]
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(run.locked())
        finished = stack.enter_context(open_split(runs, TEST, folds=0, reason=reason, trust=trust))
        return [run.predictions(TEST) for run in finished]
