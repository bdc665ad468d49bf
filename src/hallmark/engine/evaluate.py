"""Evaluate a finished run or set of repeats, or a preset as it is: predictions of a split, metrics, analyses."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from hallmark.analysis.state import Analysis, State
from hallmark.checks import setting
from hallmark.data.module import UNLABELLED, DataModule, View
from hallmark.engine.build import build
from hallmark.engine.command import refuse_without_effect, root, typed_settings
from hallmark.engine.finished import OUT_OF_FOLD, Finished, opened
from hallmark.engine.job import Job, without
from hallmark.engine.loggers.tracking import track_evaluation
from hallmark.engine.origins import write_warnings
from hallmark.engine.predict import add_missing_metrics
from hallmark.engine.repeats import print_repeats, train_repeats
from hallmark.engine.settings import check_collection, check_evaluation_settings, check_resampling
from hallmark.engine.stored import refuse_links
from hallmark.engine.targets import admitted_class, trusted_packages
from hallmark.engine.terminal import print_metrics, say, say_warnings
from hallmark.engine.train import quieten
from hallmark.engine.trust import TRUST_KEYS, Trust
from hallmark.learning.module import ReadyModule
from hallmark.runs.repeats import RepeatSet, open_result, runs_of
from hallmark.runs.run import held
from hallmark.runs.seal import TEST
from hallmark.statistics import Resampling
from hallmark.statistics.ensemble import has_probabilities, mean_predictions

_OWN = ("run", "split", "seal")  # what is not part of a run
_EVALUATION = (*_OWN, "analysis", "statistics", OUT_OF_FOLD, *TRUST_KEYS)  # what an evaluation of a finished run reads
_FIT = tuple(
    f"trainer.{name}" for name in ("max_epochs", "limit_train_batches", "gradient_clip_val", "accumulate_grad_batches")
)


def evaluate(config: DictConfig) -> None:
    """Predict `split` of `run` where that is not stored yet, and run each analysis on it.

    Without a `run` it is that of the preset, which must be one in which nothing is fitted; it is made if need be.

    Raises:
        ValueError: no such finished run, no such split, other data than the run was made on, a typed setting that would
            have no effect.
        SealedError: the test split was opened before, and `seal.reason` does not say why it is opened again.
    """
    quieten()
    check_evaluation_settings(config)
    _refuse_ignored(config)
    directory = _made(config) if config.run is None else config.run
    told = config.run is None and config.split == "val"
    explain(directory, config.split, config, reason=config.seal.reason, told=told)


def train_and_explain(config: DictConfig) -> float:
    """Make the run (or repeats) of `config`, and run the analyses that it names on what it is measured on.

    Returns:
        As `train_repeats`.
    """
    check_resampling(config)
    _refuse_ignored_by_analyses(config)
    _refuse_fit_of_nothing(config)
    _analyses(config)  # one that cannot be built is no surprise after a fit
    value = train_repeats(config)
    if config.get("analysis"):
        directory = Job.of(config).directory
        record = runs_of(open_result(directory))[0].record
        assert record is not None
        explain(directory, record.main_split, config, told=True)
    return value


def explain(
    directory: str | Path, split: str, config: DictConfig, *, reason: str | None = None, told: bool = False
) -> None:  # fmt: skip
    """Predictions of `split` of a finished run or set of repeats, and the analyses of `config` on them.

    Of a set of repeats every run is predicted, with one look where the split is sealed; the analyses see their
    predictions as one table.

    Args:
        reason: why the test split is opened again.
        told: the metrics were printed already.
    """
    trust = Trust.of(config)
    resampling, analyses = check_resampling(config), _analyses(config)
    result = open_result(directory)
    runs = [member.run for member in result.members] if isinstance(result, RepeatSet) else [result]
    for folder in (result.directory, *(run.directory for run in runs)):
        refuse_links(folder, trust)
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(run.locked())
            add_missing_metrics(run)
            if config.get("run") is not None and run.record is not None:  # else it was made just now, which said so
                say_warnings(run.record)
        if isinstance(result, RepeatSet):
            stack.enter_context(held(result.directory))
        finished = stack.enter_context(opened(runs, split, folds=config.out_of_fold.folds, reason=reason, trust=trust))
        if isinstance(result, RepeatSet):
            state = _state_of_set(result, finished, split)
            if split == UNLABELLED:
                _write_labels_of_set(result, finished)
            _analyse(state, analyses, resampling, told=told)
            return
        (one,) = finished
        state = _state_of_run(one, split)
        if split == UNLABELLED:
            _write_labels(one, state.predictions, state.directory)
        track_evaluation(one.job, one.run, split, _analyse(state, analyses, resampling, told=told))


def _write_labels(finished: Finished, predictions: pd.DataFrame, directory: Path, how: str = "") -> None:
    written = finished.data.write_labels(predictions, directory)
    assert finished.run.record is not None
    write_warnings(written, finished.run.record.warnings)
    say(f"{predictions['id'].nunique()} unlabelled rows{how}: {written}")


def _write_labels_of_set(repeats: RepeatSet, finished: Sequence[Finished]) -> None:
    """One label file of the whole set, by the mean of its runs' probabilities; of masks, which have none, one a run."""
    tables = [each.predictions(UNLABELLED) for each in finished]
    if has_probabilities(tables[0]):
        how = f", by the mean of the probabilities of {len(tables)} runs"
        _write_labels(finished[0], mean_predictions(tables), repeats.directory, how)
        return
    for member, each, table in zip(repeats.members, finished, tables, strict=True):
        _write_labels(each, table, each.run.directory, f", {member.note}")


