"""What a job is made of: data, module, trainer and callbacks, built from its settings and checked together."""

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger

from hallmark.checks import SettingError, require, setting
from hallmark.data.module import DataModule
from hallmark.engine.build import build, check_types
from hallmark.engine.config.targets import node_class
from hallmark.engine.distributed.devices import check_devices, check_limits
from hallmark.engine.distributed.ranks import Ranks, check_strategy, first_device
from hallmark.engine.distributed.torchrun import started_by_torchrun
from hallmark.engine.job import Job
from hallmark.engine.monitor import check_measured, check_monitor
from hallmark.engine.parents import initial_module, parent_uses, same_reader
from hallmark.features.store import FeatureStore
from hallmark.learning.callbacks.checkpoints import AtomicCheckpointIO
from hallmark.learning.callbacks.epoch_state import EpochState
from hallmark.learning.callbacks.finite import FiniteLoss
from hallmark.learning.callbacks.pictures import EpochPictures
from hallmark.learning.callbacks.training import (
    GracefulStop,
    History,
    PredictionStop,
    PruningCallback,
    StayStopped,
    StepSeeds,
)
from hallmark.learning.device import chosen_device
from hallmark.learning.module import PredictingModule, TrainableModule, TrainingFreeModule
from hallmark.learning.multioptimizer import MultiOptimizerModule
from hallmark.runs.metrics import MAIN
from hallmark.runs.run import RunDirectory

ShouldPrune = Callable[[int, float], bool]

_EXPECTED_WARNINGS = (
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*LeafSpec.*",
    ".*isinstance.treespec.*",
    ".*parameters. is an empty generator.*",
    ".*this fit will run with no optimizer.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*module.s. in eval mode at the start of training.*",
    ".*your dataloader is not resumable.*",
    ".*find_unused_parameters=True was specified.*",
)


def silence_expected_warnings() -> None:
    """Keep advice on what is so by design off the terminal."""
    for name in ("lightning.pytorch", "lightning.fabric", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in _EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def check_job(job: Job) -> tuple[DataModule, PredictingModule]:
    """See that a fit of `job` can start: its settings, its data, and how model, data and devices go together.

    Nothing is written but caches.

    Returns:
        The data module, read and split, and the module whose inputs it is configured for.

    Raises:
        ValueError: it cannot; the message says why.
    """
    data = checked_data(job)
    return data, checked_module(job, data)


def checked_data(job: Job) -> DataModule:
    """The data module, read and split, once every setting is known to be of its type."""
    check_types(job.config, job.trusted)
    parent_uses(job)
    check_devices(job.config.trainer)
    check_optimization(job)
    _build_callbacks(job)  # one that cannot be built is found before the data is read
    return prepare_data(job)


def check_optimization(job: Job) -> None:
    """See that the trainer leaves to a model of several optimizers what is a setting of each of them.

    Raises:
        SettingError: it would clip or sum up gradients itself.
    """
    if not issubclass(node_class(job.config.model, "model", job.trusted), MultiOptimizerModule):
        return
    clipping, summed = job.config.trainer.get("gradient_clip_val"), job.config.trainer.get("accumulate_grad_batches", 1)
    expected = "null; each optimizer of this model has its own, model.optimizers.<part>.gradient_clip_val"
    require(clipping in (None, 0), "trainer.gradient_clip_val", clipping, expected)
    expected = "1; this model has several optimizers, whose gradients are not summed up"
    require(summed == 1, "trainer.accumulate_grad_batches", summed, expected)


def checked_module(job: Job, data: DataModule) -> PredictingModule:
    """The module of `build_module`, once it is known that the trainer can fit or measure it."""
    module = build_module(job, data)
    classes = getattr(module, "classes", None)
    if isinstance(classes, list):
        of_data = data.classes.get(MAIN, classes)
        require(classes == of_data, "model.classes", classes, f"{of_data}, in the order of data.classes")
    if isinstance(module, TrainableModule):
        check_monitor(job.config, module)
        # This trainer is only asked for its strategy and world size; the fit builds its own, with callbacks.
        trainer = build_trainer(job, [], [])
        check_strategy(trainer, module)
        data.validate_world_size(trainer.world_size)
        check_limits(job.config.trainer, data, trainer.world_size)
        module.check_trainer(trainer)
    else:
        check_measured("monitor.metric", job.config.monitor.metric, module, data)
        build_trainer(job, [], [], one_device=True)
    check_rows(job, data, module)
    return module


def check_rows(job: Job, data: DataModule, module: PredictingModule | None = None) -> None:
    """Ask the module of `job`, and those of its parents that are still to be made, whether they can be calibrated on
    the rows.

    Args:
        module: built, with its parents. Without it those that ask anything of rows are built, and each by itself, so
            that no weights of a parent are read.

    Raises:
        SettingError: one of them cannot.
    """
    kind = node_class(job.config.model, "model", job.trusted)
    if issubclass(kind, TrainingFreeModule) and kind.check_data is not TrainingFreeModule.check_data:
        calibrated = module or build(job.config.model, PredictingModule, trusted=job.trusted)
        assert isinstance(calibrated, TrainingFreeModule)
        calibrated.check_data(data)
    for role, preset in job.presets.items():
        if role not in job.parents and same_reader(job, preset.config.data._target_):
            try:
                check_rows(preset.job, data, module.parents.get(role) if module else None)
            except SettingError as error:
                if error.key.startswith("data."):  # typed once, for the run and its parents
                    raise
                raise error.under(f"parents.{role}") from error


def prepare_data(job: Job, inputs: Sequence[Path] | None = None) -> DataModule:
    """The data module, read and split; with `inputs` it holds the rows of these files, unlabelled."""
    data: DataModule = build(job.config.data, DataModule, trusted=job.trusted)
    with setting("data"):
        if inputs is None:
            data.prepare()
        else:
            data.prepare_new(inputs)
    return data


def build_module(job: Job, data: DataModule) -> PredictingModule:
    """The module with its initial weights (of the seed, or of `init_from`) and its parents, and the data configured for
    its inputs."""
    module = initial_module(job)
    data.configure_inputs(module.inputs, feature_store(job))
    return module


def feature_store(job: Job) -> FeatureStore | None:
    """Where outputs of frozen encoders are kept; None where they are computed each time."""
    settings = job.config.features
    return FeatureStore(settings.folder, settings.batch_size, chosen_device()) if settings.enabled else None


def build_trainer(job: Job, callbacks: list[Callback], loggers: list[Logger], *, one_device: bool = False) -> Trainer:
    """The trainer of `trainer`'s settings; with `one_device`, on the first of its devices."""
    node = job.config.trainer
    changes: dict[str, Any] = {}
    if one_device:
        changes = {"devices": first_device(node.devices), "num_nodes": 1, "strategy": "auto"}
    elif node.strategy == "ddp":
        # Frozen encoders and unused parameters get no gradient; plain DDP would hang.
        changes["strategy"] = "ddp_find_unused_parameters_true"
    environment = TorchElasticEnvironment() if started_by_torchrun() and not one_device else Ranks()
    trainer: Trainer = build(
        node, Trainer, trusted=job.trusted, callbacks=callbacks, logger=loggers or False,
        plugins=[environment, AtomicCheckpointIO()],
        use_distributed_sampler=False,  # the data module shares rows out, so that each is seen and predicted once
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks), **changes,
    )  # fmt: skip
    several = trainer.world_size > 1
    require(not several or node.strategy != "auto", "trainer.strategy", "auto", "ddp or fsdp for several devices")
    return trainer


