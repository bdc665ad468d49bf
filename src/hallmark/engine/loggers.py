"""Loggers of a run, chosen by `logger=`; `history.csv` is written in any case."""

import os
from collections.abc import Sequence

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from hallmark.engine.job import Job
from hallmark.runs.run import Run


class OneRunEach(WandbLogger):
    """Ends its W&B run with the fit, because the next job of a grid would log into one that is still open."""

    def finalize(self, status: str) -> None:
        super().finalize(status)
        if self._experiment is not None:
            from wandb import finish  # an extra

            finish(exit_code=0 if status == "success" else 1)


def wandb(*, job: Job, run: Run, project: str, group: str | None, tags: Sequence[str]) -> WandbLogger:
    """Weights & Biases: offline without a key; the same W&B run after a resume."""
    offline = "WANDB_API_KEY" not in os.environ
    logger = OneRunEach(
        name=f"{job.config.name}-{job.id}", id=f"{job.config.name}-{job.id}", project=project, group=group,
        tags=list(tags), offline=offline, save_dir=run.directory, resume="allow", job_type="train",
    )  # fmt: skip
    logger.experiment.config.update(job.plain, allow_val_change=True)
    return logger


def tensorboard(*, job: Job, run: Run) -> TensorBoardLogger:
    return TensorBoardLogger(run.directory, name="", version="tensorboard")
