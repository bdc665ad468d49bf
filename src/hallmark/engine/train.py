"""Fit one run: read, check, fit, select, measure."""

import logging
import math
import shutil
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import SingleDeviceStrategy
from omegaconf import DictConfig

from hallmark.analysis.figures import learning_curves
from hallmark.analysis.loss_weights import TABLE as LOSS_WEIGHTS
from hallmark.analysis.loss_weights import loss_weight_curves
from hallmark.analysis.state import save_figure
from hallmark.checks import SettingError, require, setting
from hallmark.data.module import DataModule
from hallmark.engine.build import build, check_types
from hallmark.engine.command import command_line
from hallmark.engine.devices import check_devices, check_limits
from hallmark.engine.job import Job, device_facts
from hallmark.engine.loggers.tracking import tracked, unused_loggers
from hallmark.engine.monitor import check_measured, check_monitor
from hallmark.engine.origins import foreign_weights
from hallmark.engine.predict import add_missing_metrics, load_weights, noting_calls, predict_split
from hallmark.engine.ranks import Ranks, check_strategy, first_device, other_ranks, refuse_foreign_ranks
from hallmark.engine.settings import check_resampling
from hallmark.engine.stored import store_config
from hallmark.engine.terminal import announce, report, report_gate, say, say_failed_calls, say_warnings
from hallmark.features.store import FeatureStore
from hallmark.learning.callbacks import GracefulStop, History, Judge, PredictionStop, StayStopped, StepSeeds
from hallmark.learning.checkpoints import AtomicCheckpointIO
from hallmark.learning.device import chosen_device
from hallmark.learning.epoch_state import EpochState
from hallmark.learning.finite import FiniteLoss
from hallmark.learning.initialise import initialise_from
from hallmark.learning.module import PredictingModule, ReadyModule, TrainableModule
from hallmark.runs.identity import code_hashes, git_state, package_versions
from hallmark.runs.metrics import MAIN, find_metric
from hallmark.runs.receipts import absolute_folder
from hallmark.runs.record import Provenance, Record, RunState
from hallmark.runs.run import Run, open_run
from hallmark.storage.files import atomic_path, read_csv, write_csv

Hopeless = Callable[[int, float], bool]


def train(config: DictConfig, hopeless: Hopeless | None = None) -> float:
    """Make the run that `config` describes, or go on with it, or find it done.

    Args:
        hopeless: asked after each epoch with its number and the value of `monitor.metric`; True interrupts the run.

    Returns:
        The best value of `monitor.metric`; nan where no row is labelled.

    Raises:
        ValueError: a setting, the data or the run directory does not allow it; the message says why.
        Interrupted: asked to stop; the same command goes on.
    """
    quieten()
    refuse_foreign_ranks()
    job = Job.of(config)
    run = job.run
    if run.directory.exists():
        with run.locked():  # a process that works on it is no reason to read the data first
            pass
    data = checked_data(job)
    provenance = Provenance(data.fingerprint, code_hashes(job.config.model._target_))
    # A first look without the lock, so that what cannot be fitted leaves no folder; the second one decides.
    done = run.standing(job.id, provenance, rerun=job.config.rerun) is RunState.DONE
    module = None if done else checked_module(job, data)
    with run.locked():
        standing = run.standing(job.id, provenance, rerun=job.config.rerun)
        if standing is RunState.DONE:
            add_missing_metrics(run)
            say(f"{run.directory} is done (rerun=true would replace it)")
            if unused := unused_loggers(job, run):
                say(f"logger={','.join(unused)}: no effect on a run that was made without; rerun=true makes it again")
            assert run.record is not None
            say_warnings(run.record)
            for phase, calls in run.record.calls.items():
                say_failed_calls(phase, calls)
        else:
            resumed = standing is RunState.INTERRUPTED
            checkpoint = _checkpoint_to_resume(run) if resumed else None
            if run.record is not None and not (resumed or job.config.rerun):
                say(f"{run.directory} is {run.record.state} without a checkpoint: it starts from the beginning")
            record = _record(job, run, data, provenance, resumed=resumed)
            announce(job, data, resumed=resumed)
            with run.recorded(record), tracked(job, run) as loggers:
                record.leakage = data.check(run.directory)
                record.write(run.directory)
                report_gate(record.leakage)
                module = module or checked_module(job, data)
                record.parameters = parameter_counts(module)
                record.warnings = foreign_weights(job, module, data)
                say_warnings(record)
                if isinstance(module, ReadyModule):
                    _measure(job, run, data, module)
                else:
                    assert isinstance(module, TrainableModule)
                    _fit(job, run, data, module, loggers, hopeless, checkpoint=checkpoint)
        report(run, check_resampling(job.config))
    assert run.record is not None
    return float(run.record.selected["value"]) if run.record.selected else math.nan


