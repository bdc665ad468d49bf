"""Predictions of files that no data set holds, by a finished run or a set of repeats."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hallmark.checks import UserError
from hallmark.data.problems import Problems
from hallmark.engine.config.stored import refuse_links
from hallmark.engine.config.trust import Trust
from hallmark.engine.finished import FinishedRun
from hallmark.engine.setup import feature_store, silence_expected_warnings
from hallmark.learning.module import PredictingModule
from hallmark.runs.metrics import TEST, UNLABELLED
from hallmark.runs.predictions import COLUMNS, SEEN
from hallmark.runs.repeats import Result, runs_of
from hallmark.runs.rows import stored_rows
from hallmark.runs.seal import SealedError, seal_of
from hallmark.statistics import Resampling
from hallmark.statistics.ensemble import has_probabilities, mean_predictions


@dataclass(frozen=True)
class Answers:
    """What a result says of new files.

    Attributes:
        table: the rows of `PredictingModule.answers`, with the column `SEEN`; none where no file could be read.
        rows: the predictions table that they are of.
        unanswered: of `DataModule.unanswered`.
        problems: what was found wrong with the files.
        warnings: what everybody must know who uses these answers.
    """

    table: pd.DataFrame
    rows: pd.DataFrame
    unanswered: pd.DataFrame
    problems: Problems
    warnings: Sequence[str]


def predict_files(
    result: Result, inputs: Sequence[Path], *, trust: Trust, resampling: Resampling, batch_size: int | None = None,
    progress: bool = True,
) -> Answers:  # fmt: skip
    """Predict `inputs`; a set of repeats answers by the mean of its runs' probabilities.

    Nothing is written into the result's folder.

    Args:
        resampling: of the intervals of answers that have one.
        batch_size: rows a step, other than that of an evaluation.

    Raises:
        SealedError: some are rows of the sealed test split.
        UserError: the system reads no new files, or predictions that have no mean.
    """
    silence_expected_warnings()
    refuse_links(result.directory, trust)
    finished = [FinishedRun(run, 0, trust=trust, inputs=inputs) for run in runs_of(result)]
    for run in finished:
        refuse_links(run.run.directory, trust)
    data = finished[0].data
    if data.samples.empty:
        rows = pd.DataFrame(columns=[*COLUMNS])
        rows.attrs = {"classes": data.classes}
        return Answers(rows, rows, data.unanswered(), data.problems, [])
    unknown = _mark_seen(finished)
    module = finished[0].module
    if len(finished) > 1 and module.has_thresholds:
        raise UserError(
            f"{result.directory}: each of its runs gives verdicts by its own thresholds, and these have no mean; give "
            f"one of them, such as {finished[0].run.directory}"
        )
    tables = [_predicted(run, batch_size, progress=progress) for run in finished]
    if len(tables) > 1 and not has_probabilities(tables[0]):
        raise UserError(
            f"{result.directory}: its runs' answers have no mean; give one of them, such as {finished[0].run.directory}"
        )
    rows = mean_predictions(tables) if len(tables) > 1 else tables[0]
    warnings = dict.fromkeys([*unknown, *(sentence for run in finished for sentence in run.run.record.warnings)])
    table = module.answers(rows, resampling)
    if warnings:
        table["info_warning"] = "; ".join(warnings)
    return Answers(table, rows, data.unanswered(), data.problems, list(warnings))


def _predicted(run: FinishedRun, batch_size: int | None, *, progress: bool) -> pd.DataFrame:
    """The predictions table of a run's new files."""
    trainer, store = run.trainer if progress else run.quiet_trainer, feature_store(run.job)
    run.data.eval_batch_size = batch_size or run.data.eval_batch_size

    def predict(module: PredictingModule, positions: Sequence[int] | None) -> list[Any]:
        data = run.data if positions is None else run.data.part(positions)
        data.configure_inputs(module.inputs, store)
        return trainer.predict(module, data.eval_dataloader(UNLABELLED)) or []

    return run.module.predict_new(predict, run.data)


def _mark_seen(finished: Sequence[FinishedRun]) -> list[str]:
    """Add the column `SEEN` to the new rows of all runs: in which splits any of them has a row of the same content.

    Returns:
        A sentence for each run of which that is not known.

    Raises:
        SealedError: rows of the test split of one of them, which was not measured yet.
    """
    splits, unknown = [], []
    for run in finished:
        samples, known, rows = run.data.samples, dict[str, str](), stored_rows(run.run.directory)
        if rows is None:
            unknown.append(
                f"{run.run.directory} has no splits.csv with the content of its rows, as earlier versions wrote it: "
                "which of these files it has seen, and whether some are its test rows, is not known"
            )
        for _, content, split in rows or ():
            # Of rows with one content a test row counts, whatever their order.
            known[content] = TEST if known.get(content) == TEST else split
        splits.append([known.get(content, "") for content in samples["source" if "source" in samples else "content"]])
        sealed = [row for row, split in zip(samples["id"], splits[-1], strict=True) if split == TEST]
        if sealed and not any(access.covers([run.run]) for access in seal_of(run.run).accesses()):
            raise SealedError(
                f"{len(sealed)} of {len(samples)} are rows of the sealed test split of {run.run.directory}, such as "
                f"{sealed[0]}; evaluate.py run=... split=test measures them, once"
            )
    joined = [", ".join(sorted(set(of_row) - {""})) for of_row in zip(*splits, strict=True)]
    for run in finished:
        run.data.samples[SEEN] = joined
    return unknown
