"""One run directory: who may work in it, and what a repeated command means there."""

import shutil
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hallmark.checks import Interrupted, Portable
from hallmark.runs.access_folders import COPY
from hallmark.runs.locks import locked_file
from hallmark.runs.record import Provenance, Record, RunState
from hallmark.runs.selection import select
from hallmark.storage.files import read_csv, read_json, remove_stale, write_json, zip_damage
from hallmark.storage.secrets import redacted

if TYPE_CHECKING:
    import pandas as pd


SET_FILE = "repeats.json"
"""What marks the directory of a set of repeats."""


class RunConflict(Portable, ValueError):
    """The command cannot be carried out in this run directory as it stands.

    Attributes:
        problem: what is the matter, without `advice`, which is for whoever gave the command of this very run.
    """

    def __init__(self, problem: str, advice: str | None = None) -> None:
        super().__init__(f"{problem}. {advice}" if advice else problem)
        self.problem = problem


class RunLocked(RunConflict):
    """Another process works in the run directory."""


class RunDirectory:
    """A directory in which a run is, or is to be made; it may be empty or not there yet.

    Layout: `config.yaml`, `record.json`, `metrics.json`, `history.csv`, `splits.csv`, `predictions/`,
    `checkpoints/`, `figures/`, `analysis/`; `parents/` (`runs/parents.py`), `state/` (`runs/fitted.py`), `partial/`
    while a model that nothing is fitted in answers, and `out_of_fold/` with its refits.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def best(self) -> Path:
        return self.directory / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        return self.directory / "checkpoints" / "last.ckpt"

    @property
    def pictures(self) -> Path:
        """Pictures of the fit, `<name>_<epoch>.png`."""
        return self.directory / "figures" / "epochs"

    @property
    def partial(self) -> Path:
        """Predictions of a run that nothing is fitted in, as far as they have come."""
        return self.directory / "partial"

    @property
    def metrics(self) -> dict[str, Any]:
        path = self.directory / "metrics.json"
        return read_json(path) if path.exists() else {}

    def read_record(self) -> Record | None:
        """The record as it is on disk now; None where no run was begun."""
        return Record.read(self.directory)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory alone.

        Raises:
            RunLocked: another process holds it.
        """
        with locked(self.directory):
            remove_stale(self.directory.rglob(".*"))
            yield

    def resume_status(
        self, run_id: str, provenance: Provenance, *, rerun: bool, any_code: bool = False
    ) -> RunState | None:
        """What the directory holds of this run: done, interrupted, or None for nothing to build on.

        Call it under the lock: a record that says `running` is then of a process that died.

        Args:
            any_code: a run that was made with other code is built on as well.

        Raises:
            RunConflict: it holds a run of another configuration, on other data or with other code; or a set of repeats,
                which no `rerun` replaces by one run.
        """
        if (self.directory / SET_FILE).exists():
            raise RunConflict(
                f"{self.directory} holds a set of repeats", "Give its command again, or another place to this run"
            )
        record = None if rerun else self.read_record()
        if record is None:
            return None
        # A run that failed before its first checkpoint holds nothing to build on, whatever made it.
        resumable = self.best.exists() or self.last.exists() or self.partial.exists()
        if record.state is RunState.FAILED and not resumable:
            return None
        differences = record.provenance.differences(provenance, any_code=any_code)
        if record.run_id != run_id:
            there = f"{record.run_id} there (see its config.yaml)"
            differences.insert(0, f"configuration: {there}, {run_id} asked for")
        if differences:
            raise RunConflict(
                f"{self.directory} is {record.state}, but was produced with a different configuration, data or code; "
                f"it differs in {'; '.join(differences)}",
                "Add rerun=true to replace it",
            )
        if record.state is RunState.DONE:
            return RunState.DONE
        return RunState.INTERRUPTED if resumable else None

    def checkpoint_to_resume(self) -> Path | None:
        """The newest checkpoint that is whole: `last.ckpt`, or else `best.ckpt`; None where there is none at all.

        Raises:
            RunConflict: what is there is damaged.
        """
        damages = []
        for path in (self.last, self.best):
            if path.exists():
                damage = zip_damage(path)
                if damage is None:
                    return path
                damages.append(f"{path} is damaged ({damage})")
        if damages:
            advice = "Restore one of them, or train from the beginning with rerun=true"
            raise RunConflict("; ".join(damages), advice)
        return None

    def clear(self, *, spared: Sequence[str] = ()) -> None:
        """Remove what an earlier run left, but for the lock that this process holds, its `looks.json`, and `spared`.

        Never of a set of repeats. The record goes first: what is left of a process killed here is then no run, and
        never taken for a finished one.
        """
        assert not (self.directory / SET_FILE).exists(), f"{self.directory} holds a set of repeats"
        (self.directory / "record.json").unlink(missing_ok=True)
        for path in self.directory.iterdir():
            if path.name in (".lock", COPY, *spared):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()


