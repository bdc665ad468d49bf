"""Fit one run: read, check, fit, select, measure."""

import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import SingleDeviceStrategy
from omegaconf import DictConfig

from hallmark.checks import SettingError
from hallmark.data.inheritance import splits_read
from hallmark.data.module import DataModule
from hallmark.data.splits import split_summary
from hallmark.engine.cached.done import note_done, print_done, selected_value
from hallmark.engine.command import command_line, refuse_foreign_ranks
from hallmark.engine.config.settings import check_resampling
from hallmark.engine.config.stored import store_config
from hallmark.engine.distributed.ranks import other_ranks
from hallmark.engine.job import Job
from hallmark.engine.loggers.tracking import training_loggers
from hallmark.engine.messages import echo, print_warnings
from hallmark.engine.origins import foreign_weights
from hallmark.engine.parents import fitted_test_rows, inherited, keep_parents, parent_uses, unread_splits
from hallmark.engine.predict import add_missing_metrics, load_weights, predict_split, recorded_calls
from hallmark.engine.setup import (
    ShouldPrune,
    build_module,
    build_predictor,
    build_trainer,
    checked_data,
    checked_module,
    fit_callbacks,
    parameter_counts,
    silence_expected_warnings,
)
from hallmark.engine.terminal import print_leakage, print_result, print_start
from hallmark.learning.callbacks.checkpoints import checkpoint_hashes
from hallmark.learning.callbacks.pictures import write_figures
from hallmark.learning.device import device_facts
from hallmark.learning.module import TrainableModule, TrainingFreeModule
from hallmark.runs.access_folders import absolute_folder
from hallmark.runs.fitted import check_fitted, fitted_hashes
from hallmark.runs.identity import git_state, package_versions
from hallmark.runs.links import remove_stale_link
from hallmark.runs.metrics import TEST, find_metric
from hallmark.runs.parents import FOLDER as PARENTS
from hallmark.runs.parents import Use, kept_parents
from hallmark.runs.record import Provenance, Record, RunState
from hallmark.runs.run import Run, RunDirectory
from hallmark.storage.files import atomic_path, write_csv


def train(config: DictConfig, should_prune: ShouldPrune | None = None) -> float:
    """Make the run that `config` describes, or go on with it, or find it done.

    Args:
        should_prune: asked after each epoch with its number and the value of `monitor.metric`; True interrupts the run.

    Returns:
        The best value of `monitor.metric`; nan where no row is labelled.

    Raises:
        ValueError: a setting, the data or the run directory does not allow it; the message says why.
        Interrupted: asked to stop; the same command goes on.
    """
    silence_expected_warnings()
    refuse_foreign_ranks()
    job = Job.of(config)
    folder = RunDirectory(job.directory)
    remove_stale_link(folder.directory)
    if folder.directory.exists():
        with folder.locked():  # a process that works on it is no reason to read the data first
            pass
    data = checked_data(job)
    provenance = Provenance(data.fingerprint, job.code)
    # A first look without the lock, so that what cannot be fitted leaves no folder; the second one decides.
    policy = {"rerun": job.config.rerun, "any_code": job.config.on_code_change == "warn"}
    done = folder.resume_status(job.id, provenance, **policy) is RunState.DONE
    if not done and not job.keeps_parents:
        from hallmark.engine.make_parents import (
            make_parents,
            predict_parents,
        )  # where this function is called for parents

        if job.presets or Use.OUT_OF_FOLD in parent_uses(job).values():
            checked_module(job, data)  # what cannot be fitted is refused before others are fitted for it
        if job.presets:
            make_parents(job, data)
            job = Job.of(config)
        predict_parents(job, data)
    module = None if done else checked_module(job, data)

    with folder.locked():
        status = folder.resume_status(job.id, provenance, **policy)
        if status is RunState.DONE:
            job.list_run()
            run = Run(folder.directory)
            check_fitted(run.directory, run.record)
            for parent in kept_parents(run.directory, run.record).values():
                parent.verify()
            add_missing_metrics(run)
            print_done(job, run)
            if changed := run.record.provenance.differences(provenance):
                echo(f"warning: it was produced with different {'; '.join(changed)} (on_code_change=warn keeps it)")
        else:
            checkpoint = None
            if status is RunState.INTERRUPTED:
                checkpoint = _checkpoint_to_resume(folder)
                run = Run(folder.directory)
                run.record.resumed += 1
                if changed := run.record.provenance.differences(provenance):
                    run.record.warnings.append(f"Begun with one code and resumed with another ({'; '.join(changed)})")
            else:
                if (earlier := folder.read_record()) is not None and not job.config.rerun:
                    echo(f"{folder.directory} is {earlier.state} without a checkpoint: it starts from the beginning")
                # A run that failed before its first checkpoint may keep what is left of a parent.
                inside = any(parent.directory.is_relative_to(folder.directory) for parent in job.parents.values())
                folder.clear(spared=[PARENTS] if inside else [])
                run = Run(folder.directory, _new_record(job, data, provenance))
            job = keep_parents(job, run)
            store_config(run.directory, job.stored)  # of a resumed run as well: folders and loggers may have changed
            print_start(job, data, resumed=status is RunState.INTERRUPTED)
            with run.recorded(), training_loggers(job, run) as loggers:
                job.list_run()
                run.record.leakage = data.check(run.directory, inherited(job))
                run.record.write(run.directory)
                print_leakage(run.record.leakage)
                module = module or checked_module(job, data)
                run.record.parameters = parameter_counts(module)
                warnings = [*run.record.warnings, *foreign_weights(job, module, data), *fitted_test_rows(run.record)]
                if isinstance(module, TrainingFreeModule):
                    warnings += module.data_warnings(data)
                run.record.warnings = list(dict.fromkeys(warnings))
                print_warnings(run.record)
                with splits_read(data, partial(_note_split, run, unread_splits(job))):
                    if isinstance(module, TrainingFreeModule):
                        _measure(job, run, data, module)
                    else:
                        assert isinstance(module, TrainableModule)
                        _fit(job, run, data, module, loggers, should_prune, checkpoint=checkpoint)
        note_done(job, run, data, print_result(run, check_resampling(job.config)))
    return selected_value(run)


