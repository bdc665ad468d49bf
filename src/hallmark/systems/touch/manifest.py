"""The list of recordings: `recordings.csv` beside the files that it names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hallmark.checks import SettingError, require
from hallmark.data.problems import Problems
from hallmark.data.splits import target_column
from hallmark.storage.delimited import DELIMITERS, TableError, read_table
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.regular import MissingFileError, UnreadableFileError, path_below, read_regular

MANIFEST = "recordings.csv"
TASKS = ("action", "state")
_LAYOUT = (
    f"a folder with {MANIFEST} (id,subject,scene,action,state,signals,frames) and the files it names. "
    "Without data, profile=sample with data.folder=null generates recordings in this layout"
)
_FILES = {  # columns of paths, with the kinds of problems of a file that is missing or cannot be read
    "signals": ("missing_file", "unreadable_file"), "frames": ("missing_frames", "unreadable_frames"),
}  # fmt: skip


def read_manifest(folder: Path, classes: Mapping[str, Sequence[str]], problems: Problems) -> pd.DataFrame:
    """Recordings of which nothing is known to be wrong before their files are read.

    Columns: id, subject ("" where unknown), scene, a target column for each task (None where unlabelled), signals
    and frames (paths; frames "" for none), signals_digest, frames_digest. The columns scene and frames of the file
    are optional. An empty label is no label; under the policy `keep` an unknown one is none either.

    Raises:
        SettingError: no such folder or file, no rows, or not these columns.
    """
    rows = _table(folder, list(classes), problems)
    nameless = rows["id"] == ""
    for line in rows.loc[nameless, "line"]:
        problems.add("", "empty_id", f"{MANIFEST}, line {line}: no id")
    rows = rows[~nameless]
    files = rows[list(_FILES)].map(_portable).to_numpy().tolist()
    pairs, where = zip(rows["id"], files, strict=True), f"{MANIFEST}: "
    safe = [problems.add_unless_safe(name, folder=folder, files=named, where=where) for name, named in pairs]
    rows = rows[np.array(safe, bool)]
    repeated = rows["id"].duplicated()
    for row_id in rows.loc[repeated, "id"]:
        problems.add(row_id, "duplicate_id", f"{MANIFEST}: {row_id} is listed more than once")
    rows = rows[~repeated].reset_index(drop=True)
    records: list[dict[Any, Any]] = rows.to_dict("records")
    usable = [all((_has_known_labels(row, classes, problems), _has_files(row, folder, problems))) for row in records]
    columns = [*rows.columns, *(f"{column}_digest" for column in _FILES)]
    rows = pd.DataFrame(records, columns=columns, dtype=object)[pd.Series(usable, dtype=bool)].reset_index(drop=True)
    for task, names in classes.items():
        rows[target_column(task)] = rows[task].where(rows[task].isin(names), None).astype(object)
    return rows


def _table(folder: Path, tasks: list[str], problems: Problems) -> pd.DataFrame:
    path = folder / MANIFEST
    try:
        read = read_table(path_below(folder, MANIFEST), delimiters=DELIMITERS, tidy=True)
    except (UnreadableFileError, TableError) as error:
        cause = f"{path} is missing" if isinstance(error, MissingFileError) else str(error)
        raise SettingError("folder", str(folder), f"{_LAYOUT}; {cause}") from error
    if read.doubt:
        problems.add("", "uncertain_encoding", read.doubt)
    table = read.cells
    needed = ["id", "subject", *tasks, "signals"]
    if not set(needed) <= set(table):
        cause = f"{path} has the columns {', '.join(table.columns)} and needs {', '.join(needed)}"
        raise SettingError("folder", str(folder), f"{_LAYOUT}; {cause}")
    require(len(table) > 0, "folder", str(folder), f"{_LAYOUT}; {path} lists no recording")
    columns = list(dict.fromkeys([*needed, "scene", "frames", *TASKS]))
    return table.reindex(columns=columns, fill_value="").assign(line=read.lines)


def _has_known_labels(row: dict[Any, Any], classes: Mapping[str, Sequence[str]], problems: Problems) -> bool:
    row_id, usable = row["id"], []
    if not row["subject"]:
        usable.append(problems.add(row_id, "empty_subject", f"{MANIFEST}: {row_id} has no subject"))
    for task, names in classes.items():
        if row[task] and row[task] not in names:
            detail = f"{MANIFEST}: {row_id} has the {task} {row[task]!r}; known: {', '.join(names)}"
            usable.append(problems.add(row_id, f"unknown_{task}", detail))
    return all(usable)


def _has_files(row: dict[Any, Any], folder: Path, problems: Problems) -> bool:
    """Put paths and digests of its files into `row`, "" for those that are not there."""
    row_id, usable = row["id"], []
    for column, (missing, unreadable) in _FILES.items():
        name, row[column], row[f"{column}_digest"] = row[column], "", ""
        path = folder / _portable(name)
        if not name and column == "signals":
            usable.append(problems.add(row_id, missing, f"{MANIFEST}: {row_id} names no signals"))
        elif name:
            try:
                row[f"{column}_digest"], row[column] = digest_bytes(read_regular(path)), str(path)
            except UnreadableFileError as error:
                kind = missing if isinstance(error, MissingFileError) else unreadable
                usable.append(problems.add(row_id, kind, str(error)))
    return all(usable)


def _portable(name: str) -> str:
    return name.replace("\\", "/")