def _refuse_ignored(config: DictConfig) -> None:
    """Raise ValueError for what was typed and would have no effect on an evaluation."""
    typed = typed_settings()
    if config.run is not None:
        foreign = [key for key in typed if root(key) not in (*_EVALUATION, "hydra")]
        refuse_without_effect(
            foreign, f"{config.run} keeps the settings that it was made with; train a run with others"
        )
    if config.split != TEST:
        refuse_without_effect([key for key in typed if root(key) == "seal"], f"split={config.split} has no seal")
    _refuse_ignored_by_analyses(config)
    if config.run is None and config.get("model") is not None:
        _refuse_fit_of_nothing(config)


def _refuse_ignored_by_analyses(config: DictConfig) -> None:
    analyses = OmegaConf.to_container(config.analysis, resolve=True) if config.get("analysis") else {}
    if config.get("split") != OUT_OF_FOLD and OUT_OF_FOLD not in str(analyses):
        folds = [key for key in typed_settings() if root(key) == OUT_OF_FOLD]
        refuse_without_effect(folds, "nothing here reads predictions out of fold")


def _refuse_fit_of_nothing(config: DictConfig) -> None:
    """Raise ValueError for typed settings of a fit where nothing is fitted."""
    if not OmegaConf.is_dict(config.get("model")):
        return
    if issubclass(admitted_class(config.model._target_, "model", trusted_packages(config)), ReadyModule):
        refuse_without_effect([key for key in typed_settings() if key in _FIT], "nothing is fitted in this model")


def _analyses(config: DictConfig) -> dict[str, Analysis]:
    trusted, nodes = trusted_packages(config), check_collection(config, "analysis")
    return {name: build(node, Analysis, trusted=trusted) for name, node in nodes.items() if node is not None}


def _made(config: DictConfig) -> Path:
    """The run of a preset in which nothing is fitted, made where it is not there.

    Raises:
        ValueError: no preset, or one that is fitted.
    """
    if config.get("model") is None:
        raise ValueError("run: give a finished run, such as run=outputs/clip_final/<run id>")
    if not issubclass(admitted_class(config.model._target_, "model", trusted_packages(config)), ReadyModule):
        again = f"python train.py experiment={config.name}"
        raise ValueError(
            f"experiment={config.name}: this model is fitted first: {again}; then give run=<its directory>"
        )
    run = without(config, _OWN)
    train_repeats(run)
    return Job.of(run).directory


def _state_of_run(finished: Finished, split: str) -> State:
    return State(
        directory=finished.run.directory, split=split, predictions=finished.predictions(split),
        history=finished.history, predictions_of=finished.predictions,
        predict=lambda view: finished.viewed(split, view), data=lambda: _bound(finished),
        load=lambda: (finished.data, finished.module),
    )  # fmt: skip


def _state_of_set(repeats: RepeatSet, finished: Sequence[Finished], split: str) -> State:
    def pooled(name: str) -> pd.DataFrame:
        for one in finished:
            one.predictions(name)
        repeats.write_summary()  # which of its runs predict the same shows on all splits
        return repeats.predictions(name)

    def viewed(view: View) -> pd.DataFrame:
        return repeats.pooled([one.viewed(split, view) for one in finished])

    def refuse() -> NoReturn:
        raise ValueError(f"run={repeats.directory}: this analysis needs one model; give one run of the set")

    predictions = pooled(split)
    print_repeats(repeats)
    return State(
        directory=repeats.directory, split=split, predictions=predictions, history=pd.DataFrame(),
        predictions_of=pooled, predict=viewed, data=lambda: _bound(finished[0]), load=refuse,
    )  # fmt: skip


def _bound(finished: Finished) -> DataModule:
    _ = finished.module  # building it tells the data what it reads
    return finished.data


def _analyse(state: State, analyses: dict[str, Analysis], resampling: Resampling, *, told: bool) -> list[Path]:
    """Print the metrics, unless that was done, and run the analyses; gives what they wrote."""
    if not told:
        print_metrics(state.predictions, f"{state.directory.parent.name} · {state.split}", resampling)
    for name, analysis in analyses.items():
        before = len(state.written)
        with setting(f"analysis.{name}"):
            analysis.run(state)
        written = sorted(state.written[before:])
        say(f"{name}: {', '.join(path.relative_to(state.directory).as_posix() for path in written)}")
    return state.written
