"""The command that a process was started for, as a user would repeat it."""

import shlex
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig


def command_line() -> list[str]:
    """Words to type again, quoted; in a job of a launcher, such as SLURM's, those of that job alone."""
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        if Path(sys.argv[0]).stem != hydra.job.name:
            return ["python", f"{hydra.job.name}.py", *map(shlex.quote, hydra.overrides.task)]
    return ["python", *map(shlex.quote, sys.argv)]
