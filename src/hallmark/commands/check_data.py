"""List everything that is wrong with the data of a preset, before any fit.

OVERRIDE is what train.py takes: experiment=touch_balanced data.folder=FOLDER. The data is read, split and passed
through the leakage gate as for a fit; nothing is trained, and nothing written unless --output says where. Settings
that have no effect on the data are named.
"""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hallmark.data.leakage import Leaks
    from hallmark.data.module import DataModule


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("overrides", nargs="+", metavar="OVERRIDE", help="a preset and settings, as train.py takes them")
    add("--config-dir", metavar="FOLDER", type=Path, help="settings of a package of your own, as train.py takes them")
    add("--output", metavar="FOLDER", type=Path, help="write problems.csv, splits.csv and leakage.csv there")


def run(arguments: argparse.Namespace) -> int:
    """Print every problem, what each split holds, and every leak; 1 where a fit would be refused.

    Raises:
        ValueError: no such preset or setting, no such folder, or not the layout that the system reads.
    """
    from hallmark.analysis.presentation import show
    from hallmark.checks import SettingError, require, setting
    from hallmark.data.module import DataModule
    from hallmark.engine.build import build  # torch loads here, and not for --help
    from hallmark.engine.job import Job
    from hallmark.engine.launch import composed
    from hallmark.engine.parents import inherited
    from hallmark.engine.setup import check_rows
    from hallmark.storage.destinations import check_folder
    from hallmark.storage.files import write_csv

    if arguments.output is not None:
        check_folder("--output", arguments.output)
    overrides = list(arguments.overrides)
    if arguments.config_dir is not None:
        require(arguments.config_dir.is_dir(), "--config-dir", str(arguments.config_dir), "an existing folder")
        overrides.append(f"hydra.searchpath=['file://{arguments.config_dir.absolute()}']")
    config = composed("train", overrides)
    expected = "null; one split is checked at a time: give its seed, or data/split=kfold data.split.fold=N"
    require(config.repeat is None, "repeat", config.repeat, expected)
    job = Job.of(config)
    data: DataModule = build(job.config.data, DataModule, trusted=job.trusted)
    if ignored := _without_effect(overrides):
        print(f"Without effect on the data: {', '.join(ignored)}")
    if missing := [role for role in job.presets if role not in job.parents]:
        print(f"Parents that are not made yet: {', '.join(missing)}; a fit makes them on these rows and this split")
    refusal, leaks = None, None
    try:
        with setting("data"):
            data.prepare()
    except ValueError as error:
        if data.samples.empty and not data.problems.found:
            raise
        refusal = str(error).splitlines()[0].removesuffix(":")
    table = data.problems.table()
    for (kind, policy), rows in table.groupby(["kind", "policy"]):
        show(f"{kind}: {len(rows)}, by data.on_problem {policy}", rows[["id", "detail"]])
    if table.empty:
        print("No problems.")
    if not data.samples.empty:
        _show_counts(data, "Splits" if refusal else f"Splits of {data.metadata()['source']}")
    if refusal is None:
        leaks = data.find_leaks(inherited(job))
        refusal = _check_leaks(data, leaks)
        try:
            check_rows(job, data)
        except SettingError as error:
            refusal = refusal or str(error)
        for warning in data.warnings():
            print(f"Warning: {warning}")
    if arguments.output is not None:
        write_csv(arguments.output / "problems.csv", table)
        if "split" in data.samples:
            data.write_splits(arguments.output)
        if leaks is not None:
            write_csv(arguments.output / "leakage.csv", leaks.findings)
    print(f"A fit would be refused: {refusal}" if refusal else "A fit would start.")
    return int(refusal is not None)


def _without_effect(overrides: Sequence[str]) -> list[str]:
    """Those of `overrides` without which the settings of the data, and what they are compared with, are the same."""
    from hallmark.engine.config.symbolic import plain
    from hallmark.engine.launch import composed

    composed_data = plain(composed("train", overrides).data)
    ignored = []
    for override in overrides:
        # What is known of parents is compared with the rows.
        seen = ("data", "experiment", "hydra.", "init_from", "parents", "profile", "trusted_")
        if override.lstrip("+~").startswith(seen):
            continue
        with suppress(ValueError):  # others need this one to compose
            if plain(composed("train", [each for each in overrides if each != override]).data) == composed_data:
                ignored.append(override)
    return ignored


def _show_counts(data: "DataModule", title: str) -> None:
    """Print what the splits hold, or all rows where they could not be split."""
    import pandas as pd

    from hallmark.analysis.presentation import show
    from hallmark.data.splits import target_column
    from hallmark.runs.metrics import MAIN

    records = []
    samples = data.samples if "split" in data.samples else data.samples.assign(split="not split")
    for split, rows in samples.groupby("split", sort=False):
        record = {"split": split, "rows": len(rows), "groups": rows["group"].nunique()}
        for task, classes in data.classes.items():
            counts = rows[target_column(task)].value_counts()
            record |= {name if task == MAIN else f"{task}: {name}": int(counts.get(name, 0)) for name in classes}
        records.append(record)
    show(title, pd.DataFrame(records))


def _check_leaks(data: "DataModule", leaks: "Leaks") -> str | None:
    """Print what the splits share; gives why the gate would stop a fit, if it would."""
    from hallmark.analysis.presentation import show
    from hallmark.data.leakage import predict_lines, reach_lines, verdict_line

    entry = leaks.entry()
    print(f"Leakage: {verdict_line(entry)}")
    for line in reach_lines(entry):
        print(f"  {line}")
    for line in predict_lines(entry):
        print(f"Rows to predict: {line}")
    if leaks.findings.empty:
        return None
    show("Shared between splits", leaks.findings)
    n = len(leaks.findings)
    shared = "1 pair of rows is" if n == 1 else f"{n:,} pairs of rows are"
    return f"{shared} shared between splits" if data.leakage_action == "stop" else None
