"""Accesses to a test split, and the rows by which a data set is known again. Without heavy imports."""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Self

from hallmark.runs.fitted import fitted_hashes
from hallmark.runs.metrics import TEST, UNLABELLED
from hallmark.runs.rows import stored_rows
from hallmark.storage.hashing import digest, digest_file

if TYPE_CHECKING:
    from hallmark.runs.run import Run

# An access is a second one if this share of its test rows was among the test rows of earlier accesses,
SEEN_SHARE = Fraction(1, 20)
# or this share anywhere in the data of earlier accesses: the same data, split otherwise.
SAME_SHARE = Fraction(1, 2)

# Of a million rows and a million others, 0.004 pairs have the same 48 bits by chance.
_HASH_BYTES = 6


Metrics = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class LabelledRows:
    """Hashes of the labelled rows of a data set, whatever their ids, labels and order.

    Attributes:
        test: of the rows in the test split; `other`: of those in any other split.
    """

    test: frozenset[bytes]
    other: frozenset[bytes]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str]]) -> Self:
        """From (content, split) of each row."""
        test, remaining = set[bytes](), set[bytes]()
        for content, split in rows:
            if split != UNLABELLED:
                row = hashlib.blake2b(content.encode(), digest_size=_HASH_BYTES).digest()
                (test if split == TEST else remaining).add(row)
        return cls(frozenset(test), frozenset(remaining - test))

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """Those in the `splits.csv` of a run; None where an earlier version wrote it, without a column content."""
        rows = stored_rows(directory)
        return cls.of((content, split) for _, content, split in rows) if rows is not None else None

    @classmethod
    def union(cls, several: Iterable[Self]) -> Self:
        """All rows of `several`; a row is a test row if it is one in any of them."""
        several = list(several)
        test = frozenset[bytes]().union(*(rows.test for rows in several))
        return cls(test, frozenset[bytes]().union(*(rows.other for rows in several)) - test)


def hashes_to_text(hashes: Iterable[bytes]) -> str:
    """Eight characters a hash, in an order that says nothing of the rows'."""
    return b64encode(b"".join(sorted(hashes))).decode()


def hashes_from_text(text: str) -> frozenset[bytes]:
    """What `hashes_to_text` was given; raises ValueError where the text is damaged."""
    packed = b64decode(text, validate=True)
    if len(packed) % _HASH_BYTES:
        raise ValueError(f"{len(packed)} bytes are no whole number of row hashes")
    return frozenset(packed[start : start + _HASH_BYTES] for start in range(0, len(packed), _HASH_BYTES))


@dataclass(frozen=True)
class Subject:
    """A run that was looked at. Hashes are of its checkpoint or code, its config.yaml, its data and its test ids.

    Attributes:
        fitted: hashes of the files of its fitted state by name; {} where it has none, and of an earlier version.
        metrics: `{task: {metric: value}}` on the test split; None until they exist.
    """

    directory: str
    run_id: str
    checkpoint: str
    config: str
    data: str
    split: str
    metrics: Metrics | None = None
    fitted: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, run: "Run") -> "Subject":
        """`run` as it lies on the disk, without metrics."""
        # A model in which nothing is fitted has no checkpoint: its code stands for it.
        checkpoint = digest_file(run.best) if run.best.exists() else digest(run.record.provenance.code)
        return cls(
            str(run.directory), run.record.run_id, checkpoint=checkpoint,
            config=digest_file(run.directory / "config.yaml"), data=run.record.provenance.data,
            split=str(run.record.splits.get(TEST, {}).get("hash")),
            fitted=fitted_hashes(run.directory, run.record.fitted),
        )  # fmt: skip

    @property
    def identity(self) -> tuple[str, ...]:
        """What stays when the directory is moved."""
        fitted = [f"{name} {hash_}" for name, hash_ in sorted(self.fitted.items())]
        return self.run_id, self.checkpoint, self.config, self.data, self.split, *fitted


