"""What a run inherits with its parents: rows that they were fitted or selected on, and that it is measured on."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from hallmark.runs.metrics import TEST, UNLABELLED
from hallmark.runs.parents import InheritedRows, Use

if TYPE_CHECKING:
    from hallmark.data.module import DataModule

KIND = "fitted by parent "
REACH = (
    "rows with equal content that the parent was fitted or selected on, as far as its use forbids it",
    "rows that are alike without being equal, such as another picture of the same thing",
)

_ABSENT = "absent"


@contextmanager
def splits_read(data: "DataModule", note: Callable[[str], None]) -> Iterator[None]:
    """Call `note` with each split whose rows are asked for in the block, by which a child knows what was fitted on."""
    rows = data.rows

    def noted(split: str) -> pd.DataFrame:
        note(split)
        return rows(split)

    data.rows = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        del data.rows


class InheritedLeaks(NamedTuple):
    """What the gate found about parents.

    Attributes:
        findings: as those of `hallmark.data.leakage`; the second row is the parent's, with the parent's split.
        verdicts: for each parent `clean`, `found` or `unknown`.
        fitted_test: test rows that a parent was fitted or selected on, by its name, where there are any.
    """

    findings: pd.DataFrame
    verdicts: dict[str, str]
    fitted_test: dict[str, int]


def inherited_leaks(samples: pd.DataFrame, parents: Sequence[InheritedRows]) -> InheritedLeaks:
    """Compare the rows of a run (id, split, content) with those of its parents.

    A row that the run evaluates, calibrates or stacks on must not be one that a parent was fitted or selected on. Only
    selecting on the same validation rows is no finding: their metrics are those of a selection in any case. Of a parent
    whose predictions the run is trained on, the training rows are compared as well. A parent by predictions out of fold
    needs the split of the run, row by row. Rows of splits that the run reads nothing of may be anything.
    """
    rows: list[tuple[str, str, str, str, str]] = []
    verdicts, fitted_test = {}, {}
    for parent in parents:
        kind = f"{KIND}{parent.name}"
        verdicts[kind] = "unknown"
        if parent.rows is None:
            continue
        there: dict[str, dict[str, str]] = defaultdict(dict)  # splits of each content, with the id of a row
        for id_, content, split in parent.rows:
            there[content].setdefault(split, id_)
        shared = False
        before = len(rows)
        for id_, split, content in samples[["id", "split", "content"]].astype(str).itertuples(index=False):
            shared |= content in there
            rows += [(kind, id_, split, *row) for row in _forbidden(split, there.get(content, {}), parent)]
        tested = {(row[1], row[2]) for row in rows[before:] if row[2] == TEST and row[4] in parent.fitted_on}
        if tested:
            fitted_test[parent.name] = len(tested)
        if shared or parent.comparable:  # rows that another class has read are never equal, whatever they show
            verdicts[kind] = "found" if len(rows) > before else "clean"
        elif len(rows) > before:
            verdicts[kind] = "found"
    columns = ["kind", "first_id", "first_split", "second_id", "second_split"]
    return InheritedLeaks(pd.DataFrame(rows, columns=columns), verdicts, fitted_test)


def _forbidden(split: str, there: dict[str, str], parent: InheritedRows) -> list[tuple[str, str]]:
    """(id, split) of the parent's rows that a row of `split` may not be, of those with its content."""
    if split == UNLABELLED or split in parent.unread:
        return []
    if parent.use is Use.OUT_OF_FOLD and not there:
        return [("", _ABSENT)]

    def is_forbidden(other: str) -> bool:
        if parent.use is Use.OUT_OF_FOLD and other != split:
            return True
        if other not in parent.fitted_on or split == other == "val":
            return False
        return split != "train" or parent.use is Use.PREDICTIONS

    return [(id_, other) for other, id_ in there.items() if is_forbidden(other)]
