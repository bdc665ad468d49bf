"""Repeats of one setting as one result: a directory that lists its runs and holds their mean and spread."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hallmark.runs.metrics import OUT_OF_FOLD, find_metric
from hallmark.runs.record import Record, RunState
from hallmark.runs.run import SET_FILE, Run, RunDirectory, open_run
from hallmark.runs.selection import select
from hallmark.storage.files import read_json, write_csv, write_json

if TYPE_CHECKING:
    import pandas as pd

FILE = SET_FILE
Metrics = dict[str, dict[str, dict[str, dict[str, float | None]]]]


@dataclass(frozen=True)
class Member:
    """One run of a set.

    Attributes:
        note: what is its own, such as `seed 1` or `fold 0, repetition 2`.
        repetition: which whole pass over the data it belongs to: the place of its seed; 0 for plain folds.
    """

    note: str
    repetition: int
    directory: Path

    @cached_property
    def run(self) -> Run:
        """Read at its first use, because a set lists runs that were not begun.

        Raises:
            ValueError: this one was not.
        """
        return Run(self.directory)

    @property
    def is_done(self) -> bool:
        record = Record.read(self.directory)
        return record is not None and record.state is RunState.DONE


@dataclass
class RepeatRecord:
    """`repeats.json`. A member's directory is relative to that of the set, so that both can be moved.

    Attributes:
        repeat: as the user wrote it, such as `folds:5x3`.
        metric: the monitored one, whose better direction is `mode`; `second` stands beside it in the table.
        members: dicts of note, repetition and directory.
        identical: notes of members that predict the same, a list for each such group; None where nobody has looked.
        parents: by role the runs or sets that its members were made with, as `hallmark.runs.parents` describes them.
    """

    name: str
    set_id: str
    repeat: str
    state: RunState
    metric: str
    mode: str
    second: str | None
    command: list[str]
    members: list[dict[str, Any]]
    finished: str | None = None
    identical: list[list[str]] | None = None
    parents: dict[str, Any] = field(default_factory=dict)


class RepeatSet:
    """A set of repeats on disk: `config.yaml`, `repeats.json`, `runs.csv`, `metrics.json`.

    Raises:
        ValueError: the directory holds none, or one of another version.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            raw = read_json(directory / FILE)
            self.record = RepeatRecord(**{**raw, "state": RunState(raw["state"])})
        except FileNotFoundError:
            raise ValueError(f"{directory}: not a set of repeats; it has no {FILE}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{directory / FILE}: not of this version ({type(error).__name__}: {error})") from error

    @classmethod
    def create(cls, directory: Path, record: RepeatRecord) -> "RepeatSet":
        with suppress(ValueError):  # there is none, or none that can be read
            record.finished = cls(directory).record.finished
        write_json(directory / FILE, asdict(record))
        return cls(directory)

    def set_state(self, state: RunState) -> None:
        self.record.state = state
        if state is RunState.DONE:
            runs = [member.run.record.finished or "" for member in self.members if member.is_done]
            if not self.record.finished or max(runs, default="") > self.record.finished:
                self.record.finished = datetime.now(UTC).isoformat()
        write_json(self.directory / FILE, asdict(self.record))

    @cached_property
    def members(self) -> list[Member]:
        """All runs of the set in order, whatever became of them."""
        return [
            Member(raw["note"], raw["repetition"], (self.directory / raw["directory"]).resolve())
            for raw in self.record.members
        ]

    @property
    def identical(self) -> list[list[str]]:
        """`RepeatRecord.identical`, from the stored predictions where it is not recorded."""
        if self.record.identical is None:
            self.record.identical = self._find_identical()
        return self.record.identical

    @property
    def copies(self) -> dict[str, str]:
        """Notes of the members that predict what an earlier one does, and the note of that one."""
        return {note: notes[0] for notes in self.identical for note in notes[1:]}

    @property
    def different(self) -> list[Member]:
        """The members without `copies`: those that count."""
        return [member for member in self.members if member.note not in self.copies]

    @property
    def over(self) -> str:
        """What a mean over the members is over, such as `5 seeds`."""
        from hallmark.statistics.members import members_text

        return members_text([member.note for member in self.different])

    @property
    def identical_text(self) -> str:
        """A sentence on `identical`; empty where all members differ."""
        n, notes = len(self.members), [", ".join(group) for group in self.identical]
        if not notes:
            return ""
        if len(self.different) == 1:
            return (
                f"The seed changes nothing in this model: its {n} runs predict the same and count as one, without a "
                "spread. Train with repeat=folds:5 to see what other training rows change."
            )
        same = "; ".join(notes)
        return f"Runs that predict the same count once ({same}): {len(self.different)} of {n} runs are different."

    def _find_identical(self) -> list[list[str]]:
        from hallmark.runs.predictions import first_alike, read_predictions

        folders = [member.directory / "predictions" for member in self.members]
        splits = set.intersection(*({path.stem for path in folder.glob("[!.]*.parquet")} for folder in folders))
        splits -= {OUT_OF_FOLD}  # each seed draws folds of its own
        firsts = [
            first_alike([read_predictions(folder / f"{split}.parquet") for folder in folders])
            for split in sorted(splits)
        ]
        # Two members are one only where they agree on every split.
        groups: dict[tuple[int, ...], list[str]] = {}
        for member, of_member in zip(self.members, zip(*firsts, strict=True), strict=bool(splits)):
            groups.setdefault(of_member, []).append(member.note)
        return [notes for notes in groups.values() if len(notes) > 1]

    def predictions(self, split: str) -> "pd.DataFrame":
        """The tables of `split` of all members that differ in one: ids are `<id>@<note>`, `repetition` says which pass
        a row is of and `member` which run, by its position in the set.

        Raises:
            ValueError: a member has no predictions of that split.
        """
        from hallmark.runs.predictions import read_predictions  # heavy: the registry of runs reads records without it

        paths = [member.directory / "predictions" / f"{split}.parquet" for member in self.members]
        return self.pooled([read_predictions(path) for path in paths])

    def pooled(self, tables: "Sequence[pd.DataFrame]") -> "pd.DataFrame":
        """One table of each member in one, as `predictions` gives it; of members that predict the same, the first's."""
        import pandas as pd

        parts = [
            table.assign(id=table["id"].astype(str) + f"@{member.note}", repetition=member.repetition, member=position)
            for position, (member, table) in enumerate(zip(self.members, tables, strict=True))
            if member.note not in self.copies
        ]
        pooled = pd.concat(parts, ignore_index=True)
        pooled.attrs = tables[0].attrs | ({"copies": self.copies} if self.copies else {})
        return pooled

    def table(self) -> "pd.DataFrame":
        """One row a finished run (run, note, main metric, second metric, seconds, checkpoint), then mean and std.

        The standard deviation is the sample's, undefined (nan) for one run. Both are over the runs that differ; those
        of the seconds are over all.
        """
        import pandas as pd

        metrics = [name for name in (self.record.metric, self.record.second) if name]
        done = [member for member in self.members if member.is_done]
        rows = pd.DataFrame({
            "run": [member.directory.name for member in done],
            "note": [member.note for member in done],
            **{name: [find_metric(member.run.metrics, name) for member in done] for name in metrics},
            "seconds": [member.run.record.wall_seconds for member in done],
            "checkpoint": [str(member.run.best) for member in done],
        })  # fmt: skip
        numbers = rows[[*metrics, "seconds"]].astype(float)
        numbers[metrics] = numbers[metrics].mask(rows["note"].isin(list(self.copies)))
        spread = pd.DataFrame([numbers.mean(), numbers.std(ddof=1)]).assign(run=["mean", "std"])
        return pd.concat([rows, spread], ignore_index=True)[list(rows)]

    def metrics(self) -> Metrics:
        """`{split: {task: {metric: {mean, std, n}}}}` over the different members that have the split; std is None at
        n = 1.
        """
        import pandas as pd

        rows = [
            (split, task, metric, value)
            for member in self.different
            for split, tasks in RunDirectory(member.directory).metrics.items()
            for task, values in tasks.items()
            for metric, value in values.items()
            if metric != "n" and value is not None
        ]
        metrics: Metrics = {}
        columns = ["split", "task", "metric"]
        for keys, values in pd.DataFrame(rows, columns=[*columns, "value"]).groupby(columns, sort=False)["value"]:
            split, task, metric = map(str, keys)
            std = float(values.std(ddof=1)) if len(values) > 1 else None
            spread = {"mean": float(values.mean()), "std": std, "n": len(values)}
            metrics.setdefault(split, {}).setdefault(task, {})[metric] = spread
        return metrics

    def write_summary(self) -> None:
        """Write `runs.csv`, `metrics.json` and `identical` of `repeats.json` from what the members hold now."""
        self.record.identical = self._find_identical()
        write_json(self.directory / FILE, asdict(self.record))
        write_csv(self.directory / "runs.csv", self.table())
        write_json(self.directory / "metrics.json", self.metrics())


Result = Run | RepeatSet


def runs_of(result: Result) -> list[Run]:
    """The run itself, or the members of a set."""
    return [result] if isinstance(result, Run) else [member.run for member in result.members]


def open_result(path: str | Path) -> Result:
    """The finished run or set of repeats at `path`, the only finished one directly below it, or of `<folder>/latest`
    the last one there. The runs of a set count as that set.

    Raises:
        ValueError: there is none, several, or it is not done.
    """
    path = Path(path)
    if (path / FILE).exists():
        return _done(RepeatSet(path))
    if not (path / "record.json").exists():
        path = select(path, sets=True)
    return _done(RepeatSet(path)) if (path / FILE).exists() else open_run(path)


def _done(repeats: RepeatSet) -> RepeatSet:
    if repeats.record.state is not RunState.DONE:
        again = " ".join(repeats.record.command)
        raise ValueError(f"run={repeats.directory}: the set is {repeats.record.state}; repeat its command: {again}")
    return repeats