def _checkpoint_to_resume(folder: RunDirectory) -> Path | None:
    """`last.ckpt`, made from `best.ckpt` where it is damaged or missing; None where nothing is fitted by steps."""
    checkpoint = folder.checkpoint_to_resume()
    if checkpoint == folder.best:
        echo(f"{folder.last} is damaged or missing: the fit goes on from {folder.best}, which is older")
        with atomic_path(folder.last) as temporary:  # a fit that has ended writes no other one
            shutil.copyfile(folder.best, temporary)
        return folder.last
    return checkpoint


def _new_record(job: Job, data: DataModule, provenance: Provenance) -> Record:
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
        splits=split_summary(data.samples),
        leakage={},
        fitted_on=["train", "val"],
        problems=data.problems.counts(),
        data={**data.metadata(), "content": data.content, **({"generated": data.generated} if data.generated else {})},
        seals=str(absolute_folder(Path(job.config.paths.outputs), job.config.paths.get("seals"))),
    )


def _note_split(run: Run, unread: frozenset[str], split: str) -> None:
    """Note that the rows of `split` are read, before anything is fitted on them that a killed run would keep.

    Raises:
        ValueError: it is one of the `unread`, by which the gate has let parents pass that were fitted on its rows.
    """
    if split in unread:
        raise ValueError(f"the model says that it reads no row of {split} (unread_splits), and does")
    noted = run.record.fitted_on
    if noted is not None and split not in noted:
        noted.append(split)
        run.record.write(run.directory)


def _measure(job: Job, run: Run, data: DataModule, module: TrainingFreeModule) -> None:
    """The run of a model that is not fitted; without a labelled row it is answers alone."""
    trainer = build_predictor(job)

    def predict(split: str) -> list[Any]:
        selects = split == "val" and module.selects_on_val
        if split == TEST or (split == run.record.main_split and not selects):
            raise ValueError(f"calibrate: {split} is what this model is measured on; nothing may be chosen on its rows")
        return list(trainer.predict(module, data.eval_dataloader(split)) or [])

    check_fitted(run.directory, run.record)  # of an earlier attempt
    module.attach_run(run.directory)
    with recorded_calls(run, module, "calibration"):
        module.calibrate(predict, data)
    run.record.fitted = fitted_hashes(run.directory, module.state_files)
    run.record.write(run.directory)
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
    job: Job, run: Run, data: DataModule, module: TrainableModule, loggers: list[Logger],
    should_prune: ShouldPrune | None, *, checkpoint: Path | None,
) -> None:  # fmt: skip
    """Fit `module`, from `checkpoint` where there is one, select an epoch, predict with it and draw the curves."""
    best, callbacks = fit_callbacks(job, run, should_prune)
    trainer = build_trainer(job, callbacks, loggers)
    run.record.device["world_size"] = trainer.world_size
    run.record.write(run.directory)
    with other_ranks(trainer, run.directory, checkpoint, job.trust):
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    run.record.weights = checkpoint_hashes(run.best)
    run.record.selected = {
        "checkpoint": run.best.relative_to(run.directory).as_posix(),
        "metric": job.config.monitor.metric,
        "value": float(best.best_model_score),  # type: ignore[arg-type]
    }
    logs = module.training_logs()  # of the whole fit; the selected weights bring their own part with them
    for name, table in logs.items():
        write_csv(run.directory / f"{name}.csv", table)

    if not isinstance(trainer.strategy, SingleDeviceStrategy):
        fresh = build_module(job, data)  # what took part in such a fit stays wrapped, or is a part of the whole
        assert isinstance(fresh, TrainableModule)
        module = fresh
    load_weights(module, run.best)
    predict_split(run, build_predictor(job), module, data, "val")

    from hallmark.analysis.multitask.loss_weights import TABLE as LOSS_WEIGHTS  # the first step does not wait for fonts
    from hallmark.analysis.multitask.loss_weights import loss_weight_curves
    from hallmark.analysis.plots.training_curves import learning_curves
    from hallmark.analysis.state import save_figure

    figures = run.directory / "figures"
    write_figures(module, figures)
    save_figure(figures / "learning_curves.png", learning_curves(run.history, run.record.selected))
    if LOSS_WEIGHTS in logs:
        save_figure(figures / f"{LOSS_WEIGHTS}.png", loss_weight_curves(logs[LOSS_WEIGHTS]))
