"""What the tests of releases share."""

import subprocess
from pathlib import Path

from hallmark.engine.config.trust import NO_TRUST, Trust
from hallmark.engine.release.release import release
from hallmark.runs.archive import unpack, write_archive
from hallmark.runs.record import Record
from hallmark.runs.repeats import RepeatSet
from hallmark.runs.run import Run

NAME = "sentiment_tfidf"


def git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *settings, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def released(
    result: RepeatSet | Run, *waived: str, into: Path | None = None, tagged: bool = True, trust: Trust = NO_TRUST
) -> Path:
    return release(result.directory, waived=waived, into=into, tagged=tagged, trust=trust)


def count(*runs: Run) -> int:
    return sum(len(values) for run in runs for tasks in run.metrics.values() for values in tasks.values())


def seal_under(directory: Path, seals: Path) -> None:
    """Let the access records of a copied run lie with the copy."""
    record = Record.read(directory)
    assert record is not None
    record.seals = str(seals)
    record.write(directory)


def repack(archive: Path, folder: Path, edit) -> None:
    """Change the content of an archive as somebody would who also makes its checksums new."""
    root = unpack(archive, folder)
    edit(root)
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    files.pop("MANIFEST.sha256")
    write_archive(archive, files)
