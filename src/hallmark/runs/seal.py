"""The test seal: the test split of a data set opens once for an experiment, and each access is recorded."""

import platform
import shlex
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from hallmark.runs.access import (
    SAME_SHARE,
    SEEN_SHARE,
    Earlier,
    LabelledRows,
    Metrics,
    Subject,
    TestAccess,
    earlier_accesses,
    hashes_to_text,
)
from hallmark.runs.access_folders import COPY, AccessFolders, absolute_folder, outputs_of
from hallmark.runs.configuration import FILE, load_config
from hallmark.runs.identity import relevant_settings
from hallmark.runs.locks import is_locked, locked_file
from hallmark.runs.parents import INIT_FROM
from hallmark.runs.record import Record
from hallmark.runs.repeats import Result, runs_of
from hallmark.runs.run import Run
from hallmark.storage.files import write_json
from hallmark.storage.hashing import digest

__all__ = ["OpenTestAccess", "Seal", "SealedError", "Subject", "TestAccess", "accesses_of", "seal_of"]

# Settings that do not make another experiment: what is left is a copy of it under another name.
_NAMES = ("name", "seed", "repeat")
_DATA = ("folder", "source", "sample", "split", "extra", "on_problem", "leakage")

_WAIT_SECONDS = 60  # for another process to note an access; that takes milliseconds


class SealedError(ValueError):
    """The test split may not be opened; the message shows who did."""


class Seal:
    """The accesses to the test split of one data set by one experiment.

    Records are written to `<folder>/<name>/<content>.json`, and a copy into the directory of each run that was
    evaluated.

    Args:
        folder: the setting `paths.seals`.
        name: of the experiment.
        content: fingerprint of the data set without its split, so that another split does not open it.
        folders: where else access records are written and looked for.
        recipe: hash of what makes it the same experiment under another name.
        rows: of the data set, by which it is known where its fingerprint is another.
    """

    def __init__(
        self, folder: Path, name: str, content: str, *, folders: AccessFolders | None = None,
        recipe: str | None = None, rows: LabelledRows | None = None,
    ) -> None:  # fmt: skip
        self.name, self.content, self.recipe, self.rows = name, content, recipe, rows
        self.folders = folders or AccessFolders((folder,))
        self.path = folder / name / f"{content}.json"

    def accesses(self) -> list[TestAccess]:
        """Records of all accesses that make another one a second access, oldest first.

        Raises:
            ValueError: a file of access records is damaged.
        """
        return self._earlier().accesses

    @contextmanager
    def opened(self, runs: Sequence[Run], *, reason: str | None) -> Iterator["OpenTestAccess"]:
        """Let this process alone read the test split, with one access record for all of `runs`.

        An access that was cut off before all of its runs had numbers goes on if it was to the same runs.

        Raises:
            SealedError: it was opened before and no reason is given, or another process has it open.
        """
        subjects = [Subject.of(run) for run in runs]
        reason = (reason or "").strip() or None
        with ExitStack() as locks:
            # Every process locks in the same order, so that of those that want some of the files one gets all.
            for file in sorted(folder / self.name / self.path.name for folder in self.folders.written):
                locks.enter_context(locked_file(file.with_suffix(".lock"), self._busy))
            with ExitStack() as noting:  # accesses to other data with the same rows hold other locks
                for folder in sorted(self.folders.written):
                    lock = locked_file(folder / ".lock", self._busy, seconds=_WAIT_SECONDS)
                    noting.enter_context(lock)
                earlier = self._earlier()
                wanted = {subject.identity for subject in subjects}
                cut_off = (access for access in earlier.accesses if access.completed is None)
                access = next((a for a in cut_off if {subject.identity for subject in a.runs} == wanted), None)
                if access is None:
                    if earlier.accesses and not reason:
                        raise self._refusal(earlier)
                    access = TestAccess(
                        _now(), platform.node(), shlex.join(sys.argv), reason, subjects, id=uuid.uuid4().hex,
                        name=self.name, recipe=self.recipe, content=self.content,
                    )  # fmt: skip
                    earlier.accesses.append(access)
                access.reason = access.reason or reason
                if self.rows is not None and access.test_rows is None:
                    access.test_rows = hashes_to_text(self.rows.test)
                    access.other_rows = hashes_to_text(self.rows.other)
                self._write(earlier.accesses, runs)
            yield OpenTestAccess(access, save=lambda: self._write(earlier.accesses, runs))

    def _earlier(self) -> Earlier:
        return earlier_accesses(
            self.folders.accesses(self.name), name=self.name, recipe=self.recipe, content=self.content, rows=self.rows
        )

    def _busy(self) -> SealedError:
        return SealedError(f"the test split of {self.name} is open in another process:{_listed(self.accesses())}")

    def _refusal(self, earlier: Earlier) -> SealedError:
        last = earlier.accesses[-1]
        # An access to other data may be going on just now; those to this data have waited for this process's lock.
        lock = Path(str(last.name)) / f"{last.content}.lock"
        elsewhere = last.completed is None and (last.name, last.content) != (self.name, self.content)
        if elsewhere and any(is_locked(folder / lock) for folder in self.folders.written):
            return self._busy()
        again = ' To open it again, say why: seal.reason="..."; every report will show it.'
        if last.completed is None:
            again = f" That access was cut off; its command finishes it: {last.command}." + again
        sealed = "on this data is sealed; it was opened"
        if all(access.content != self.content for access in earlier.accesses):
            sealed = (
                f"is sealed: of its {earlier.n} different test rows {_share(earlier.seen, earlier.n)} were test rows "
                f"of earlier accesses ({float(SEEN_SHARE):.0%} make a second access), and "
                f"{_share(earlier.known, earlier.n)} are in their data ({float(SAME_SHARE):.0%} make it "
                "the same data); it was opened"
            )
        listed = _listed(earlier.accesses)
        return SealedError(f"the test split of {self.name} {sealed}:{listed}\n{again.strip()}")

    def _write(self, accesses: Sequence[TestAccess], runs: Sequence[Run]) -> None:
        """Write `accesses` into all places, that which counts last: killed before it, the same command goes on."""
        raw = [asdict(access) for access in accesses]
        same = [access for access in raw if (access["name"], access["content"]) == (self.name, self.content)]
        for run in runs:
            write_json(run.directory / COPY, {"looks": raw})
        for folder in reversed(self.folders.written):
            records = {"name": self.name, "content": self.content, "looks": same}
            write_json(folder / self.name / self.path.name, records)


