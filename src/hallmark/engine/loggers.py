"""Loggers of a run, chosen by `logger=`; `history.csv` is written in any case."""

import os
from collections.abc import Sequence

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from hallmark.engine.job import Job
from hallmark.runs.run import Run


def wandb(*, job: Job, run: Run, project: str, group: str | None, tags: Sequence[str]) -> WandbLogger:
    """Weights & Biases: offline without a key; the same W&B run after a resume."""
    offline = "WANDB_API_KEY" not in os.environ
    logger = WandbLogger(
        name=f"{job.config.name}-{job.id}", id=f"{job.config.name}-{job.id}", project=project, group=group,
        tags=list(tags), offline=offline, save_dir=run.directory, resume="allow", job_type="train",
    )  # fmt: skip
    logger.experiment.config.update(job.plain, allow_val_change=True)
    return logger


def tensorboard(*, job: Job, run: Run) -> TensorBoardLogger:
    return TensorBoardLogger(run.directory, name="", version="tensorboard")
