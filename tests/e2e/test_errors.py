"""Commands on disks that are full or may not be written, and on terminals that know ASCII alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.processes import Process

pytestmark = pytest.mark.e2e

RUN = ["experiment=sentiment_tfidf", "data.sample.rows=120", "data.sample.unlabelled=20", "callbacks.progress=null"]
IN_OWN_MOUNTS = """
import ctypes, os, runpy, subprocess, sys
assert ctypes.CDLL(None).unshare(0x00020000) == 0  # CLONE_NEWNS
subprocess.run(["sh", "-c", "mount --make-rprivate / && " + sys.argv.pop(1)], check=True)
sys.argv.pop(0)
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
DISKS = {  # how a folder is mounted, and what the system says of it
    "read-only": ("mount -t tmpfs none {0} && mount -o remount,ro {0}", "Read-only file system"),
    "full": ("mount -t tmpfs -o size=4k none {0}", "No space left on device"),
}


def mounts_are_allowed() -> bool:
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize(("mount", "reason"), DISKS.values(), ids=DISKS)
def test_a_disk_that_takes_nothing_is_named_in_a_sentence(project: Path, tmp_path: Path, mount: str, reason: str):
    if not mounts_are_allowed():
        pytest.skip("no private mount namespace here (unshare -m)")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [str(project / "train.py"), *RUN, f"paths.outputs={disk}"]
    process = Process(
        [sys.executable, "-c", IN_OWN_MOUNTS, mount.format(disk), *command],
        cwd=project, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 2, errors
    assert "Traceback" not in errors
    assert f"error: {disk}" in errors and reason in errors


def test_an_ascii_terminal_shows_a_fit(project: Path):
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = subprocess.run(
        [sys.executable, str(project / "train.py"), *RUN],
        cwd=project, capture_output=True, timeout=300, env={**environment, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert b"| macro_f1" in ended.stdout and ended.stdout.isascii()
