"""Verify a release from its archive alone: every byte, every metric, every tensor, every access record."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from pyarrow import parquet
from safetensors.torch import load_file

from hallmark.checks import UserError
from hallmark.learning.encoders.weights import safe_load
from hallmark.runs.access import accesses_from
from hallmark.runs.archive import unpack
from hallmark.runs.fitted import changes
from hallmark.runs.metrics import TEST
from hallmark.runs.parents import kept_parents
from hallmark.runs.predictions import read_predictions
from hallmark.runs.repeats import FILE, RepeatSet
from hallmark.runs.run import Run
from hallmark.statistics.metrics.sets import SET_METRICS
from hallmark.statistics.tables import table_metrics
from hallmark.storage.files import read_json
from hallmark.storage.printing import printable

WEIGHTS = "weights.safetensors"
_PROBLEMS, _SHOWN = 20, 500  # at most so many findings are listed, of so many characters each
_VALUES = 1 << 20  # values of one column of a table that a small file may declare


@dataclass(frozen=True)
class Verified:
    """How many files, metrics, tensors and files of fitted state were found to be as the archive says."""

    files: int
    metrics: int
    tensors: int
    states: int


def verify(path: Path) -> Verified:
    """Compare every checksum of the archive, compute its metrics again from its predictions, and compare its weights.

    Metrics are compared exactly. Nothing in the archive is executed, whoever made it.

    Raises:
        ArchiveError: damaged or unsafe; the message names the files.
        ValueError: intact but inconsistent, or no release; all findings are listed.
    """
    with TemporaryDirectory() as folder:
        root = unpack(path, Path(folder).resolve())
        try:
            runs = [Run(record.parent) for record in sorted(root.glob("runs/*/record.json"))]
            problems = [printable(problem)[:_SHOWN] for problem in islice(_problems(root, runs), _PROBLEMS)]
            if not problems:
                return Verified(
                    files=sum(file.is_file() for file in root.rglob("*")),
                    metrics=sum(len(_flat(tasks)) for run in runs for tasks in run.metrics.values()),
                    tensors=sum(len(load_file(run.directory / WEIGHTS)) for run in runs if run.best.exists()),
                    states=sum(len(run.record.fitted) for run in runs),
                )
        except Exception as error:  # what a stranger put in the place of a file can fail in any way
            cause = str(error).replace(f"{root}/", "")[:_SHOWN] or "no message"
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            raise ValueError(f"{path}: intact, but not a release ({printable(kind + cause)})") from error
    lines = "".join(f"\n  {problem}" for problem in problems)
    raise ValueError(f"{path}: intact, but inconsistent:{lines}")


def contradictions(run: Run, splits: Iterable[str]) -> Iterator[str]:
    """What `metrics.json` of a run says otherwise than its stored predictions of `splits`."""
    for split in splits:
        file = run.directory / "predictions" / f"{split}.parquet"
        stored = _flat(run.metrics.get(split, {}))
        computed = _flat(table_metrics(_predictions(file))) if file.exists() else {}
        for name in sorted({name for name, _ in stored.items() ^ computed.items()}):
            first, second = stored.get(name), computed.get(name)
            # The last digits of a distance depend on the order in which a machine adds up products.
            is_distance = name.rpartition("/")[2] in SET_METRICS and first is not None and second is not None
            if not (is_distance and math.isclose(first or 0, second or 0, rel_tol=1e-9, abs_tol=1e-12)):
                yield f"metrics.json: {split}/{name} is {first}, its predictions give {second}"


def tensors_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The tensors in a checkpoint's weights, by name.

    Raises:
        ValueError: damaged, or it holds pickled objects.
    """
    state = safe_load(checkpoint)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def changed_parents(run: Run) -> Iterator[str]:
    """What is kept of the runs that `run` was made with, and is not as its record names it."""
    for parent in kept_parents(run.directory, run.record).values():
        try:
            parent.verify()
        except UserError as error:
            yield str(error).replace(f"{run.directory}/", "").partition(";")[0]


