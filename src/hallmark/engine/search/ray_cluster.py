"""Workers as tasks of a Ray cluster, through Ray's own interface."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hallmark.checks import SettingError, require
from hallmark.engine.search.launchers import (
    Launcher,
    Worker,
    WorkerCommand,
    require_installed,
    require_shared_storage,
)

_VARIABLES = ("HALLMARK_", "PYTHONPATH")  # of this command; a worker has the other variables of its node


class RayCluster(Launcher):
    """One task a worker, which keeps its processors and GPUs for as long as trials wait.

    Every node has this environment and sees the sweep's folder under the same path. Ray is not asked to retry a task:
    the study knows what a lost worker leaves, and its run goes on from a checkpoint.

    Args:
        address: of a cluster, `auto` for the one that runs on this machine, `local` for a new one that ends with the
            sweep.
        num_cpus: processors of a worker; `num_gpus`: its GPUs.
    """

    def __init__(self, address: str, num_cpus: float, num_gpus: float) -> None:
        require(num_cpus > 0, "workers.num_cpus", num_cpus, "more than 0")
        require(num_gpus >= 0, "workers.num_gpus", num_gpus, "at least 0")
        self.address, self.resources = address, {"num_cpus": num_cpus, "num_gpus": num_gpus}

    def check(self, storage: str | None) -> None:
        require_installed("ray", "ray")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's makers unless asked for
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        try:
            ray.init(address=self.address, log_to_driver=False, logging_level="warning", include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            expected = f"a Ray cluster that answers (ray start --head), or local: {error}"
            raise SettingError("workers.address", self.address, expected) from error
        if len(ray.nodes()) > 1:
            require_shared_storage(storage)

    def start(self, command: Sequence[str], log: Path) -> Worker:
        import ray

        variables = {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)}
        carry_out = WorkerCommand(command, log.absolute(), variables)
        return _RayTask(ray.remote(max_retries=0, **self.resources)(_carried_out).remote(carry_out))

    def close(self) -> None:
        import ray

        ray.shutdown()


def _carried_out(command: WorkerCommand) -> int:
    return command()


class _RayTask(Worker):
    def __init__(self, task: Any) -> None:
        self.task = task

    def exit_status(self) -> int | None:
        import ray

        ended, _ = ray.wait([self.task], timeout=0)
        if not ended:
            return None
        try:
            return int(ray.get(self.task))
        except ray.exceptions.RayError:  # cancelled, killed, or its node is gone
            return 1

    def stop(self) -> None:
        import ray

        ray.cancel(self.task)

    def kill(self) -> None:
        import ray

        ray.cancel(self.task, force=True)