def _checkpoint_to_resume(run: Run) -> Path | None:
    """`last.ckpt`, made from `best.ckpt` where it is damaged or missing; None where nothing is fitted by steps."""
    checkpoint = run.checkpoint_to_resume()
    if checkpoint == run.best:
        say(f"{run.last} is damaged or missing: the fit goes on from {run.best}, which is older")
        with atomic_path(run.last) as temporary:  # a fit that has ended writes no other one
            shutil.copyfile(run.best, temporary)
        return run.last
    return checkpoint


def check(job: Job) -> tuple[DataModule, PredictingModule]:
    """See that a fit of `job` can start: its settings, its data, and how model, data and devices go together.

    Nothing is written but caches.

    Returns:
        The data module, read and split, and the module bound to it.

    Raises:
        ValueError: it cannot; the message says why.
    """
    data = checked_data(job)
    return data, checked_module(job, data)


def checked_data(job: Job) -> DataModule:
    """The data module, read and split, once every setting is known to be of its type."""
    check_types(job.config, job.trusted)
    check_devices(job.config.trainer)
    for node in job.config.callbacks.values():
        if node is not None:
            build(node, Callback, trusted=job.trusted)
    return prepare_data(job)


def checked_module(job: Job, data: DataModule) -> PredictingModule:
    """The module bound to `data`, once it is known that the trainer can fit or measure it."""
    module = build_module(job, data)
    classes = getattr(module, "classes", None)
    if isinstance(classes, list):
        of_data = data.classes.get(MAIN, classes)
        require(classes == of_data, "model.classes", classes, f"{of_data}, in the order of data.classes")
    if isinstance(module, TrainableModule):
        check_monitor(job.config, module)
        trainer = build_trainer(job, [], [])
        check_strategy(trainer, module)
        data.check_share(trainer.world_size)
        check_limits(job.config.trainer, data, trainer.world_size)
    else:
        check_measured("monitor.metric", job.config.monitor.metric, module, data)
        build_trainer(job, [], [], alone=True)
    return module


def prepare_data(job: Job) -> DataModule:
    """The data module, read and split."""
    data: DataModule = build(job.config.data, DataModule, trusted=job.trusted)
    with setting("data"):
        data.prepare()
    return data


def build_module(job: Job, data: DataModule) -> PredictingModule:
    """The module with its initial weights (of the seed, or of `init_from`), and the data bound to its inputs."""
    seed_everything(job.config.seed, verbose=False)
    module: PredictingModule = build(job.config.model, PredictingModule, trusted=job.trusted)
    if job.config.init_from:
        copied = initialise_from(module, open_run(job.config.init_from).best)
        say(f"init_from: {', '.join(copied[:4])}{' …' if len(copied) > 4 else ''} ({len(copied)} tensors)")
    settings = job.config.features
    store = FeatureStore(settings.folder, settings.batch_size, chosen_device()) if settings.enabled else None
    data.bind(module.inputs, store)
    return module


def build_trainer(job: Job, callbacks: list[Callback], loggers: list[Logger], *, alone: bool = False) -> Trainer:
    """The trainer of `trainer`'s settings; with `alone`, on the first of its devices."""
    node = job.config.trainer
    changes: dict[str, Any] = {"devices": first_device(node.devices), "strategy": "auto"} if alone else {}
    if not alone and node.strategy == "ddp":
        # A tower that stands still for some epochs, or a parameter without use, has no gradient to wait for.
        changes["strategy"] = "ddp_find_unused_parameters_true"
    trainer: Trainer = build(
        node, Trainer, trusted=job.trusted, callbacks=callbacks, logger=loggers or False,
        plugins=[Ranks(), AtomicCheckpointIO()],
        use_distributed_sampler=False,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks), **changes,
    )  # fmt: skip
    several = trainer.world_size > 1
    require(not several or node.strategy != "auto", "trainer.strategy", "auto", "ddp or fsdp for several devices")
    return trainer


def parameter_counts(module: PredictingModule) -> dict[str, int]:
    """Parameters of `module`, in all and those that a fit changes."""
    sizes = [(one.numel(), one.requires_grad) for one in module.parameters()]
    trained = sum(size for size, grows in sizes if grows) if isinstance(module, TrainableModule) else 0
    return {"total": sum(size for size, _ in sizes), "trained": trained}


def predictor(job: Job, *, shown: bool = True) -> Trainer:
    """A trainer that predicts in this process alone, so that each row is predicted once; `shown` with its progress."""
    progress = job.config.callbacks.get("progress") if shown else None
    shows = [build(progress, Callback, trusted=job.trusted)] if progress is not None else []
    return build_trainer(job, [*shows, PredictionStop()], [], alone=True)


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


