"""The test seal: the test split of a data set opens once for an experiment, and each look leaves a receipt."""

import platform
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from omegaconf import OmegaConf

from hallmark.runs.locks import holding
from hallmark.runs.repeats import Result, runs_of
from hallmark.runs.run import Run
from hallmark.storage.files import read_json, write_json
from hallmark.storage.hashing import digest, digest_file

TEST = "test"
Metrics = dict[str, dict[str, float | None]]


class SealedError(ValueError):
    """The test split may not be looked at; the message shows who did."""


@dataclass(frozen=True)
class Subject:
    """A run that was looked at. Hashes are of its checkpoint or code, its config.yaml, its data and its test ids.

    Attributes:
        metrics: `{task: {metric: value}}` on the test split; None until they exist.
    """

    directory: str
    run_id: str
    checkpoint: str
    config: str
    data: str
    split: str
    metrics: Metrics | None = None

    @classmethod
    def of(cls, run: Run) -> "Subject":
        assert run.record is not None
        return cls(
            str(run.directory), run.record.run_id, checkpoint=_model_of(run),
            config=digest_file(run.directory / "config.yaml"), data=run.record.provenance.data,
            split=str(run.record.splits.get(TEST, {}).get("hash")),
        )  # fmt: skip

    @property
    def identity(self) -> tuple[str, ...]:
        """What stays when the directory is moved."""
        return self.run_id, self.checkpoint, self.config, self.data, self.split


@dataclass
class Look:
    """A receipt: when the test split was opened, by which command, for which runs, and what they scored.

    Attributes:
        opened, completed: ISO 8601, UTC; `completed` is None until every run has its metrics.
        reason: why it was opened again; None for a first look.
        runs: one run, or all members of a set of repeats.
    """

    opened: str
    host: str
    command: str
    reason: str | None
    runs: list[Subject]
    completed: str | None = None

    @property
    def metrics(self) -> Metrics:
        """Test metrics, averaged over the runs; {} until the look is complete."""
        known = [subject.metrics for subject in self.runs if subject.metrics]
        if self.completed is None or not known:
            return {}
        return {task: {name: _mean([one[task][name] for one in known]) for name in known[0][task]} for task in known[0]}

    def covers(self, runs: Sequence[Run]) -> bool:
        """Whether it was complete and at these very runs, whatever others it was at as well."""
        seen = {subject.identity for subject in self.runs}
        return self.completed is not None and all(Subject.of(run).identity in seen for run in runs)

    def __str__(self) -> str:
        first = self.runs[0]
        who = f"{first.directory} (run {first.run_id}, checkpoint {first.checkpoint[:12]})"
        others = f" and {len(self.runs) - 1} more" if len(self.runs) > 1 else ""
        reason = f", reason: {self.reason}" if self.reason else ""
        return f"{self.opened} on {self.host} by {who}{others}: {_scores(self)}{reason}"


