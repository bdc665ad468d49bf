"""A finished run, with what made it: data, weights, predictions of any split."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from lightning import LightningModule, Trainer
from omegaconf import DictConfig, OmegaConf

from hallmark.data.module import DataModule
from hallmark.engine.build import build
from hallmark.engine.job import Job
from hallmark.engine.predict import load_weights, predict_split
from hallmark.engine.train import build_module, build_trainer, prepare_data, read_history, train
from hallmark.runs.predictions import read_predictions, write_predictions
from hallmark.runs.run import Run
from hallmark.statistics.tables import table_metrics

OUT_OF_FOLD = "out_of_fold"


@dataclass
class Finished:
    """A finished run, with what made it built on demand and at most once."""

    run: Run
    folds: int

    @cached_property
    def job(self) -> Job:
        config = OmegaConf.load(self.run.directory / "config.yaml")
        assert isinstance(config, DictConfig)
        assert self.run.record is not None
        return Job(config, self.run.record.run_id, self.run.directory)

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
    def module(self) -> LightningModule:
        module = build_module(self.job, self.data)
        load_weights(module, self.run.best)
        return module.eval()

    @cached_property
    def trainer(self) -> Trainer:
        return build_trainer(self.job, self.run, [build(node) for node in _progress(self.job)], [])

    @property
    def history(self) -> pd.DataFrame:
        return read_history(self.run)

    def predictions(self, split: str) -> pd.DataFrame:
        """The stored table of `split`, computed first where there is none."""
        path = self.run.directory / "predictions" / f"{split}.parquet"
        if path.exists():
            return read_predictions(path)
        if split == OUT_OF_FOLD:
            return self._out_of_fold()
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

    def _held_out(self, fold: int) -> pd.DataFrame:
        config = self.job.config.copy()
        OmegaConf.set_struct(config, False)
        inner = {"_target_": "hallmark.data.splits.InnerFold", "folds": self.folds, "fold": fold, "seed": config.seed}
        config.data.split = {**inner, "outer": config.data.split}
        config.paths.run_dir = str(self.run.directory / OUT_OF_FOLD / f"{fold + 1}-of-{self.folds}")
        config.rerun = False
        train(config)
        return Finished(Run(Path(config.paths.run_dir)), self.folds).predictions("held_out")


def _progress(job: Job) -> list[DictConfig]:
    node = job.config.callbacks.get("progress")
    return [node] if node is not None else []
