"""What a run tells its loggers, from its start to its evaluations and its release."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf

from hallmark.engine.build import build
from hallmark.engine.job import Job
from hallmark.runs.run import Run


class Tracker(Protocol):
    """What `logger.<name>` of the configuration builds."""

    def training(self, job: Job, run: Run) -> AbstractContextManager[Logger]:
        """Follow a training: the block ends as the run ends, with what stopped it or with all that it leaves."""

    def evaluated(self, job: Job, run: Run, split: str, written: Sequence[Path]) -> None:
        """Add the metrics of `split` and the files `written` by analyses to the finished run."""

    def released(self, run: Run, archive: Path) -> None:
        """Mark the finished run as released, and keep `archive` with it."""


@contextmanager
def tracked(job: Job, run: Run) -> Iterator[list[Logger]]:
    """The Lightning loggers of a training; they learn how the block ends.

    Raises:
        ValueError: a logger is not installed, or its service does not answer.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(tracker.training(job, run)) for tracker in _trackers(job.config)]


def unused_loggers(job: Job, run: Run) -> list[str]:
    """Loggers that `job` asks for and that the finished `run` was made without."""
    made_with = OmegaConf.select(OmegaConf.load(run.directory / "config.yaml"), "logger") or {}
    return [str(name) for name in job.config.logger or {} if name not in made_with]


def track_evaluation(job: Job, run: Run, split: str, written: Sequence[Path]) -> None:
    """Add an evaluation to what the loggers of the run's own configuration hold of it."""
    for tracker in _trackers(job.config):
        tracker.evaluated(job, run, split, written)


def track_release(run: Run, archive: Path) -> None:
    """Tell the loggers of the run's own configuration of its release.

    Raises:
        ValueError: a logger is not installed, or its service does not answer.
    """
    for tracker in _trackers(OmegaConf.load(run.directory / "config.yaml")):
        tracker.released(run, archive)


def _trackers(config: Any) -> list[Tracker]:
    return [build(node) for node in (config.logger or {}).values()]