def build_predictor(job: Job, *, progress: bool = True) -> Trainer:
    """A trainer that predicts in this process alone, so that each row is predicted once; `progress` shows a bar."""
    node = job.config.callbacks.get("progress") if progress else None
    bars = [build(node, Callback, trusted=job.trusted)] if node is not None else []
    return build_trainer(job, [*bars, PredictionStop()], [], one_device=True)


def fit_callbacks(
    job: Job, folder: RunDirectory, should_prune: ShouldPrune | None = None
) -> tuple[ModelCheckpoint, list[Callback]]:  # fmt: skip
    """The checkpoint callback that selects, and all callbacks; every rank has them, and rank zero alone writes."""
    best = ModelCheckpoint(
        folder.best.parent, folder.best.stem, monitor=job.config.monitor.metric, mode=job.config.monitor.mode,
        enable_version_counter=False, save_on_train_epoch_end=True,
    )  # fmt: skip
    last = ModelCheckpoint(
        folder.last.parent, folder.last.stem, enable_version_counter=False, save_on_train_epoch_end=True
    )
    # Lightning moves checkpoints behind all other callbacks and keeps their order: `last` is written after `best`, and
    # holds the state of every callback.
    stop = GracefulStop(folder.last)
    built = _build_callbacks(job)
    for callback in built:
        if isinstance(callback, EpochPictures):
            copies = job.config.paths.get("generated")
            copied = None if copies is None else Path(copies).expanduser()
            callback.attach_run(folder.pictures, job.config.seed, copies=copied)
    pruning = [PruningCallback(job.config.monitor.metric, should_prune, stop)] if should_prune else []
    return best, [
        *built, StepSeeds(job.config.seed), History(folder.directory / "history.csv"), EpochState(),
        FiniteLoss(job.config.monitor.metric), StayStopped(), stop, *pruning, best, last,
    ]  # fmt: skip


def _build_callbacks(job: Job) -> list[Callback]:
    nodes = [node for node in job.config.callbacks.values() if node is not None]
    return [build(node, Callback, trusted=job.trusted) for node in nodes]


def parameter_counts(module: PredictingModule) -> dict[str, int]:
    """Parameters of `module`, in all and those that a fit changes."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()]
    trained = sum(size for size, requires_grad in sizes if requires_grad) if isinstance(module, TrainableModule) else 0
    return {"total": sum(size for size, _ in sizes), "trained": trained}
