"""Evaluate a finished run or set of repeats, or a preset as it is: predictions of a split, metrics, analyses."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from hallmark.analysis.state import Analysis, ModuleAnalysis, State
from hallmark.checks import require, setting
from hallmark.engine.build import build
from hallmark.engine.cached.answers import evaluation_note, note_evaluation
from hallmark.engine.command import FIT_SETTINGS, refuse_without_effect, root, typed_settings
from hallmark.engine.config.settings import check_collection, check_evaluation_settings, check_resampling
from hallmark.engine.config.stored import read_config, refuse_links
from hallmark.engine.config.targets import admitted_class, trusted_packages
from hallmark.engine.config.trust import TRUST_KEYS, Trust
from hallmark.engine.finished import FinishedSet, open_split
from hallmark.engine.job import Job, without
from hallmark.engine.loggers.tracking import track_evaluation
from hallmark.engine.messages import echo, print_warnings, printed_blocks
from hallmark.engine.origins import write_warnings
from hallmark.engine.predict import add_missing_metrics
from hallmark.engine.repeats import print_repeats, train_repeats
from hallmark.engine.setup import silence_expected_warnings
from hallmark.engine.terminal import print_metrics
from hallmark.learning.module import TrainingFreeModule
from hallmark.runs.metrics import OUT_OF_FOLD, TEST, UNLABELLED
from hallmark.runs.repeats import RepeatSet, open_result, runs_of
from hallmark.runs.run import Run, locked
from hallmark.statistics.ensemble import has_probabilities, mean_predictions

_NOTHING_FITTED = "nothing is fitted in this model"
_NOT_OF_A_RUN = ("run", "split", "seal")
# What an evaluation of a finished run reads of its own command.
_EVALUATION = (*_NOT_OF_A_RUN, "analysis", "statistics", OUT_OF_FOLD, *TRUST_KEYS)


def evaluate(config: DictConfig) -> None:
    """Predict `split` of `run` where that is not stored yet, and run each analysis on it.

    Without a `run` it is that of the preset, which must be one in which nothing is fitted; it is made if need be.

    Raises:
        ValueError: no such finished run, no such split, other data than the run was made on, a typed setting that would
            have no effect.
        SealedError: the test split was opened before, and `seal.reason` does not say why it is opened again.
    """
    silence_expected_warnings()
    check_evaluation_settings(config)
    typed, directory = typed_settings(), config.run
    if directory is not None:
        why = f"{directory} keeps the settings that it was made with; train a run with others"
        refuse_without_effect([key for key in typed if root(key) not in (*_EVALUATION, "hydra")], why)
    if config.split != TEST:
        refuse_without_effect([key for key in typed if root(key) == "seal"], f"split={config.split} has no seal")
    _refuse_ignored_by_analyses(config)
    analyses = _build_analyses(config)
    if directory is None:
        if config.get("model") is None:
            raise ValueError("run: give a finished run, such as run=outputs/clip_final/<run id>")
        if not _fits_nothing(config):
            again = f"python train.py experiment={config.name}; then give run=<its directory>"
            raise ValueError(f"experiment={config.name}: this model is fitted first: {again}")
        refuse_without_effect([key for key in typed if key in FIT_SETTINGS], _NOTHING_FITTED)
        run = without(config, _NOT_OF_A_RUN)
        _check_models(analyses, config, of_set=config.get("repeat") is not None, trusted=trusted_packages(config))
        train_repeats(run)
        directory = Job.of(run).directory
    note = evaluation_note(config)
    with (
        printed_blocks() as printed,
        _opened_state(directory, config.split, config, analyses, reason=config.seal.reason) as state,
    ):
        if config.run is not None or config.split != "val":  # else `train_repeats` printed them
            title = f"{state.directory.parent.name} · {state.split}"
            print_metrics(state.predictions, title, check_resampling(config))
        run_analyses(state, analyses)
        if note is not None:
            note_evaluation(note, state.directory, printed)


def train_and_analyze(config: DictConfig) -> float:
    """Make the run (or repeats) of `config`, and run the analyses that it names on what it is measured on.

    Returns:
        As `train_repeats`.
    """
    check_resampling(config)
    _refuse_ignored_by_analyses(config)
    if OmegaConf.is_dict(config.get("model")) and _fits_nothing(config):
        refuse_without_effect([key for key in typed_settings() if key in FIT_SETTINGS], _NOTHING_FITTED)
    # One that cannot be built, or is of other models, is no surprise after a fit.
    analyses = _build_analyses(config)
    _check_models(analyses, config, of_set=config.get("repeat") is not None, trusted=trusted_packages(config))
    value = train_repeats(config)
    if config.get("analysis"):
        directory = Job.of(config).directory
        split = runs_of(open_result(directory))[0].record.main_split
        with _opened_state(directory, split, config, analyses) as state:
            run_analyses(state, analyses)
    return value


def run_analyses(state: State, analyses: Mapping[str, Analysis]) -> None:
    """Run each analysis on `state`, and print what it wrote."""
    for name, analysis in analyses.items():
        before = len(state.written)
        with setting(f"analysis.{name}"):
            analysis.run(state)
        written = sorted(state.written[before:])
        echo(f"{name}: {', '.join(path.relative_to(state.directory).as_posix() for path in written)}")


@contextmanager
def _opened_state(
    directory: str | Path, split: str, config: DictConfig, analyses: Mapping[str, Analysis], *,
    reason: str | None = None,
) -> Iterator[State]:  # fmt: skip
    """What analyses see of `split` of a finished run or set of repeats, locked inside the block.

    Every run of a set is predicted, with one access where the split is sealed; the analyses see their predictions as
    one table. Rows without labels get a file of labels: of a set one, by the mean of its runs' probabilities, of masks,
    which have none, one a run. Loggers learn what was written in the block.

    Args:
        analyses: what will be run on it, refused where the runs are none for them before anything is predicted.
        reason: why the test split is opened again.
    """
    trust = Trust.of(config)
    result = open_result(directory)
    runs = runs_of(result)
    for folder in (result.directory, *(run.directory for run in runs)):
        refuse_links(folder, trust)
    stored = read_config(runs[0].directory, trust)
    _check_models(analyses, stored, of_set=isinstance(result, RepeatSet), trusted=trust.packages)
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(run.locked())
            add_missing_metrics(run)
            if config.get("run") is not None:  # else it was made just now, which said so
                print_warnings(run.record)
        if isinstance(result, RepeatSet):
            stack.enter_context(locked(result.directory))
        finished = stack.enter_context(
            open_split(runs, split, folds=config.out_of_fold.folds, reason=reason, trust=trust)
        )
        evaluated = FinishedSet(result, finished) if isinstance(result, RepeatSet) else finished[0]
        predictions = evaluated.predictions(split)
        if isinstance(result, RepeatSet):
            print_repeats(result)
        if split == UNLABELLED:
            tables = [run.predictions(UNLABELLED) for run in finished]
            if isinstance(result, RepeatSet) and has_probabilities(tables[0]):
                how = f", by the mean of the probabilities of {len(tables)} runs"
                files = [(finished[0], mean_predictions(tables), result.directory, how)]
            else:  # one run, or masks, which have no mean
                notes = [f", {member.note}" for member in result.members] if isinstance(result, RepeatSet) else [""]
                folders = [run.run.directory for run in finished]
                files = list(zip(finished, tables, folders, notes, strict=True))
            for predicted, table, folder, how in files:
                path = predicted.data.write_labels(table, folder)
                write_warnings(path, predicted.run.record.warnings)
                echo(f"{table['id'].nunique()} unlabelled rows{how}: {path}")
        state = State(
            directory=result.directory, split=split, predictions=predictions, history=evaluated.history,
            predictions_of=evaluated.predictions, predict=partial(evaluated.transformed, split),
            data=evaluated.configured_data, load=evaluated.load,
        )  # fmt: skip
        yield state
        if isinstance(result, Run):
            track_evaluation(finished[0].job, finished[0].run, split, state.written)


def _refuse_ignored_by_analyses(config: DictConfig) -> None:
    analyses = OmegaConf.to_container(config.analysis, resolve=True) if config.get("analysis") else {}
    read = OUT_OF_FOLD in str(analyses) or bool(config.get("parents"))  # a run may be trained on those of its parents
    if config.get("split") != OUT_OF_FOLD and not read:
        folds = [key for key in typed_settings() if root(key) == OUT_OF_FOLD]
        refuse_without_effect(folds, "nothing here reads predictions out of fold")


def _fits_nothing(config: DictConfig) -> bool:
    return issubclass(admitted_class(config.model._target_, "model", trusted_packages(config)), TrainingFreeModule)


def _build_analyses(config: DictConfig) -> dict[str, Analysis]:
    trusted, nodes = trusted_packages(config), check_collection(config, "analysis")
    return {name: build(node, Analysis, trusted=trusted) for name, node in nodes.items() if node is not None}


def _check_models(
    analyses: Mapping[str, Analysis], config: DictConfig, *, of_set: bool, trusted: Sequence[str]
) -> None:  # fmt: skip
    """See that each analysis that asks a module is given one run of such a module.

    Args:
        config: of the runs; of_set: whether they are a set of repeats.

    Raises:
        SettingError: it is not.
    """
    for name, analysis in analyses.items():
        if isinstance(analysis, ModuleAnalysis) and OmegaConf.is_dict(config.get("model")):
            needed, built = analysis.module_class, admitted_class(config.model._target_, "model", trusted)
            expected = f"others: {name} is of the module {needed.__name__}, and these runs have {built.__name__}"
            require(issubclass(built, needed), "analysis", list(analyses), expected)
            expected = f"others: {name} asks the module of one run; evaluate a run of the set"
            require(not of_set, "analysis", list(analyses), expected)
