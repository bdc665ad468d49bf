"""Runs at fixed places, listed by a link among the runs of their name: `outputs/<name>/<run id>`.

A link is followed only where it leads to the run whose id is its name. What else a link may lead to is none of its
business: nothing is read there as a run, and nothing written.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from hallmark.runs.record import Record

_RUN_ID = re.compile(r"[0-9a-f]{8}")


def linked_run(link: Path) -> Path | None:
    """The place of the run that `link` is named after; None where it is no link, or leads elsewhere.

    A place below the working folder is a relative path, as a user types it.
    """
    if not link.is_symlink() or is_stale(link):
        return None
    directory = os.path.realpath(link)
    relative = os.path.relpath(directory)
    return Path(directory if relative.startswith(os.pardir) else relative)


def is_stale(directory: Path) -> bool:
    """Whether `directory` is a link that is named after a run and does not lead to it."""
    if not directory.is_symlink() or _RUN_ID.fullmatch(directory.name) is None:
        return False
    try:
        record = Record.read(directory)
    except (OSError, ValueError):
        return True
    return record is None or record.run_id != directory.name


def remove_stale_link(directory: Path) -> None:
    """Make room for a run in `directory`, where a link to something else is; what that leads to stays as it is."""
    if is_stale(directory):
        directory.unlink(missing_ok=True)


def list_run(directory: Path, link: Path) -> None:
    """Make `link` lead to the run in `directory`, unless that run lies there itself, or another run of its id does.

    Raises:
        OSError: the folder of `link` cannot be written.
    """
    remove_stale_link(link)
    if not os.path.lexists(link):
        link.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was faster
            link.symlink_to(os.path.relpath(os.path.realpath(directory), os.path.realpath(link.parent)))
