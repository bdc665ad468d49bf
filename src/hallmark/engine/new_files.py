"""Predictions of files that no data set holds, by a finished run or a set of repeats."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from omegaconf import OmegaConf

from hallmark.checks import UserError
from hallmark.data.problems import Problems
from hallmark.engine.config.stored import refuse_links
from hallmark.engine.config.trust import Trust
from hallmark.engine.finished import FinishedRun
from hallmark.engine.predict import predicted
from hallmark.engine.setup import silence_expected_warnings
from hallmark.runs.metrics import TEST, UNLABELLED
from hallmark.runs.repeats import Result, runs_of
from hallmark.runs.run import Run
from hallmark.runs.seal import SealedError, seal_of
from hallmark.statistics.ensemble import has_probabilities, mean_predictions
from hallmark.storage.files import read_csv

SEEN = "info_seen"
"""Column of the split in which the run has a row of the same content; empty for a new one."""


@dataclass(frozen=True)
class Answers:
    """What a result says of new files.

    Attributes:
        table: the rows of `PredictingModule.answers`, with the column `SEEN`.
        rows: the predictions table that they are of.
        problems: what was found wrong with the others.
    """

    table: pd.DataFrame
    rows: pd.DataFrame
    problems: Problems


def predict_files(
    result: Result, inputs: Sequence[Path], *, trust: Trust, batch_size: int | None = None, progress: bool = True
) -> Answers:
    """Predict `inputs`; a set of repeats answers by the mean of its runs' probabilities.

    Nothing is written into the result's folder.

    Args:
        batch_size: rows a step, other than the run's own.

    Raises:
        SealedError: some are rows of the sealed test split.
        UserError: the system reads no new files, no file can be read, or predictions that have no mean.
    """
    silence_expected_warnings()
    runs = runs_of(result)
    refuse_links(result.directory, trust)
    tables, finished = [], [FinishedRun(run, 0, trust=trust, inputs=inputs) for run in runs]
    for run in finished:
        refuse_links(run.run.directory, trust)
        if batch_size is not None:
            # Evaluation takes four times the batch of a fit, which keeps no activations there.
            OmegaConf.update(run.job.config, "data.batch_size", max(1, batch_size // 4))
        _mark_seen(run.run, run.data.samples)
        trainer = run.trainer if progress else run.quiet_trainer
        tables.append(predicted(trainer, run.module, run.data, UNLABELLED))
    if len(tables) > 1 and not has_probabilities(tables[0]):
        raise UserError(f"{result.directory}: its runs' answers have no mean; give one of them")
    rows = mean_predictions(tables) if len(tables) > 1 else tables[0]
    return Answers(finished[0].module.answers(rows), rows, finished[0].data.problems)


def _mark_seen(run: Run, samples: pd.DataFrame) -> None:
    """Add the column `SEEN` to the rows of new files.

    Raises:
        SealedError: rows of the test split, which were not measured yet.
    """
    samples[SEEN] = ""
    known = read_csv(run.directory / "splits.csv", dtype=str)
    if "content" not in known:  # of an earlier version
        return
    content = samples["source" if "source" in samples else "content"]
    samples[SEEN] = content.map(dict(zip(known["content"], known["split"], strict=True))).fillna("")
    sealed = samples.loc[samples[SEEN] == TEST, "id"].tolist()
    if sealed and not any(access.covers([run]) for access in seal_of(run).accesses()):
        raise SealedError(
            f"{len(sealed)} of {len(samples)} are rows of the sealed test split of {run.directory}, such as "
            f"{sealed[0]}; evaluate.py run=... split=test measures them, once"
        )
