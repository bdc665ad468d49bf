"""Folders: space, permission, locks, the runs in them, the user's data."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from filelock import FileLock

from hallmark.commands.diagnosis.finding import Finding, Findings, failed, ok, warning
from hallmark.runs.registry import find_entries

_GIB = 2**30
_ENOUGH, _TOO_LITTLE = 5 * _GIB, _GIB // 2
_TRY_LOCK = """
import sys
from filelock import FileLock, Timeout
try:
    FileLock(sys.argv[1], timeout=0).acquire()
except Timeout:
    sys.exit(3)
"""


def disk(outputs: Path) -> Findings:
    cache = Path(os.environ.get("HALLMARK_CACHE") or outputs / "cache")
    yield _space("outputs", outputs, "HALLMARK_OUTPUTS")
    yield _space("cache", cache, "HALLMARK_CACHE")


def locks(outputs: Path) -> Findings:
    """Whether a lock that one process holds keeps another out, on the filesystem of the outputs."""
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=_nearest(outputs)) as folder:
        file = Path(folder) / ".lock"
        with FileLock(file, timeout=0):
            tried = subprocess.run([sys.executable, "-c", _TRY_LOCK, str(file)], capture_output=True, timeout=60)
    if tried.returncode == 3:
        yield ok(f"file locks work in {outputs}")
    else:
        yield failed(f"file locks do not hold in {outputs}: two processes could write one run; "
                     "set HALLMARK_OUTPUTS to a local disk")  # fmt: skip


def runs(outputs: Path) -> Findings:
    if not outputs.is_dir():
        yield ok(f"none yet in {outputs}")
        return
    entries = find_entries([outputs])
    counts = Counter(entry.state for entry in entries)
    yield ok(", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or f"none yet in {outputs}")
    for entry in entries:
        if entry.state == "unreadable":
            yield warning(f"{entry.problem}; repeat its command with rerun=true, or remove the directory")
    if counts["interrupted"]:
        yield warning(f"{counts['interrupted']} interrupted; the command in its record.json goes on with each: "
                      "hallmark runs --state interrupted")  # fmt: skip


def _space(what: str, folder: Path, variable: str) -> Finding:
    existing = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"0")
        free = shutil.disk_usage(existing).free
    except OSError as error:
        advice = f"change its permissions, or set {variable}"
        return failed(f"{what}: cannot write in {existing} ({error.strerror}): {advice}")
    line = f"{what}: {free / _GIB:.1f} GiB free at {folder}"
    if free < _TOO_LITTLE:
        return failed(f"{line}; free some, or set {variable} to another disk")
    return ok(line) if free >= _ENOUGH else warning(f"{line}; a sweep with checkpoints can need more")


def _nearest(folder: Path) -> Path:
    folder = folder.absolute()
    return next(parent for parent in (folder, *folder.parents) if parent.exists())
