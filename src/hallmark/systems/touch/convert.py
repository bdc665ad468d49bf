"""Brings wrist recordings into the layout of `read_manifest`.

    python -m hallmark.systems.touch.convert STRESS_FOLDER RECORDINGS_FOLDER

reads `subjects/*.csv.gz` (or .csv) with the columns t, bvp, bvp_std, eda, temp, hr, acc_x, acc_y, acc_z, task, stress
and segment. Each segment becomes a recording: `S01-1` is the segment 1 of subject S01, its scene the segment's
number, its action the task, its state calm or stress. Doing it again changes nothing.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from hallmark.checks import require
from hallmark.storage.delimited import read_table
from hallmark.storage.files import write_csv, write_parquet
from hallmark.systems.touch.manifest import MANIFEST
from hallmark.systems.touch.signals import read_numeric_table

CHANNELS = ["bvp", "bvp_std", "eda", "temp", "hr", "acc_x", "acc_y", "acc_z"]
COLUMNS = ["t", *CHANNELS, "task", "stress", "segment"]
STATES = {0: "calm", 1: "stress"}


def convert(source: Path, target: Path) -> pd.DataFrame:
    """Write the recordings of `source` into `target`; gives the manifest.

    The manifest is written last, so that a folder with one is whole.

    Raises:
        ValueError: `source` has not that layout, or `target` holds other recordings.
    """
    files = sorted(path for path in (source / "subjects").glob("*.csv*") if path.name.endswith((".csv", ".csv.gz")))
    require(len(files) > 0, "source", str(source), "a folder with subjects/*.csv.gz, one file a subject")
    inside = target.resolve().is_relative_to(source.resolve())
    require(not inside, "target", str(target), "a folder outside the source")
    subjects = {path.name.removesuffix(".gz").removesuffix(".csv"): path for path in files}
    require(len(subjects) == len(files), "source", str(source), "one file a subject, .csv or .csv.gz")
    recordings = [segment for subject, path in subjects.items() for segment in _segments(subject, path)]
    manifest = pd.DataFrame([line for line, _ in recordings])
    if (target / MANIFEST).is_file():
        listed = read_table(target / MANIFEST).cells
        right = f"a new folder, or one with these {len(manifest)} recordings; it holds {len(listed)} others"
        require(listed.equals(manifest.astype(object)), "target", str(target), right)
    for line, table in recordings:
        write_parquet(target / line["signals"], table)
    write_csv(target / MANIFEST, manifest, exact=True)
    return manifest


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert and print a summary; 0 if all is well, 2 with a sentence for what a user did."""
    about = "Bring wrist recordings into the layout of recordings.csv."
    parser = argparse.ArgumentParser("python -m hallmark.systems.touch.convert", description=about, allow_abbrev=False)
    parser.add_argument("source", metavar="STRESS_FOLDER", type=Path, help="has subjects/S01.csv.gz and so on")
    parser.add_argument("target", metavar="RECORDINGS_FOLDER", type=Path, help="gets recordings.csv and signals/")
    parsed = parser.parse_args(arguments)
    try:
        manifest = convert(parsed.source, parsed.target)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{parsed.target / MANIFEST}: {len(manifest)} recordings of {manifest['subject'].nunique()} subjects")
    for task in ("action", "state"):
        counts = ", ".join(f"{name} {n}" for name, n in manifest[task].value_counts().items())
        print(f"  {task}: {counts}")
    return 0


def _segments(subject: str, path: Path) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """The manifest line and the signals of each segment of one subject."""
    table = read_numeric_table(path)
    right = f"the columns {', '.join(COLUMNS)}; found {', '.join(map(str, table.columns))}"
    require(set(COLUMNS) <= set(table), "source", str(path), right)
    labels = table[["task", "stress", "segment"]]
    require(bool(labels.notna().to_numpy().all()), "source", str(path), "a task, stress and segment in every row")
    integers = all(pd.api.types.is_integer_dtype(table[name]) for name in ("stress", "segment"))
    require(integers, "source", str(path), "whole numbers in the columns stress and segment")
    require(table["segment"].ne(table["segment"].shift()).sum() == table["segment"].nunique(), "source", str(path),
            "the rows of a segment one after another")  # fmt: skip
    for number, rows in table.groupby("segment", sort=False):
        require(rows[["task", "stress"]].drop_duplicates().shape[0] == 1, "source", str(path),
                f"one task and one stress value in segment {number}")  # fmt: skip
        name = f"{subject}-{number}"
        action, stress = str(rows["task"].iloc[0]), int(rows["stress"].iloc[0])
        require(stress in STATES, "source", str(path), f"stress of 0 or 1; found {stress} in segment {number}")
        yield {
            "id": name, "subject": subject, "scene": str(number), "action": action, "state": STATES[stress],
            "signals": f"signals/{name}.parquet", "frames": "",
        }, rows[["t", *CHANNELS]].reset_index(drop=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
