"""The members of a set of repeats in one pooled table.

Each row has the id `<id>@<note>` there, the note being that of its member (`seed 1`, `fold 0, repetition 2`), and
the columns `repetition` and `member`. Members that predict the same have their rows in the table once;
`attrs["copies"]` maps the note of each that is left out to the note of the one that stands for it.
"""

from collections.abc import Iterable

import pandas as pd

STAND_IN = "stands for every member"  # key of attrs: the rows are of one model, repeated


def row_ids(rows: pd.DataFrame) -> pd.Series:
    """The ids [N] of rows; in a pooled table without the notes of the members."""
    return rows["id"].astype(str).str.replace(r"@[^@]*$", "", regex=True) if "repetition" in rows else rows["id"]


def member_notes(rows: pd.DataFrame) -> pd.Series:
    """The note [N] of the member that each row is of; empty for the rows of a run."""
    if "repetition" not in rows:
        return pd.Series("", index=rows.index)
    return rows["id"].astype(str).str.rpartition("@")[2]


def row_count(rows: pd.DataFrame) -> int:
    """The number of rows of one task, which a set of repeats has once, however many of its members predict them."""
    return int(row_ids(rows).nunique()) if "repetition" in rows else len(rows)


def members_text(notes: Iterable[str]) -> str:
    """What the members of a set are, by their notes: `5 seeds`, `5 folds`, `5 folds × 3 repetitions`."""
    columns = zip(*(note.split(", ") for note in notes), strict=True)
    counts = [(str(column[0]).split(" ")[0], len(set(column))) for column in columns]
    return " × ".join(f"{n} {kind}" + "s" * (n != 1) for kind, n in counts)


def over_text(rows: pd.DataFrame) -> str:
    """`members_text` of a pooled table; empty for a run."""
    return members_text(member_notes(rows).unique()) if "repetition" in rows else ""


def kinds_text(rows: pd.DataFrame) -> str:
    """` (437 real, 437 generated)` of the rows of two sets; empty for others."""
    if "kind" not in rows or rows["kind"].isna().all():
        return ""
    counts = (f"{row_count(part):,} {kind}" for kind, part in rows.groupby("kind", sort=False))
    return f" ({', '.join(counts)})"


def size_text(rows: pd.DataFrame) -> str:
    """Rows of one task and the members that predict them.

    `874 rows`, of two sets `874 rows (437 real, 437 generated)`; of a set of repeats `874 rows × 3 seeds` where every
    member predicts every row, and else `874 rows of 5 folds`.
    """
    n = row_count(rows)
    text = f"{n:,} row{'s' * (n != 1)}{kinds_text(rows)}"
    if "repetition" not in rows:
        return text
    return f"{text} {'×' if len(rows) == n * member_notes(rows).nunique() else 'of'} {over_text(rows)}"


def same_members(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables with the rows of every member of either, so that they can be paired.

    A run stands in for every member of a set, and so does a set whose members all predict the same. The run is one
    draw of its training: repeating its rows lets a comparison speak of that one run, not of its setting.

    Raises:
        ValueError: a run is to stand in for the folds of a set, whose rows are not those of one split.
    """
    of_each = [_members(table) for table in (first, second)]
    sets = [members for members in of_each if len(members) > 1] or [members for members in of_each if len(members)][:1]
    if not sets:
        return first, second
    wanted = pd.concat(sets).drop_duplicates("note")
    return _with_members(first, wanted), _with_members(second, wanted)


def _members(rows: pd.DataFrame) -> pd.DataFrame:
    """Note, repetition and member of each member of a set; no rows for a run."""
    if "repetition" not in rows:
        return pd.DataFrame(columns=["note", "repetition", "member"])
    return rows.assign(note=member_notes(rows))[["note", "repetition", "member"]].drop_duplicates("note")


def _with_members(rows: pd.DataFrame, wanted: pd.DataFrame) -> pd.DataFrame:
    parts = dict(list(rows.groupby(member_notes(rows), sort=False)))
    if set(parts) == set(wanted["note"]):
        return rows
    if len(parts) == 1 and wanted["repetition"].duplicated().any():
        raise ValueError("a run cannot be compared with folds, which cover other rows: give a set over the same folds")
    # A run, or a set whose members all predict the same, has one part, which stands for every wanted member; else a
    # member without rows of its own has those of the one that predicts the same.
    only = next(iter(parts)) if len(parts) == 1 else None
    copies = rows.attrs.get("copies", {})
    ids = row_ids(rows).astype(str)
    copied = []
    for note, repetition, member in wanted.itertuples(index=False):
        source = only if only is not None else note if note in parts else copies.get(note)
        if source is not None:
            part = parts[source]
            copied.append(part.assign(id=ids[part.index] + f"@{note}", repetition=repetition, member=member))
    table = pd.concat(copied, ignore_index=True) if copied else rows
    table.attrs = {**rows.attrs, STAND_IN: only is not None}
    return table
