"""The test seal: the test split of a data set opens once for an experiment, and each look leaves a receipt."""

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

from hallmark.runs.configuration import FILE, load_config
from hallmark.runs.identity import relevant_settings
from hallmark.runs.locks import holding, is_held
from hallmark.runs.looks import (
    SAME_SHARE,
    SEEN_SHARE,
    TEST,
    Earlier,
    LabelledRows,
    Look,
    Metrics,
    Subject,
    earlier_looks,
    hashes_to_text,
)
from hallmark.runs.receipts import COPY, ReceiptFolders, absolute_folder, outputs_of
from hallmark.runs.repeats import Result, runs_of
from hallmark.runs.run import Run
from hallmark.storage.files import write_json
from hallmark.storage.hashing import digest

__all__ = ["TEST", "Look", "OpenLook", "Seal", "SealedError", "Subject", "receipts_of", "seal_of"]

# Settings that do not make another experiment: what is left is a copy of it under another name.
_NAMES = ("name", "seed", "repeat")
_DATA = ("folder", "source", "sample", "split", "extra", "on_problem", "leakage")

_WAIT_SECONDS = 60  # for another process to note a look; that takes milliseconds


class SealedError(ValueError):
    """The test split may not be looked at; the message shows who did."""


class Seal:
    """The looks at the test split of one data set by one experiment.

    Receipts are written to `<folder>/<name>/<content>.json`, and a copy into the directory of each run that was
    looked at.

    Args:
        folder: the setting `paths.seals`.
        name: of the experiment.
        content: fingerprint of the data set without its split, so that another split does not open it.
        folders: where else receipts are written and looked for.
        recipe: hash of what makes it the same experiment under another name.
        rows: of the data set, by which it is known where its fingerprint is another.
    """

    def __init__(
        self, folder: Path, name: str, content: str, *, folders: ReceiptFolders | None = None,
        recipe: str | None = None, rows: LabelledRows | None = None,
    ) -> None:  # fmt: skip
        self.name, self.content, self.recipe, self.rows = name, content, recipe, rows
        self.folders = folders or ReceiptFolders((folder,))
        self.path = folder / name / f"{content}.json"

    def looks(self) -> list[Look]:
        """Receipts of all looks that make another one a second look, oldest first.

        Raises:
            ValueError: a file of receipts is damaged.
        """
        return self._earlier().looks

    @contextmanager
    def opened(self, runs: Sequence[Run], *, reason: str | None) -> Iterator["OpenLook"]:
        """Let this process alone look at the test split, with one receipt for all of `runs`.

        A look that was cut off before all of its runs had numbers goes on if it was at the same runs.

        Raises:
            SealedError: it was opened before and no reason is given, or another process has it open.
        """
        subjects = [Subject.of(run) for run in runs]
        reason = (reason or "").strip() or None
        with ExitStack() as locks:
            for file in self._written():
                locks.enter_context(holding(file.with_suffix(".lock"), self._busy))
            with self._noting():  # looks at other data with the same rows hold other locks
                earlier = self._earlier()
                look = _unfinished(earlier.looks, subjects)
                if look is None:
                    if earlier.looks and not reason:
                        raise self._refusal(earlier)
                    look = Look(
                        _now(), platform.node(), shlex.join(sys.argv), reason, subjects, id=uuid.uuid4().hex,
                        name=self.name, recipe=self.recipe, content=self.content,
                    )  # fmt: skip
                    earlier.looks.append(look)
                look.reason = look.reason or reason
                if self.rows is not None and look.test_rows is None:
                    look.test_rows, look.other_rows = hashes_to_text(self.rows.test), hashes_to_text(self.rows.rest)
                self._write(earlier.looks, runs)
            yield OpenLook(look, save=lambda: self._write(earlier.looks, runs))

    def _earlier(self) -> Earlier:
        return earlier_looks(
            self.folders.looks(self.name), name=self.name, recipe=self.recipe, content=self.content, rows=self.rows
        )

    def _written(self) -> list[Path]:
        """In an order in which every process locks them, so that one of those that want some of them gets all."""
        return sorted(folder / self.name / self.path.name for folder in self.folders.written)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Read and write receipts while no other process does."""
        with ExitStack() as locks:
            for folder in sorted(self.folders.written):
                locks.enter_context(holding(folder / ".lock", self._busy, seconds=_WAIT_SECONDS))
            yield

    def _busy(self) -> SealedError:
        return SealedError(f"the test split of {self.name} is open in another process:{_listed(self.looks())}")

    def _refusal(self, earlier: Earlier) -> SealedError:
        last = earlier.looks[-1]
        if last.completed is None and self._is_open(last):
            return self._busy()
        again = ' To open it again, say why: seal.reason="..."; every report will show it.'
        if last.completed is None:
            again = f" That look was cut off; its command finishes it: {last.command}." + again
        sealed = "on this data is sealed; it was opened"
        if all(look.content != self.content for look in earlier.looks):
            sealed = (
                f"is sealed: of its {earlier.n} different test rows {_share(earlier.seen, earlier.n)} were test rows "
                f"of earlier looks ({float(SEEN_SHARE):.0%} make a second look), and "
                f"{_share(earlier.known, earlier.n)} are in the data of these looks ({float(SAME_SHARE):.0%} make it "
                "the same data); it was opened"
            )
        listed = _listed(earlier.looks)
        return SealedError(f"the test split of {self.name} {sealed}:{listed}\n{again.strip()}")

    def _is_open(self, look: Look) -> bool:
        """Whether a process is at a look at other data just now; looks at this data wait for this process."""
        if (look.name, look.content) == (self.name, self.content):
            return False
        return any(is_held(folder / str(look.name) / f"{look.content}.lock") for folder in self.folders.written)

    def _write(self, looks: Sequence[Look], runs: Sequence[Run]) -> None:
        """Write `looks` into all places, that which counts last: killed before it, the same command goes on."""
        raw = [asdict(look) for look in looks]
        same = [look for look in raw if (look["name"], look["content"]) == (self.name, self.content)]
        for run in runs:
            write_json(run.directory / COPY, {"looks": raw})
        for folder in reversed(self.folders.written):
            receipts = {"name": self.name, "content": self.content, "looks": same}
            write_json(folder / self.name / self.path.name, receipts)


class OpenLook:
    """The right to look, while `Seal.opened` lasts."""

    def __init__(self, look: Look, *, save: Callable[[], None]) -> None:
        self.look, self._save = look, save

    def record(self, run: Run, metrics: Metrics) -> None:
        """Write what `run` scored into the receipt; the last run completes it."""
        identity = Subject.of(run).identity
        assert identity in {subject.identity for subject in self.look.runs}, f"{run.directory} is not in this look"
        self.look.runs = [
            replace(subject, metrics=metrics) if subject.identity == identity else subject for subject in self.look.runs
        ]
        if self.look.completed is None and all(subject.metrics is not None for subject in self.look.runs):
            self.look.completed = _now()
        self._save()


def seal_of(run: Run, *more: Run) -> Seal:
    """The seal that a run's test split is under; with `more`, that of a set of runs on the same data.

    Raises:
        ValueError: the run's record does not name the content of its data.
    """
    runs = [run, *more]
    assert run.record is not None
    content = run.record.data.get("content")
    if content is None:
        raise ValueError(f"{run.directory}: its record does not name the content of its data; train it again")
    config = load_config(run.directory / FILE)
    folder = _folder(run, config)
    made_under = run.record.seals or str(absolute_folder(Path(config.paths.outputs), config.paths.get("seals")))
    folders = ReceiptFolders.of(
        [each.directory for each in runs], run.record.name, configured=folder, recorded=made_under
    )
    rows = [LabelledRows.read(each.directory) for each in runs]
    return Seal(
        folder, run.record.name, str(content), folders=folders, recipe=_recipe(config),
        rows=LabelledRows.union(known for known in rows if known) if any(rows) else None,
    )  # fmt: skip


def receipts_of(result: Result) -> list[Look]:
    """All looks that open the test split of a result's data for its experiment, oldest first, by whichever run."""
    return seal_of(*runs_of(result)).looks()


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


def _recipe(config: Any) -> str:
    """What two experiments have in common that differ in name, seed and data alone."""
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    settings = relevant_settings({str(key): value for key, value in raw.items() if key not in _NAMES})
    settings["data"] = {key: value for key, value in (settings.get("data") or {}).items() if key not in _DATA}
    return digest(settings)


def _unfinished(looks: list[Look], subjects: list[Subject]) -> Look | None:
    wanted = {subject.identity for subject in subjects}
    for look in looks:
        if look.completed is None and {subject.identity for subject in look.runs} == wanted:
            return look
    return None


def _listed(looks: Sequence[Look]) -> str:
    return "".join(f"\n  {look}" for look in looks)


def _share(part: int, total: int) -> str:
    return f"{part} ({part / total:.1%})"


def _now() -> str:
    """To the microsecond, since looks are put in the order of their times."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
