"""The models of a run's parents: which roles there are, and each parent built as it was selected."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from lightning import seed_everything

from hallmark.checks import SettingError, require
from hallmark.data.module import DataModule
from hallmark.engine.build import build
from hallmark.engine.config.parents import key_of, parent_settings
from hallmark.engine.config.symbolic import plain
from hallmark.engine.config.targets import admitted_class, node_class
from hallmark.engine.config.trust import Trust
from hallmark.engine.job import Job, as_parent
from hallmark.engine.messages import echo
from hallmark.engine.predict import load_weights
from hallmark.learning.initialize import initialize_from
from hallmark.learning.module import PredictingModule, TrainableModule, TrainingFreeModule
from hallmark.runs.metrics import OUT_OF_FOLD, TEST
from hallmark.runs.parents import INIT_FROM, InheritedRows, Parent, Use, inherited_rows
from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import Record
from hallmark.runs.run import Run
from hallmark.wording import did_you_mean, listed


def parent_uses(job: Job) -> dict[str, Use]:
    """What the run of `job` takes of each of its parents.

    Raises:
        SettingError: a role that its model does not have, or one of the model's roles without a parent.
    """
    built = node_class(job.config.model, "model", job.trusted)
    roles: Mapping[str, Use] = {}
    if issubclass(built, PredictingModule):
        roles = built.parent_roles(plain(job.config, "model"))
        roles = {**roles, INIT_FROM: Use.WEIGHTS} if issubclass(built, TrainableModule) else roles
    known = listed(sorted(roles)) or "none"
    named = [*job.parents, *(role for role in job.presets if role not in job.parents)]
    for role in named:
        if role not in roles:
            overrides = " ".join(f"{key_of(unknown)}=null" for unknown in named if unknown not in roles)
            hint = did_you_mean(role, sorted(roles)) or f"; {overrides} leaves out what a preset lists"
            expected = f"a role of {built.__name__}: {known}{hint}"
            raise SettingError(key_of(role), parent_settings(job.config).get(role), expected)
    for role in sorted(roles.keys() - set(named) - {INIT_FROM}):
        expected = f"a finished run or a preset, because {built.__name__} is made with its {role}"
        raise SettingError(key_of(role), None, expected)
    return {role: roles[role] for role in named}


def unread_splits(job: Job) -> frozenset[str]:
    """The splits of which the run of `job` reads nothing."""
    built = node_class(job.config.model, "model", job.trusted)
    return built.unread_splits(plain(job.config, "model")) if issubclass(built, PredictingModule) else frozenset()


def same_reader(job: Job, target: object) -> bool:
    """Whether the data module named `target` knows rows by the same hashes as that of `job`."""
    try:
        read_by = admitted_class(target, "data", job.trusted)
    except SettingError:
        return False
    built = admitted_class(job.config.data._target_, "data", job.trusted)
    return issubclass(read_by, DataModule) and issubclass(built, DataModule) and read_by.reader() is built.reader()


def inherited(job: Job) -> list[InheritedRows]:
    """The rows of all parents of `job` and of theirs, for the leakage gate."""
    uses = parent_uses(job)
    unread = unread_splits(job)
    return [
        replace(rows, unread=unread)
        for role, parent in job.parents.items()
        for rows in inherited_rows(parent.directory, role, uses[role], is_comparable=partial(same_reader, job))
    ]


def keep_parents(job: Job, run: Run) -> Job:
    """`job` with its parents as they are kept in the folder of `run`, whose record then names them."""
    if not job.parents:
        return job
    uses = parent_uses(job)
    parents = {role: parent.kept_in(run.directory) for role, parent in job.parents.items()}
    run.record.parents = {role: parent.entry(uses[role]) for role, parent in parents.items()}
    return replace(job, parents=parents)


def fitted_test_rows(record: Record) -> list[str]:
    """A sentence for each parent that was fitted on test rows of the run, which data.leakage=report has let pass."""
    total = record.splits.get(TEST, {}).get("n")
    return [
        f"{n} of {total} test rows are not sealed: parent {name} was fitted or selected on them"
        for name, n in record.leakage.get("fitted_test", {}).items()
    ]


def initial_module(job: Job) -> PredictingModule:
    """The module of `job` with its initial weights, of the seed or of `init_from`, and with its parents.

    Raises:
        SettingError: the configuration of a parent holds what the command does not trust.
        UserError: what is kept of a parent was changed, or its weights do not load.
    """
    module = _module(job)
    if (start := job.parents.get(INIT_FROM)) is not None:
        copied = initialize_from(module, start.best)
        echo(f"init_from: {', '.join(copied[:4])}{' …' if len(copied) > 4 else ''} ({len(copied)} tensors)")
    return module


def _module(job: Job) -> PredictingModule:
    parents: dict[str, PredictingModule] = {}
    # One that is still to be made is as its seed makes it, so that what cannot be fitted is refused before.
    for role, preset in job.presets.items():
        if role not in job.parents:
            with as_parent(role):
                parents[role] = _module(preset.job).requires_grad_(False).eval()
    start = parents.pop(INIT_FROM, None)
    for role, parent in job.parents.items():
        parent.verify()
        if role != INIT_FROM:
            parents[role] = _built(parent, job.trust)
    seed_everything(job.config.seed, verbose=False)  # after the parents, which draw numbers as well
    module: PredictingModule = build(job.config.model, PredictingModule, trusted=job.trusted)
    if start is not None:
        shapes = {(name, value.shape) for name, value in start.named_parameters()}
        shared = any((name, value.shape) in shapes for name, value in module.named_parameters())
        expected = f"a preset that is trained by steps and shares a parameter with this {type(module).__name__}"
        fits = shared and isinstance(start, TrainableModule)
        require(fits, key_of(INIT_FROM), plain(job.config, "parents")[INIT_FROM]["experiment"], expected)
    for role, use in parent_uses(job).items():
        if use is Use.OUT_OF_FOLD and role in job.parents:
            path = job.parents[role].directory / "predictions" / f"{OUT_OF_FOLD}.parquet"
            if path.exists():  # else they are still to be made, and the module is only looked at
                module.out_of_fold = {**module.out_of_fold, role: read_predictions(path)}
    try:
        module.attach_parents(parents)
    except SettingError as error:
        typed = parent_settings(job.config).get(error.key, error.value)
        value = typed["experiment"] if isinstance(typed, dict) else typed
        raise SettingError(key_of(error.key), value, error.expected) from error
    return module


def _built(parent: Parent, trust: Trust) -> PredictingModule:
    """The module of a finished run with its selected weights, as one that is only read."""
    job = Job.reopened(Run(parent.directory), trust)
    module = _module(job)
    if (start := job.parents.get(INIT_FROM)) is not None:
        initialize_from(module, start.best)  # encoders that were frozen since then are in no checkpoint
    if isinstance(module, TrainingFreeModule):
        module.attach_run(parent.directory)
    else:
        load_weights(module, parent.best)
    return module.requires_grad_(False).eval()
