"""The list of recordings: `recordings.csv` beside the files that it names."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from hallmark.checks import SettingError, require
from hallmark.data.problems import Problems
from hallmark.data.splits import target_column
from hallmark.data.text import decode_text
from hallmark.storage.hashing import digest_file
from hallmark.storage.regular import UnsafePathError, check_name, path_below

MANIFEST = "recordings.csv"
TASKS = ("action", "state")
DELIMITERS = ",;\t|"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_manifest(folder: Path, classes: Mapping[str, Sequence[str]], problems: Problems) -> pd.DataFrame:
    """Recordings of which nothing is known to be wrong before their files are read.

    Columns: id, subject ("" where unknown), scene, a target column for each task (None where unlabelled), signals
    and frames (paths; frames "" for none), signals_digest, frames_digest. The columns scene and frames of the file
    are optional. An empty label is no label; under the policy `keep` an unknown one is none either.

    Raises:
        SettingError: no such folder or file, no rows, or not these columns.
    """
    rows = _table(folder, list(classes))
    rows = rows[[_has_an_id(row, problems) for row in rows.itertuples()]]
    rows = rows[[_is_safe(row, folder, problems) for row in rows.to_dict("records")]]
    repeated = rows["id"].duplicated()
    for row_id in rows.loc[repeated, "id"]:
        problems.add(row_id, "duplicate_id", f"{MANIFEST}: {row_id} is listed more than once")
    rows = rows[~repeated].reset_index(drop=True)
    kept = [_is_usable(row, folder, classes, problems) for row in rows.to_dict("records")]
    rows = rows[pd.Series(kept, dtype=bool)].reset_index(drop=True)
    for task, names in classes.items():
        rows[target_column(task)] = rows[task].where(rows[task].isin(names), None).astype(object)
    for column in ("signals", "frames"):
        paths = [_path(folder, name) if name else None for name in rows[column]]
        present = [path is not None and path.is_file() for path in paths]
        rows[column] = [str(path) if here else "" for path, here in zip(paths, present, strict=True)]
        rows[f"{column}_digest"] = [digest_file(Path(path)) if path else "" for path in rows[column]]
    return rows


def read_table(raw: bytes) -> pd.DataFrame:
    """Text cells of a CSV file in UTF-8, UTF-16 or GB18030, split at whichever delimiter its first line has most of."""
    text = raw.decode("utf-16") if raw.startswith(_UTF16) else decode_text(raw)
    rows = [row for row in csv.reader(StringIO(text), delimiter=delimiter_of(text)) if any(map(str.strip, row))]
    head, *body = [[cell.strip() for cell in row] for row in rows] or [[]]
    width = len(head)
    return pd.DataFrame([(row + [""] * width)[:width] for row in body], columns=head, dtype=object)


def delimiter_of(text: str) -> str:
    return max(DELIMITERS, key=text.partition("\n")[0].count)


def _table(folder: Path, tasks: list[str]) -> pd.DataFrame:
    path = folder / MANIFEST
    require(path.is_file(), "folder", str(folder), f"{_layout()}; {path} is missing")
    table = read_table(path.read_bytes())
    table.columns = table.columns.str.lower()
    needed = ["id", "subject", *tasks, "signals"]
    if not set(needed) <= set(table):
        found = f"{path} has the columns {', '.join(table.columns)} and needs {', '.join(needed)}"
        raise SettingError("folder", str(folder), f"{_layout()}; {found}")
    require(
        table.columns.is_unique,
        "folder",
        str(folder),
        f"each column once; {path} has {', '.join(table.columns)}",
    )
    require(len(table) > 0, "folder", str(folder), f"{_layout()}; {path} lists no recording")
    return table.reindex(columns=list(dict.fromkeys([*needed, "scene", "frames", *TASKS])), fill_value="")


def _layout() -> str:
    return (
        f"a folder with {MANIFEST} (id,subject,scene,action,state,signals,frames) and the files it names. "
        "Without data, profile=sample with data.folder=null generates recordings in this layout"
    )


def _has_an_id(row: tuple, problems: Problems) -> bool:
    return bool(row.id) or problems.add("", "empty_id", f"{MANIFEST}: recording {row.Index + 1} has no id")  # type: ignore[attr-defined]


def _is_safe(row: dict[Any, Any], folder: Path, problems: Problems) -> bool:
    """Whether a recording has a plain name, and its files are in the folder, wherever links lead."""
    try:
        check_name(row["id"])
        for column in ("signals", "frames"):
            path_below(folder, _portable(row[column]))
    except UnsafePathError as error:
        return problems.add(row["id"], "unsafe_path", f"{MANIFEST}: {error}")
    return True


def _is_usable(row: dict[Any, Any], folder: Path, classes: Mapping[str, Sequence[str]], problems: Problems) -> bool:
    row_id, kept = row["id"], []
    if not row["subject"]:
        kept.append(problems.add(row_id, "empty_subject", f"{MANIFEST}: {row_id} has no subject"))
    for task, names in classes.items():
        if row[task] and row[task] not in names:
            detail = f"{MANIFEST}: {row_id} has the {task} {row[task]!r}; known: {', '.join(names)}"
            kept.append(problems.add(row_id, f"unknown_{task}", detail))
    for column, kind in (("signals", "missing_file"), ("frames", "missing_frames")):
        if (row[column] or column == "signals") and not _path(folder, row[column]).is_file():
            found = _path(folder, row[column]) if row[column] else f"{MANIFEST}: {row_id} names no signals"
            kept.append(problems.add(row_id, kind, f"{found}: no such file" if row[column] else str(found)))
    return all(kept)


def _path(folder: Path, name: str) -> Path:
    return folder / _portable(name)


def _portable(name: str) -> str:
    return name.replace("\\", "/")
