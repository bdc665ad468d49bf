"""Workers as jobs of SLURM, through submitit."""

from collections.abc import Mapping, Sequence
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


class SlurmJobs(Launcher):
    """One job a worker. A job that is out of time, or preempted, saves a checkpoint and is queued again.

    The sweep's folder lies where every node sees it; submitit keeps its scripts, pickles and logs in `workers/submitit`
    of it.

    Args:
        cluster: `slurm`, or `local` for submitit's own processes of this machine, to try the options.
        max_num_timeout: how often a job may be out of time.
        options: of `submitit.AutoExecutor`, those of SLURM alone as `slurm_<option of sbatch>`.
    """

    def __init__(self, cluster: str, max_num_timeout: int, options: Mapping[str, Any]) -> None:
        require(cluster in ("slurm", "local"), "workers.cluster", cluster, "slurm or local")
        require(max_num_timeout >= 0, "workers.max_num_timeout", max_num_timeout, "at least 0")
        self.cluster, self.max_num_timeout, self.options = cluster, max_num_timeout, dict(options)

    def check(self, storage: str | None) -> None:
        require_installed("submitit", "slurm")
        if self.cluster == "slurm":
            require_shared_storage(storage)
        self._executor(Path())

    def start(self, command: Sequence[str], log: Path) -> Worker:
        return _SlurmJob(self._executor(log.parent / "submitit").submit(WorkerCommand(command, log)))

    def _executor(self, folder: Path) -> Any:
        import submitit

        names = {"slurm_max_num_timeout": self.max_num_timeout, "local_max_num_timeout": self.max_num_timeout}
        limit = {name: number for name, number in names.items() if name.startswith(self.cluster)}
        try:
            executor = submitit.AutoExecutor(folder, cluster=self.cluster, **limit)
            executor.update_parameters(name="hallmark-worker", **self.options)
        except (NameError, TypeError, ValueError) as error:
            raise SettingError("workers.options", self.options, f"what submitit knows ({error})") from error
        except RuntimeError as error:  # no sbatch here
            raise ValueError(f"workers.cluster={self.cluster}: {error}") from error
        return executor


class _SlurmJob(Worker):
    def __init__(self, job: Any) -> None:
        self.job = job

    def exit_status(self) -> int | None:
        from submitit.core.utils import UncompletedJobError

        if not self.job.done():
            return None
        try:
            return int(self.job.result())
        except UncompletedJobError:  # cancelled, killed, or its node is gone
            return 1

    def stop(self) -> None:
        self.job.cancel()

    kill = stop

    def cancel_if_queued(self) -> None:
        if self.job.state == "PENDING":
            self.job.cancel()
