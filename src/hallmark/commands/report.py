"""Write one or many runs as a Markdown and a self-contained HTML page.

RESULT is the folder of a finished run, a set of repeats or a sweep, or of an experiment that holds one of them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("results", nargs="+", metavar="RESULT", type=Path, help="a run, a set of repeats or a sweep; several compare")
    add("--output", metavar="FOLDER", type=Path, help="where to write (report/ in the result, or beside several)")


def run(arguments: argparse.Namespace) -> int:
    """Write the report.

    Raises:
        ValueError: a path is no finished result, or the output cannot be written.
    """
    from hallmark.report.gather import gather  # heavy, and `--help` must not wait for it
    from hallmark.report.render import write
    from hallmark.storage.destinations import check_folder

    folder = arguments.output or default_folder(arguments.results)
    if arguments.output is not None:
        check_folder("--output", folder)
    report = gather(arguments.results)
    print(report.summary[0])
    for path in write(report, folder):
        print(path)
    return 0


def default_folder(results: Sequence[Path]) -> Path:
    """`report` in the one result, or in the folder that holds all of them."""
    folders = [path.resolve() for path in results]
    common = folders[0]
    while not all(folder.is_relative_to(common) for folder in folders):
        common = common.parent
    return common / "report"
