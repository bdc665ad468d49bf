"""The command that a process was started for, as a user would repeat it."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from hallmark.engine.distributed.torchrun import started_by_torchrun

FIT_SETTINGS = tuple(
    f"trainer.{name}" for name in ("max_epochs", "limit_train_batches", "gradient_clip_val", "accumulate_grad_batches")
)
"""Without effect on a model in which nothing is fitted."""


def typed_settings() -> list[str]:
    """`keys_of` the overrides that this command was started with; [] where Hydra did not start it."""
    if not HydraConfig.initialized():
        return []
    return keys_of(HydraConfig.get().overrides.task)


def keys_of(overrides: Sequence[str]) -> list[str]:
    """The keys of `overrides`, without + and ~."""
    return [override.partition("=")[0].lstrip("+~") for override in overrides]


def root(key: str) -> str:
    """The first part of a key: `data` of `data.folder`, `data/split` and `data/split@data.outer`."""
    return re.split(r"[./@]", key, maxsplit=1)[0]


def refuse_without_effect(keys: Sequence[str], why: str) -> None:
    """Raise ValueError, where there are such `keys`: what was asked with them would not be done."""
    if keys:
        raise ValueError(f"{', '.join(dict.fromkeys(keys))}: no effect, because {why}")


def refuse_foreign_ranks() -> None:
    """Raises ValueError under a launcher other than torchrun that started several processes of one command."""
    further = any(int(os.environ.get(name, 0)) > 0 for name in ("LOCAL_RANK", "SLURM_PROCID"))
    if not started_by_torchrun() and (further or int(os.environ.get("WORLD_SIZE", 1)) > 1):
        raise ValueError(
            "this command was started several times at once, as srun does; start it once, and trainer.devices=N starts "
            "the other processes of this machine, or by torchrun, which srun starts once on each node"
        )


def command_line() -> list[str]:
    """Words to type again, quoted; in a job of a launcher, such as SLURM's, those of that job alone."""
    start = ["python"]
    if started_by_torchrun():
        nodes, devices = os.environ["GROUP_WORLD_SIZE"], os.environ["LOCAL_WORLD_SIZE"]
        start = ["torchrun", f"--nnodes={nodes}", f"--nproc-per-node={devices}"]
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        if Path(sys.argv[0]).stem != hydra.job.name:
            return [*start, f"{hydra.job.name}.py", *map(shlex.quote, hydra.overrides.task)]
    return [*start, *map(shlex.quote, sys.argv)]
