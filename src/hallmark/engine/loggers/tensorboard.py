"""TensorBoard: event files in the run directory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from hallmark.engine.job import Job
from hallmark.runs.run import Run


class TensorBoard:
    """Learning curves as TensorBoard events."""

    @contextmanager
    def training(self, job: Job, run: Run) -> Iterator[Logger]:
        yield TensorBoardLogger(run.directory, name="", version="tensorboard")

    def evaluated(self, job: Job, run: Run, split: str, written: Sequence[Path]) -> None:
        """Nothing: TensorBoard shows curves."""

    def released(self, run: Run, archive: Path) -> None:
        """Nothing, likewise."""