class OpenTestAccess:
    """The right to access, while `Seal.opened` lasts."""

    def __init__(self, access: TestAccess, *, save: Callable[[], None]) -> None:
        self.access, self._save = access, save

    def record(self, run: Run, metrics: Metrics) -> None:
        """Write what `run` scored into the access record; the last run completes it."""
        # By identity and not by directory, which may be another one than when the access began.
        identity = Subject.of(run).identity
        assert identity in {subject.identity for subject in self.access.runs}, f"{run.directory} is not in this access"
        self.access.runs = [
            replace(subject, metrics=metrics) if subject.identity == identity else subject
            for subject in self.access.runs
        ]
        if self.access.completed is None and all(subject.metrics is not None for subject in self.access.runs):
            self.access.completed = _now()
        self._save()


def seal_of(run: Run, *more: Run) -> Seal:
    """The seal that a run's test split is under; with `more`, that of a set of runs on the same data.

    Raises:
        ValueError: the run's record does not name the content of its data.
    """
    runs = [run, *more]
    content = run.record.data.get("content")
    if content is None:
        raise ValueError(f"{run.directory}: its record does not name the content of its data; train it again")
    config = load_config(run.directory / FILE)
    folder = _folder(run, config)
    # Runs of an earlier version do not record the folder, but their configuration has it.
    made_under = run.record.seals or str(absolute_folder(Path(config.paths.outputs), config.paths.get("seals")))
    folders = AccessFolders.of(
        [each.directory for each in runs], run.record.name, configured=folder, recorded=made_under
    )
    rows = [LabelledRows.read(each.directory) for each in runs]
    return Seal(
        folder, run.record.name, str(content), folders=folders, recipe=_recipe(config, run.record),
        rows=LabelledRows.union(known for known in rows if known) if any(rows) else None,
    )  # fmt: skip


def accesses_of(result: Result) -> list[TestAccess]:
    """All accesses that open the test split of a result's data for its experiment, oldest first, by whichever run."""
    return seal_of(*runs_of(result)).accesses()


def _folder(run: Run, config: Any) -> Path:
    """`paths.seals` of the run; beside the run where it is below `paths.outputs`, whatever the working folder is."""
    outputs = Path(config.paths.outputs)
    seals = config.paths.get("seals")
    if config.paths.run_dir:
        return absolute_folder(outputs, seals)
    root = outputs_of(run.directory, config.name)
    if seals is not None and Path(seals).is_relative_to(outputs):
        return root / Path(seals).relative_to(outputs)
    return absolute_folder(root, seals)


def _recipe(config: Any, record: Record) -> str:
    """What two experiments have in common that differ in name, seed and data alone, wherever their parents lie."""
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    settings = relevant_settings({str(key): value for key, value in raw.items() if key not in _NAMES})
    if record.parents:
        entries = record.parents.items()
        known = {role: [entry.get("run_id", entry.get("source")), entry.get("weights")] for role, entry in entries}
        settings |= {INIT_FROM: None, "parents": known}
    settings["data"] = {key: value for key, value in (settings.get("data") or {}).items() if key not in _DATA}
    return digest(settings)


def _listed(accesses: Sequence[TestAccess]) -> str:
    return "".join(f"\n  {access}" for access in accesses)


def _share(part: int, total: int) -> str:
    return f"{part} ({part / total:.1%})"


def _now() -> str:
    """To the microsecond, since accesses are put in the order of their times."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