@dataclass
class TestAccess:
    """When the test split was opened, by which command, for which runs, and what they scored.

    Attributes:
        opened, completed: ISO 8601, UTC; `completed` is None until every run has its metrics.
        reason: why it was opened again; None for a first access.
        runs: one run, or all members of a set of repeats.
        id: tells its copies from other accesses.
        name: of the experiment; `recipe`: hash of its settings but for name, seed and data.
        content: fingerprint of the data set; `test_rows`, `other_rows`: `hashes_to_text` of its labelled rows, None
            in records of a version that did not know rows.
    """

    opened: str
    host: str
    command: str
    reason: str | None
    runs: list[Subject]
    completed: str | None = None
    id: str | None = None
    name: str | None = None
    recipe: str | None = None
    content: str | None = None
    test_rows: str | None = None
    other_rows: str | None = None

    @property
    def metrics(self) -> Metrics:
        """Test metrics, averaged over the runs; {} until the access is complete."""
        known = [subject.metrics for subject in self.runs if subject.metrics]
        if self.completed is None or not known:
            return {}

        def mean(values: list[float | None]) -> float | None:
            defined = [value for value in values if value is not None]
            return fmean(defined) if len(defined) == len(values) else None

        return {
            task: {name: mean([metrics[task][name] for metrics in known]) for name in known[0][task]}
            for task in known[0]
        }

    @property
    def rows(self) -> LabelledRows | None:
        """Hashes of the data set's labelled rows, None where unknown; raises ValueError where they are damaged."""
        if self.test_rows is None or self.other_rows is None:
            return None
        return LabelledRows(hashes_from_text(self.test_rows), hashes_from_text(self.other_rows))

    def covers(self, runs: Sequence["Run"]) -> bool:
        """Whether it was complete and to these very runs, whatever others it was to as well."""
        identities = {subject.identity for subject in self.runs}
        return self.completed is not None and all(Subject.of(run).identity in identities for run in runs)

    def __str__(self) -> str:
        first = self.runs[0]
        fitted = [f", {name} {hash_[:12]}" for name, hash_ in first.fitted.items()]
        who = f"{first.directory} (run {first.run_id}, checkpoint {first.checkpoint[:12]}{''.join(fitted)})"
        more = f" and {len(self.runs) - 1} more" if len(self.runs) > 1 else ""
        reason = f", reason: {self.reason}" if self.reason else ""
        from hallmark.statistics.text import number_text  # heavy: a listing of runs does without it

        tasks = self.metrics
        known = sum(subject.metrics is not None for subject in self.runs)
        texts = (
            [] if tasks else [f"numbers of {known} of {len(self.runs)} runs so far" if known else "no numbers so far"]
        )
        for task, metrics in tasks.items():
            leading = [(name, value) for name, value in metrics.items() if name != "n" and value is not None][:3]
            values = [*(f"{name} {number_text(value)}" for name, value in leading), f"n {metrics['n']:g}"]
            texts.append((f"{task} " if len(tasks) > 1 else "") + ", ".join(values))
        return f"{self.opened} on {self.host} by {who}{more}: {'; '.join(texts)}{reason}"


@dataclass(frozen=True)
class Earlier:
    """The accesses that make another access to a data set a second one.

    Attributes:
        accesses: oldest first; empty where the next one is the first.
        n: test rows of the data set; `seen`: of these, test rows of earlier accesses to data of another fingerprint;
            `known`: of these, rows anywhere in such data. All 0 where the rows are unknown.
    """

    accesses: list[TestAccess]
    n: int = 0
    seen: int = 0
    known: int = 0


def earlier_accesses(
    accesses: Iterable[TestAccess], *, name: str, recipe: str | None, content: str, rows: LabelledRows | None
) -> Earlier:  # fmt: skip
    """Which of `accesses` count for an experiment and a data set.

    Those of the same experiment, by name or by all of its settings but name, seed and data. Of them those at data of
    the same fingerprint; and, where the shares `SEEN_SHARE` or `SAME_SHARE` are reached by all that are left
    together, those of them that have rows in common.
    """
    family = sorted(
        (access for access in accesses if access.name == name or (recipe is not None and access.recipe == recipe)),
        key=lambda access: access.opened,
    )
    same = [access for access in family if access.content == content]
    if rows is None or not rows.test:
        return Earlier(same)
    overlapping = []
    tested, known = set[bytes](), set[bytes]()
    for access in family:
        if access.content == content or (earlier := access.rows) is None:
            continue
        known_here = rows.test & (earlier.test | earlier.other)
        if known_here:
            overlapping.append(access)
            known |= known_here
            tested |= rows.test & earlier.test
    n = len(rows.test)
    second = len(tested) >= SEEN_SHARE * n or len(known) >= SAME_SHARE * n
    counted = [access for access in family if access in same or access in overlapping] if second else same
    return Earlier(counted, n, len(tested), len(known))


def read_accesses(path: Path) -> list[TestAccess]:
    """The accesses in a file of records, of this or of an earlier version.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        accesses = accesses_from(raw["looks"])
        for position, access in enumerate(accesses):
            access.name = access.name or raw.get("name")
            access.content = access.content or raw.get("content")
            who = [subject.identity for subject in access.runs]
            access.id = access.id or digest(
                [access.name, access.content, position, access.opened, access.host, access.command, who]
            )
            _ = access.rows
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: not a file of test access records ({type(error).__name__}: {error})") from error
    return accesses


def accesses_from(raw: Sequence[Mapping[str, Any]]) -> list[TestAccess]:
    """Accesses from what `dataclasses.asdict` made of them."""
    return [TestAccess(**{**access, "runs": [Subject(**subject) for subject in access["runs"]]}) for access in raw]


def merged(accesses: Iterable[TestAccess]) -> list[TestAccess]:
    """Each access once, as the first of its copies has it; oldest first."""
    first: dict[str | None, TestAccess] = {}
    for access in accesses:
        first.setdefault(access.id, access)
    return sorted(first.values(), key=lambda access: access.opened)