def _problems(root: Path, runs: list[Run]) -> Iterator[str]:
    if not runs:
        yield "it holds no run"
        return
    yield from (*_accesses(root, runs), *_spread(root, runs))
    for run in runs:
        tables = {file.stem for file in (run.directory / "predictions").glob("*.parquet")}
        parts = (
            contradictions(run, sorted({*run.metrics, *tables})), _tensors(run),
            changes(run.directory, run.record.fitted), changed_parents(run),
        )  # fmt: skip
        yield from (f"runs/{run.directory.name}/{problem}" for problem in chain(*parts))


def _predictions(file: Path) -> pd.DataFrame:
    """A table from a stranger: what it declares has to be near the size of its file, because decoding takes memory."""
    metadata, size = parquet.read_metadata(file), file.stat().st_size
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [sum(group.column(c).num_values for group in groups) for c in range(metadata.num_columns)]
    if (declared := max([metadata.num_rows, *columns])) > max(_VALUES, size):
        raise ValueError(f"predictions/{file.name}: {size:,} bytes that declare {declared:,} values in one column")
    return read_predictions(file)


def _flat(tasks: dict[str, dict[str, float | None]]) -> dict[str, float | None]:
    return {f"{task}/{name}": value for task, metrics in tasks.items() for name, value in metrics.items()}


def _tensors(run: Run) -> Iterator[str]:
    """The two forms of the weights; a run in which nothing was fitted has neither."""
    file, selected = run.directory / WEIGHTS, (run.record.selected or {}).get("checkpoint")
    if not run.best.exists():
        if selected is not None:
            yield f"record.json: {selected} was selected and is missing"
        if file.exists():
            yield f"{WEIGHTS}: there is no checkpoint that it is of"
        return
    if not file.exists():
        yield f"{WEIGHTS} is missing"
        return
    archived, selected_weights = load_file(file), tensors_of(run.best)
    for name in sorted(archived.keys() | selected_weights.keys()):
        if name not in archived or name not in selected_weights:
            yield f"{WEIGHTS}: {name} is not in both this and the checkpoint"
            continue
        first, second = archived[name], selected_weights[name]
        # The shape comes first, because one that a checkpoint declares can be larger than any memory; the bytes are
        # compared, because nan is not equal to itself.
        alike = first.dtype == second.dtype and first.shape == second.shape
        if not (alike and torch.equal(_bytes(first), _bytes(second))):
            yield f"{WEIGHTS}: {name} differs from the checkpoint"


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _accesses(root: Path, runs: list[Run]) -> Iterator[str]:
    """The archived weights are those that were evaluated, and scored what the access record says."""
    accesses = [access for access in accesses_from(read_json(root / "receipts.json")) if access.covers(runs)]
    if not accesses:
        yield "receipts.json: no access to the test split covers these runs"
        return
    scored = {subject.run_id: subject.metrics for subject in accesses[-1].runs}
    for run in runs:
        if scored[run.record.run_id] != run.metrics.get(TEST):
            yield f"receipts.json: {run.directory.name} scored otherwise than its metrics.json says"


def _spread(root: Path, runs: list[Run]) -> Iterator[str]:
    """Mean and standard deviation of a released set, from the metrics of its runs."""
    if not (root / "set" / FILE).exists():
        return
    repeats = RepeatSet(root / "set")
    repeats.record.identical = repeats.record.identical or []  # of a version that did not store them
    named = sorted((repeats.directory / member["directory"]).resolve() for member in repeats.record.members)
    if named != [run.directory for run in runs]:  # before any of them is opened: it may be anywhere
        yield f"set/{FILE}: names other runs than there are"
    elif repeats.metrics() != read_json(root / "set" / "metrics.json"):
        yield "set/metrics.json: not the mean and standard deviation of its runs"