class Run(RunDirectory):
    """A run that was begun: `record` is what `record.json` says of it.

    Args:
        record: of a run that begins here; one that was begun is read.

    Raises:
        ValueError: no run was begun in the directory, or its record is of another version.
    """

    def __init__(self, directory: Path, record: Record | None = None) -> None:
        super().__init__(directory)
        self.record = self._existing_record() if record is None else record

    def _existing_record(self) -> Record:
        if (record := self.read_record()) is None:
            raise ValueError(f"{self.directory}: there is no run; it has no record.json")
        return record

    def add_metrics(self, split: str, metrics: dict[str, Any]) -> None:
        write_json(self.directory / "metrics.json", {**self.metrics, split: metrics})

    @property
    def history(self) -> "pd.DataFrame":
        """`history.csv`, one row an epoch; empty where there is none."""
        import pandas as pd

        path = self.directory / "history.csv"
        return read_csv(path) if path.exists() else pd.DataFrame()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory alone, with the record as it is by then.

        Raises:
            RunLocked: another process holds it.
        """
        with super().locked():
            self.record = self._existing_record()  # another process may have written it since it was read
            yield

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Keep `record` on disk as running, then as done, interrupted or failed by how the block ends."""
        record = self.record
        # Of a resumed run the seconds add up; by a clock that nobody sets back.
        spent, began = record.wall_seconds, time.monotonic()
        record.state, record.error = RunState.RUNNING, None
        record.write(self.directory)
        try:
            yield
        except BaseException as error:
            # A launcher exits where it queues the job again.
            stopped = isinstance(error, Interrupted | KeyboardInterrupt | SystemExit)
            record.state = RunState.INTERRUPTED if stopped else RunState.FAILED
            record.error = None if stopped else redacted(traceback.format_exc())
            if not stopped:
                error.add_note(f"recorded in {self.directory / 'record.json'}")
            record.wall_seconds = round(spent + time.monotonic() - began, 2)
            with suppress(OSError):  # on a full disk `error` says it, and the record there still says running
                record.write(self.directory)
            raise
        record.state, record.wall_seconds = RunState.DONE, round(spent + time.monotonic() - began, 2)
        record.finished = datetime.now(UTC).isoformat()
        record.write(self.directory)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold `directory` alone.

    Raises:
        RunLocked: another process holds it.
    """
    message = f"{directory}: another process is working on this run; wait for it"
    with locked_file(directory / ".lock", lambda: RunLocked(message)):
        yield


def open_run(path: str | Path) -> Run:
    """The finished run at `path`, the only finished one directly below it, or of `<folder>/latest` the last one there.

    Raises:
        ValueError: there is no run, several, or it is not done.
    """
    if RunDirectory(Path(path)).read_record() is None:
        path = select(Path(path), sets=False)
    run = Run(Path(path))
    if run.record.state is not RunState.DONE:
        again = " ".join(run.record.command)
        raise ValueError(
            f"run={run.directory}: the run is {run.record.state}; repeat its command to finish it: {again}"
        )
    return run
