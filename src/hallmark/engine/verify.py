"""Verify a release from its archive alone: every byte, every metric, every tensor, every receipt."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from hallmark.learning.encoders.weights import safe_load
from hallmark.runs.archive import unpack
from hallmark.runs.predictions import read_predictions
from hallmark.runs.repeats import FILE, RepeatSet
from hallmark.runs.run import Run
from hallmark.runs.seal import TEST, looks_from
from hallmark.statistics.tables import table_metrics
from hallmark.storage.files import read_json

_WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Verified:
    """How many files, metrics and tensors were found to be as the archive says."""

    files: int
    metrics: int
    tensors: int


def verify(path: Path) -> Verified:
    """Compare every checksum of the archive, compute its metrics again from its predictions, and compare its weights.

    Metrics are compared exactly.

    Raises:
        ArchiveError: damaged or unsafe; the message names the files.
        ValueError: whole, but it does not agree with itself; all findings are listed.
    """
    with TemporaryDirectory() as folder:
        root = unpack(path, Path(folder).resolve())
        runs = [Run(record.parent) for record in sorted(root.glob("runs/*/record.json"))]
        try:
            problems = list(_problems(root, runs))
        except (OSError, LookupError, TypeError, AttributeError, SafetensorError) as error:
            raise ValueError(f"{path}: whole, but not a release ({type(error).__name__}: {error})") from error
        if problems:
            found = "".join(f"\n  {problem}" for problem in problems)
            raise ValueError(f"{path}: whole, but it does not agree with itself:{found}")
        return Verified(
            files=sum(file.is_file() for file in root.rglob("*")),
            metrics=sum(len(_flat(tasks)) for run in runs for tasks in run.metrics.values()),
            tensors=sum(len(load_file(run.directory / _WEIGHTS)) for run in runs),
        )


def _problems(root: Path, runs: list[Run]) -> Iterator[str]:
    if not runs:
        yield "it holds no run"
        return
    yield from (*_receipts(root, runs), *_spread(root, runs))
    for run in runs:
        yield from (f"runs/{run.directory.name}/{problem}" for problem in (*_metrics(run), *_tensors(run)))


def _metrics(run: Run) -> Iterator[str]:
    """What `table_metrics` makes of the archived predictions, against metrics.json."""
    stored: dict[str, Any] = run.metrics
    tables = {file.stem: file for file in (run.directory / "predictions").glob("*.parquet")}
    computed = {split: table_metrics(read_predictions(file)) for split, file in tables.items()}
    for split in sorted({*stored, *computed}):
        then, now = _flat(stored.get(split, {})), _flat(computed.get(split, {}))
        for name in sorted({name for name, _ in then.items() ^ now.items()}):
            yield f"metrics.json: {split}/{name} is {then.get(name)}, its predictions give {now.get(name)}"


def _flat(tasks: dict[str, dict[str, float | None]]) -> dict[str, float | None]:
    return {f"{task}/{name}": value for task, metrics in tasks.items() for name, value in metrics.items()}


def _tensors(run: Run) -> Iterator[str]:
    ours, theirs = load_file(run.directory / _WEIGHTS), safe_load(run.best)["state_dict"]
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            yield f"{_WEIGHTS}: {name} is not in both this and the checkpoint"
        elif ours[name].dtype != theirs[name].dtype or not torch.equal(_bits(ours[name]), _bits(theirs[name])):
            yield f"{_WEIGHTS}: {name} differs from the checkpoint"


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """Bytes behind a leading shape, because nan is not equal to itself."""
    shape = torch.tensor([*tensor.shape], dtype=torch.int64).view(torch.uint8)
    return torch.cat([shape, tensor.contiguous().reshape(-1).view(torch.uint8)])


def _receipts(root: Path, runs: list[Run]) -> Iterator[str]:
    """The archived weights are those that were looked at, and scored what the receipt says."""
    looks = [look for look in looks_from(read_json(root / "receipts.json")) if look.covers(runs)]
    if not looks:
        yield "receipts.json: no look at the test split was at these runs"
        return
    scored = {subject.run_id: subject.metrics for subject in looks[-1].runs}
    for run in runs:
        assert run.record is not None
        if scored[run.record.run_id] != run.metrics.get(TEST):
            yield f"receipts.json: {run.directory.name} scored otherwise than its metrics.json says"


def _spread(root: Path, runs: list[Run]) -> Iterator[str]:
    """Mean and standard deviation of a released set, from the metrics of its runs."""
    if not (root / "set" / FILE).exists():
        return
    repeats = RepeatSet(root / "set")
    if sorted(member.run.directory for member in repeats.members) != [run.directory for run in runs]:
        yield f"set/{FILE}: names other runs than there are"
    elif repeats.metrics() != read_json(root / "set" / "metrics.json"):
        yield "set/metrics.json: not the mean and standard deviation of its runs"
