"""The command that a process was started for, as a user would repeat it."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

FIT_SETTINGS = tuple(
    f"trainer.{name}" for name in ("max_epochs", "limit_train_batches", "gradient_clip_val", "accumulate_grad_batches")
)
"""Without effect on a model in which nothing is fitted."""


def typed_settings() -> list[str]:
    """Keys of the overrides that this command was started with, without + and ~; [] where Hydra did not start it."""
    if not HydraConfig.initialized():
        return []
    return [override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task]


def root(key: str) -> str:
    """The first part of a key: `data` of `data.folder`, `data/split` and `data/split@data.outer`."""
    return re.split(r"[./@]", key, maxsplit=1)[0]


def refuse_without_effect(keys: Sequence[str], why: str) -> None:
    """Raise ValueError, where there are such `keys`: what was asked with them would not be done."""
    if keys:
        raise ValueError(f"{', '.join(dict.fromkeys(keys))}: no effect, because {why}")


def refuse_foreign_ranks() -> None:
    """Raises ValueError under a launcher that started several processes of one command."""
    further = any(int(os.environ.get(name, 0)) > 0 for name in ("LOCAL_RANK", "SLURM_PROCID"))
    if further or int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ValueError(
            "this command was started several times at once, as torchrun and srun do; "
            "start it once, and trainer.devices=N starts the other processes of this machine"
        )


def command_line() -> list[str]:
    """Words to type again, quoted; in a job of a launcher, such as SLURM's, those of that job alone."""
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        if Path(sys.argv[0]).stem != hydra.job.name:
            return ["python", f"{hydra.job.name}.py", *map(shlex.quote, hydra.overrides.task)]
    return ["python", *map(shlex.quote, sys.argv)]