def quieten() -> None:
    """Keep advice on what is so by design off the terminal."""
    for name in ("lightning.pytorch", "lightning.fabric", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in _EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def _record(job: Job, run: Run, data: DataModule, provenance: Provenance, *, resumed: bool) -> Record:
    if resumed:
        assert run.record is not None
        run.record.resumed += 1
        store_config(run.directory, job.stored)  # places and loggers may be others by now
        return run.record
    run.clear()
    store_config(run.directory, job.stored)
    return Record(
        name=job.config.name,
        run_id=job.id,
        state=RunState.RUNNING,
        provenance=provenance,
        seed=job.config.seed,
        command=command_line(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        git=git_state(),
        versions=package_versions(),
        device=device_facts(),
        splits=data.split_summary(),
        leakage={},
        problems=data.problems.counts(),
        data={**data.facts(), "content": data.content, **({"generated": data.generated} if data.generated else {})},
        parents=[job.config.init_from] if job.config.init_from else [],
        seals=str(absolute_folder(Path(job.config.paths.outputs), job.config.paths.get("seals"))),
    )


def _measure(job: Job, run: Run, data: DataModule, module: ReadyModule) -> None:
    """The run of a model that is not fitted; without a labelled row it is answers alone."""
    assert run.record is not None
    trainer = predictor(job)
    module.settle(run.directory)
    with noting_calls(run, module, "calibration"):
        module.calibrate(lambda split: list(trainer.predict(module, data.eval_dataloader(split)) or []), data)
    predict_split(run, trainer, module, data, run.record.main_split)
    if run.record.main_split not in run.metrics:
        return
    metric = job.config.monitor.metric
    value = find_metric(run.metrics, metric)
    if value is None:
        known = [f"val/{name}" for name in next(iter(run.metrics["val"].values()))]
        raise SettingError("monitor.metric", metric, f"one of {', '.join(known)}")
    run.record.selected = {"checkpoint": None, "metric": metric, "value": value}


def _fit(
    job: Job, run: Run, data: DataModule, module: TrainableModule, loggers: list[Logger], hopeless: Hopeless | None,
    *, checkpoint: Path | None,
) -> None:  # fmt: skip
    assert run.record is not None
    best, callbacks = fit_callbacks(job, run, hopeless)
    trainer = build_trainer(job, callbacks, loggers)
    run.record.device["world_size"] = trainer.world_size
    run.record.write(run.directory)
    with other_ranks(trainer, run.directory, checkpoint, job.trusted):
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    run.record.selected = {
        "checkpoint": run.best.relative_to(run.directory).as_posix(),
        "metric": job.config.monitor.metric,
        "value": float(best.best_model_score),  # type: ignore[arg-type]
    }
    traces = module.traces()  # of the whole fit; the selected weights bring their own part with them
    for name, table in traces.items():
        write_csv(run.directory / f"{name}.csv", table)
    if not isinstance(trainer.strategy, SingleDeviceStrategy):
        fresh = build_module(job, data)  # what took part in such a fit stays wrapped, or is a part of the whole
        assert isinstance(fresh, TrainableModule)
        module = fresh
    load_weights(module, run.best)
    predict_split(run, predictor(job), module, data, "val")
    _draw(run, traces)


def _draw(run: Run, traces: dict[str, pd.DataFrame]) -> None:
    assert run.record is not None
    folder = run.directory / "figures"
    save_figure(folder / "learning_curves.png", learning_curves(read_history(run), run.record.selected))
    if LOSS_WEIGHTS in traces:
        save_figure(folder / f"{LOSS_WEIGHTS}.png", loss_weight_curves(traces[LOSS_WEIGHTS]))


def fit_callbacks(job: Job, run: Run, hopeless: Hopeless | None = None) -> tuple[ModelCheckpoint, list[Callback]]:
    """The checkpoint callback that selects, and all callbacks; every rank has them, and rank zero alone writes."""
    folder = run.best.parent
    best = ModelCheckpoint(
        folder, run.best.stem, monitor=job.config.monitor.metric, mode=job.config.monitor.mode,
        enable_version_counter=False, save_on_train_epoch_end=True,
    )  # fmt: skip
    last = ModelCheckpoint(folder, run.last.stem, enable_version_counter=False, save_on_train_epoch_end=True)
    nodes = [node for node in job.config.callbacks.values() if node is not None]
    configured = [build(node, Callback, trusted=job.trusted) for node in nodes]
    stop = GracefulStop(run.last)
    always = [
        StepSeeds(job.config.seed), History(run.directory / "history.csv"), EpochState(),
        FiniteLoss(job.config.monitor.metric), StayStopped(), stop,
    ]  # fmt: skip
    judges = [Judge(job.config.monitor.metric, hopeless, stop)] if hopeless else []
    return best, [*configured, *always, *judges, best, last]


def read_history(run: Run) -> pd.DataFrame:
    """`history.csv`, one row an epoch; empty where there is none."""
    path = run.directory / "history.csv"
    return read_csv(path) if path.exists() else pd.DataFrame()