class Seal:
    """The looks at the test split of one data set by one experiment, in `<folder>/<name>/<content>.json`.

    Args:
        folder: the setting `paths.seals`.
        name: of the experiment.
        content: fingerprint of the data set without its split, so that another split does not open it.
    """

    def __init__(self, folder: Path, name: str, content: str) -> None:
        self.name, self.content = name, content
        self.path = folder / name / f"{content}.json"

    def looks(self) -> list[Look]:
        """Receipts, oldest first.

        Raises:
            ValueError: the file of receipts is damaged.
        """
        if not self.path.exists():
            return []
        try:
            return looks_from(read_json(self.path)["looks"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.path}: not a file of test receipts ({type(error).__name__}: {error})") from error

    @contextmanager
    def opened(self, runs: Sequence[Run], *, reason: str | None) -> Iterator["OpenLook"]:
        """Let this process alone look at the test split, with one receipt for all of `runs`.

        A look that was cut off before all of its runs had numbers goes on if it was at the same runs.

        Raises:
            SealedError: it was opened before and no reason is given, or another process has it open.
        """
        subjects = [Subject.of(run) for run in runs]
        reason = (reason or "").strip() or None
        with holding(self.path.with_suffix(".lock"), self._busy):
            looks = self.looks()
            look = _unfinished(looks, subjects)
            if look is None:
                if looks and not reason:
                    raise SealedError(self._refusal(looks))
                look = Look(_now(), platform.node(), shlex.join(sys.argv), reason, subjects)
                looks.append(look)
            look.reason = look.reason or reason
            self._write(looks)
            yield OpenLook(look, save=lambda: self._write(looks))

    def _busy(self) -> SealedError:
        return SealedError(f"the test split of {self.name} is open in another process:{self._shown()}")

    def _refusal(self, looks: list[Look]) -> str:
        again = ' To open it again, say why: seal.reason="..."; every report will show it.'
        if looks[-1].completed is None:
            again = f" That look was cut off; its command finishes it: {looks[-1].command}." + again
        return f"the test split of {self.name} on this data is sealed; it was opened:{self._shown()}\n{again.strip()}"

    def _shown(self) -> str:
        return "".join(f"\n  {look}" for look in self.looks())

    def _write(self, looks: list[Look]) -> None:
        write_json(self.path, {"name": self.name, "content": self.content, "looks": [asdict(look) for look in looks]})


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


def seal_of(run: Run) -> Seal:
    """The seal that a run's test split is under.

    Raises:
        ValueError: the run's record does not name the content of its data.
    """
    assert run.record is not None
    content = run.record.data.get("content")
    if content is None:
        raise ValueError(f"{run.directory}: its record does not name the content of its data; train it again")
    return Seal(_folder(run), run.record.name, content)


def looks_from(raw: Sequence[Mapping[str, Any]]) -> list[Look]:
    """Looks from what `dataclasses.asdict` made of them."""
    return [Look(**{**look, "runs": [Subject(**subject) for subject in look["runs"]]}) for look in raw]


def receipts_of(result: Result) -> list[Look]:
    """All looks at the test split of a result's data by its experiment, oldest first, by whichever run."""
    return seal_of(runs_of(result)[0]).looks()


def _model_of(run: Run) -> str:
    """Hash of the checkpoint, or of the code that stands for a model in which nothing is fitted."""
    assert run.record is not None
    return digest_file(run.best) if run.best.exists() else digest(run.record.provenance.code)


def _folder(run: Run) -> Path:
    """`paths.seals` of the run; beside the run where it is below `paths.outputs`, whatever the working folder is."""
    config = OmegaConf.load(run.directory / "config.yaml")
    outputs = Path(config.paths.outputs)
    seals = Path(config.paths.get("seals") or outputs / "seals")
    if not config.paths.run_dir and seals.is_relative_to(outputs):
        levels = len(Path(config.name).parts)
        return run.directory.resolve().parents[levels] / seals.relative_to(outputs)
    return seals


def _unfinished(looks: list[Look], subjects: list[Subject]) -> Look | None:
    wanted = {subject.identity for subject in subjects}
    for look in looks:
        if look.completed is None and {subject.identity for subject in look.runs} == wanted:
            return look
    return None


def _mean(values: list[float | None]) -> float | None:
    return None if any(value is None for value in values) else fmean(value for value in values if value is not None)


def _scores(look: Look) -> str:
    tasks = look.metrics
    if not tasks:
        known = sum(subject.metrics is not None for subject in look.runs)
        return f"numbers of {known} of {len(look.runs)} runs so far" if known else "no numbers so far"
    texts = []
    for task, metrics in tasks.items():
        shown = [(name, value) for name, value in metrics.items() if name != "n" and value is not None][:3]
        prefix = f"{task} " if len(tasks) > 1 else ""
        texts.append(prefix + ", ".join([*(f"{name} {value:.4f}" for name, value in shown), f"n {metrics['n']:g}"]))
    return "; ".join(texts)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
