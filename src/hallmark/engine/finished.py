"""A finished run, with what made it: data, weights, predictions of any split."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from lightning import Trainer
from omegaconf import OmegaConf

from hallmark.checks import require
from hallmark.data.module import DataModule, View
from hallmark.data.perturb import view_name
from hallmark.engine.job import Job
from hallmark.engine.origins import foreign_weights
from hallmark.engine.predict import load_weights, noting_calls, predict_split, predicted
from hallmark.engine.terminal import say_warnings
from hallmark.engine.train import build_module, predictor, prepare_data, read_history, train
from hallmark.engine.trust import NO_TRUST, Trust
from hallmark.learning.module import PredictingModule, ReadyModule
from hallmark.runs.identity import code_hashes
from hallmark.runs.looks import TEST, LabelledRows
from hallmark.runs.predictions import read_predictions, write_predictions
from hallmark.runs.run import Run
from hallmark.runs.seal import OpenLook, SealedError, seal_of
from hallmark.statistics.tables import table_metrics

OUT_OF_FOLD = "out_of_fold"


@dataclass
class Finished:
    """A finished run, with what made it built on demand and at most once.

    Attributes:
        folds: of the training rows, for out-of-fold predictions.
        look: the right to read the test split, from `opened`; None for the sealed run that it is at first.
        trust: what the run's configuration may use beside Hallmark's own classes and its own folder.
    """

    run: Run
    folds: int
    look: OpenLook | None = None
    trust: Trust = NO_TRUST

    @cached_property
    def job(self) -> Job:
        return Job.reopened(self.run, self.trust)

    @cached_property
    def data(self) -> DataModule:
        data = prepare_data(self.job)
        assert self.run.record is not None
        if data.fingerprint != self.run.record.provenance.data:
            raise ValueError(
                f"{self.run.directory}: the data in {data.facts()['source']} is no longer what the run was made on; "
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
            assert record is not None
            if record.provenance.code == code_hashes(self.job.config.model._target_):
                raise
            raise ValueError(
                f"{self.run.directory}: made with other code, whose settings do not fit any more ({error}); "
                f"check out commit {record.git['commit']}, or train again with rerun=true"
            ) from error
        record = self.run.record
        assert record is not None
        if not record.warnings:  # as in a run that was made before there were any
            record.warnings = foreign_weights(self.job, module, data)
            say_warnings(record)
        if isinstance(module, ReadyModule):
            module.settle(self.run.directory)
        else:
            load_weights(module, self.run.best)
        return module.eval()

    @cached_property
    def trainer(self) -> Trainer:
        return predictor(self.job)

    @cached_property
    def quiet_trainer(self) -> Trainer:
        """Without a progress bar, for the many passes of one analysis."""
        return predictor(self.job, shown=False)

    @property
    def history(self) -> pd.DataFrame:
        return read_history(self.run)

    def predictions(self, split: str) -> pd.DataFrame:
        """The stored table of `split`, computed first where there is none.

        Raises:
            SealedError: the test split, and the seal was not opened for this run.
        """
        if split == TEST:
            return self._test()
        path = self.run.directory / "predictions" / f"{split}.parquet"
        if path.exists():
            if split == OUT_OF_FOLD:
                self._check_folds(path)
            return read_predictions(path)
        if split == OUT_OF_FOLD:
            return self._out_of_fold()
        return self._predicted(split)

    def viewed(self, split: str, view: View) -> pd.DataFrame:
        """Predictions of `split` with inputs as in `view`; they are not stored.

        Raises:
            SealedError: the test split, and the seal was not opened for this run.
        """
        if split == TEST:
            self._check_look()
        with noting_calls(self.run, self.module, f"{split}, {view_name(view) or 'another view'}"):
            return predicted(self.quiet_trainer, self.module, self.data, split, view)

    def _check_look(self) -> OpenLook:
        if self.look is None:
            raise SealedError(
                f"{self.run.directory}: the test split is sealed; only evaluate.py run=... split=test opens it, once"
            )
        return self.look

    def _test(self) -> pd.DataFrame:
        look = self._check_look()
        path = self.run.directory / "predictions" / f"{TEST}.parquet"
        table = read_predictions(path) if path.exists() else self._predicted(TEST)
        look.record(self.run, table_metrics(table))
        return table

    def _predicted(self, split: str) -> pd.DataFrame:
        return predict_split(self.run, self.trainer, self.module, self.data, split)

    def _out_of_fold(self) -> pd.DataFrame:
        """Predictions of the training rows by models that did not see them.

        Refits the run on grouped folds of its training rows. Each fold is a run of its own below
        `<run>/out_of_fold/`, so that an interrupted refit goes on; the validation rows select its checkpoint.
        """
        tables = [self._held_out(fold) for fold in range(self.folds)]
        pooled = pd.concat(tables, ignore_index=True).assign(split=OUT_OF_FOLD)
        pooled.attrs = tables[0].attrs
        write_predictions(self.run.directory / "predictions" / f"{OUT_OF_FOLD}.parquet", pooled)
        self.run.add_metrics(OUT_OF_FOLD, table_metrics(pooled))
        return pooled

    def _check_folds(self, table: Path) -> None:
        """Raise SettingError where the stored predictions out of fold are of another number of folds."""
        counts = {int(fold.name.partition("-of-")[2]) for fold in (self.run.directory / OUT_OF_FOLD).glob("*-of-*")}
        expected = (
            f"{' or '.join(map(str, sorted(counts)))}, as {table} was made with; without that file it is made again"
        )
        require(not counts or self.folds in counts, "out_of_fold.folds", self.folds, expected)

    def _held_out(self, fold: int) -> pd.DataFrame:
        config = self.job.stored.copy()
        OmegaConf.set_struct(config, False)
        inner = {"_target_": "hallmark.data.splits.InnerFold", "folds": self.folds, "fold": fold, "seed": config.seed}
        config.data.split = {**inner, "outer": config.data.split}
        config.paths.run_dir = str(self.run.directory / OUT_OF_FOLD / f"{fold + 1}-of-{self.folds}")
        config.rerun = False
        config.logger = None
        config.trusted_packages = list(self.job.trusted)
        train(config)
        return Finished(Run(Path(config.paths.run_dir)), self.folds, trust=self.trust).predictions("held_out")


@contextmanager
def opened(
    runs: Sequence[Run], split: str, *, folds: int, reason: str | None = None, trust: Trust = NO_TRUST
) -> Iterator[list[Finished]]:
    """`runs` with the right to read `split`; for the test split that breaks the seal, once for all of them.

    The receipt is written before anything is read; what can go wrong without reading is found out before.

    Raises:
        SealedError: the test split was opened before and no reason is given.
        ValueError: other data or code than a run was made on, no rows in the test split, weights or a calibration that
            cannot be read.
    """
    finished = [Finished(run, folds, trust=trust) for run in runs]
    if split != TEST:
        yield finished
        return
    for one in finished:
        one.data.rows(TEST)
        if not (one.run.directory / "predictions" / f"{TEST}.parquet").exists():
            _ = one.module  # weights, networks and calibration are read now
        if LabelledRows.read(one.run.directory) is None:  # a run of a version that did not store them
            one.data.write_splits(one.run.directory)
    seals = {(seal.path, seal.name) for seal in map(seal_of, runs)}
    assert len(seals) == 1, "one look is at one experiment on one data set"
    with seal_of(*runs).opened(runs, reason=reason) as look:
        try:
            for one in finished:
                one.look = look
            yield finished
        finally:
            for one in finished:
                one.look = None


def sealed_tables(
    runs: Sequence[Run], *, reason: str | None = None, trust: Trust = NO_TRUST
) -> list[pd.DataFrame]:  # fmt: skip
    """Test predictions of `runs` for a script: those of an earlier look at these very runs, or of a new look.

    Raises:
        SealedError: the test split was opened for other runs and no reason is given.
    """
    paths = [run.directory / "predictions" / f"{TEST}.parquet" for run in runs]
    if all(path.exists() for path in paths) and any(look.covers(runs) for look in seal_of(*runs).looks()):
        return [read_predictions(path) for path in paths]
    with ExitStack() as held:
        for run in runs:
            held.enter_context(run.locked())
        finished = held.enter_context(opened(runs, TEST, folds=0, reason=reason, trust=trust))
        return [one.predictions(TEST) for one in finished]
