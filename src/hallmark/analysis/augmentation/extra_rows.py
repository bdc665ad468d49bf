"""What the augmentations of bad cases share: the cases they start from and the rows they write."""

from pathlib import Path

import pandas as pd

from hallmark.analysis.bad_cases import TABLE as BAD_CASES
from hallmark.analysis.presentation import show
from hallmark.checks import require
from hallmark.storage.files import read_csv

COLUMNS = ["id", "source_id", "target", "image", "text", "transform", "mined_from"]


def read_cases(directory: Path, column: str, *, wanted_by: str, skip_label_issues: bool) -> list[dict[str, str]]:
    """Rows of the run's `bad_cases.csv` that have `column`, names and texts exactly as written.

    Args:
        column: `path` or `text`, what the augmentation changes.
        wanted_by: the analysis that reads them.
        skip_label_issues: leave out cases whose label is in doubt (where the table knows of any).

    Raises:
        ValueError: the table is not there, or has no such column.
    """
    path = directory / "analysis" / f"{BAD_CASES}.csv"
    if not path.exists():
        raise ValueError(f"{path}: no such table; run analysis=[{BAD_CASES},{wanted_by}]")
    cases = read_csv(path, dtype=str, keep_default_na=False).drop_duplicates("guid")
    if column not in cases:
        raise ValueError(f"{path}: {wanted_by} needs its column {column}, which this system's samples do not have")
    if skip_label_issues and "label_issue" in cases:
        cases = cases[cases["label_issue"] != "True"]
    return [{str(name): value for name, value in case.items()} for case in cases.to_dict("records")]


def check_transforms(transforms: list[str], known: list[str]) -> None:
    """Raise `SettingError` unless `transforms` are one or more different names out of `known`."""
    fits = bool(transforms) and set(transforms) <= set(known) and len(set(transforms)) == len(transforms)
    require(fits, "transforms", list(transforms), f"one or more of {', '.join(known)}, each once")


def extra_row(case: dict[str, str], transform: str, *, image: str, text: str) -> dict[str, str]:
    """One row of an extra training table; `source_id` lets the reader keep it in the fold of its source."""
    return {
        "id": f"{case['guid']}~{transform}",
        "source_id": case["guid"],
        "target": case["target"],
        "image": str(Path(image).resolve()) if image else "",
        "text": text,
        "transform": transform,
        "mined_from": case["mined_from"],
    }


def show_counts(title: str, table: pd.DataFrame) -> None:
    """Print how many rows each transform gave."""
    counts = table.groupby("transform", sort=False).size()
    show(f"{title} ({len(table)})", counts.rename("rows").reset_index())
