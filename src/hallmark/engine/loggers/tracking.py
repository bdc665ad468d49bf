"""What a run tells its loggers, from its start to its evaluations and its release."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from lightning.pytorch.loggers import Logger

from hallmark.engine.build import build
from hallmark.engine.config.stored import read_config
from hallmark.engine.config.trust import Trust
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
def training_loggers(job: Job, run: Run) -> Iterator[list[Logger]]:
    """The Lightning loggers of a training; they learn how the block ends.

    Raises:
        ValueError: a logger is not installed, or its service does not answer.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(tracker.training(job, run)) for tracker in _trackers(job.config, job.trusted)]


def track_evaluation(job: Job, run: Run, split: str, written: Sequence[Path]) -> None:
    """Add an evaluation to what the loggers of the run's own configuration hold of it."""
    for tracker in _trackers(job.config, job.trusted):
        tracker.evaluated(job, run, split, written)


def track_release(run: Run, archive: Path, trust: Trust) -> None:
    """Tell the loggers of the run's own configuration of its release.

    Raises:
        ValueError: a logger is not installed, or its service does not answer.
    """
    for tracker in _trackers(read_config(run.directory, trust), trust.packages):
        tracker.released(run, archive)


def _trackers(config: Any, trusted: Sequence[str]) -> list[Tracker]:
    return [build(node, Tracker, trusted=trusted) for node in (config.logger or {}).values()]
