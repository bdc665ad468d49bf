"""Run every command of README.md and docs as it is written, in order, in a fresh clone of this commit.

make readme
make readme FROM=12   # keep what passed before the 12th command, also at another commit

Writes `docs/results/readme.json`, goes on after a failure, and ends with status 1 where a command failed. Typed again
at the same commit, it goes on with what has not passed yet. The clone, with every output and log, is `build/readme`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

from benchmarks.results import count_cell, number_cell, write_result
from tests.readme.commands import PROJECT, Command, bring_own_files, commands, resolved, unknown_exceptions
from tests.readme.outputs import missing

from hallmark.storage.files import read_json, write_json

FOLDER = PROJECT / "build" / "readme"
TREE = FOLDER / "tree"
_PASSED = "passed"
_NOT_RUN = "not run: "
_TO_COME = "not run yet"


def prepare(commit: str, *, from_scratch: bool) -> None:
    """A clone with an environment of its own, which takes every package from this one and Hallmark from the clone."""
    if from_scratch:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        subprocess.run(["git", "clone", "--quiet", "--no-checkout", PROJECT, TREE], check=True)
    subprocess.run(["git", "fetch", "--quiet", "origin", commit], cwd=TREE, check=True)
    subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=TREE, check=True)
    (TREE / ".git" / "info" / "exclude").write_text("/mypackage/\n/mydigits/\n/assets/\n")
    bring_own_files(TREE)
    environment = TREE / ".venv"
    venv.create(environment, symlinks=True)
    packages = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    installed = next(path for path in map(Path, sys.path) if (path / "torch").is_dir())
    (environment / packages / "readme.pth").write_text(f"{TREE / 'src'}\n{TREE}\n{installed}\n")
    tool = environment / "bin" / "hallmark"
    tool.write_text(
        f"#!{environment / 'bin' / 'python'}\nimport sys\nfrom hallmark.console import main\nsys.exit(main())\n"
    )
    tool.chmod(0o755)
    (environment / "installed").touch()


def run(number: int, command: Command, commit: str) -> dict[str, Any]:
    """Run one command in the clone; gives its row."""
    if command.not_run:
        return unstarted(command, _NOT_RUN + command.not_run)
    variables = {name: text for name, text in os.environ.items() if not name.startswith(("HALLMARK_", "PYTHON"))}
    path = f"{TREE / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    log = FOLDER / f"{number}.log"
    outputs = TREE / "outputs"
    began = time.time()
    with log.open("w") as file:
        try:
            text = resolved(command.text, outputs)
        except LookupError as error:
            return unstarted(command, str(error))
        process = subprocess.Popen(
            ["bash", "-c", text], cwd=TREE, env={**variables, "PATH": path}, stdout=file, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    lacking = missing(command.text, outputs, since=began) if process.returncode == 0 else []
    outcome = f"left no {', '.join(lacking)}" if lacking else _PASSED if process.returncode == 0 else "failed"
    return {
        **unstarted(command, outcome),
        "commit": commit,
        "status": process.returncode,
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "wall_seconds": round(time.time() - began, 1),
        "last_line": lines[-1].replace(str(TREE), ".") if lines else "",
    }


def failed(row: dict[str, Any]) -> bool:
    return row["outcome"] not in (_PASSED, _TO_COME) and not row["outcome"].startswith(_NOT_RUN)


def unstarted(command: Command, outcome: str) -> dict[str, Any]:
    """The row of a command that was not run."""
    row = {"command": command.text, "block": command.block, "outcome": outcome}
    return {**row, "commit": "", "status": None, "cpu_seconds": None, "wall_seconds": None, "last_line": ""}


def write(rows: list[dict[str, Any]]) -> None:
    """`docs/results/readme.json`: every command with its row, and how many there are of each outcome."""
    passed = sum(row["outcome"] == _PASSED for row in rows)
    wrong = sum(map(failed, rows))
    table = [
        {
            "command": row["command"],
            "block": row["block"],
            "outcome": row["outcome"],
            "exit status": "" if row["status"] is None else str(row["status"]),
            "processor": number_cell(row["cpu_seconds"], 1, " s"),
            "elapsed": number_cell(row["wall_seconds"], 1, " s"),
            "last line": row["last_line"],
            "commit": row["commit"][:12],
        }
        for row in rows
    ]
    to_come = sum(row["outcome"] == _TO_COME for row in rows)
    not_run = len(rows) - passed - wrong - to_come
    counts = {"commands": len(rows), "passed": passed, "failed": wrong, "not_run": not_run, "to_come": to_come}
    write_result(
        "readme", rows="Every command in a code block of README.md and docs, as written, in a fresh clone.",
        intervals="", tables={"commands": table}, values={name: count_cell(count) for name, count in counts.items()},
    )  # fmt: skip


def main(first: int | None) -> int:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=PROJECT, check=True, capture_output=True, text=True
    ).stdout.strip()
    if unknown := unknown_exceptions():
        sys.exit(f"no page has a command with {', '.join(unknown)}: take it out of NOT_RUN")
    stored = FOLDER / "rows.json"
    known = read_json(stored) if stored.exists() else []
    if first is None and commit not in [row["commit"] for row in known]:
        known = []
    prepare(commit, from_scratch=not known)
    earlier = {(row["block"], row["command"]): row for row in known}
    listed = commands()
    rows = [earlier.get((command.block, command.text), unstarted(command, _TO_COME)) for command in listed]
    for number, command in enumerate(listed, start=1):
        if rows[number - 1]["outcome"] == _PASSED and (first is None or number < first):
            continue
        print(f"{number}/{len(listed)} {command.text}", flush=True)
        row = rows[number - 1] = run(number, command, commit)
        seconds = f"{row['cpu_seconds']:.0f} s of processor, {row['wall_seconds']:.0f} s" if row["wall_seconds"] else ""
        print(f"    {'; '.join(filter(None, [row['outcome'], seconds, row['last_line']]))}", flush=True)
        write_json(stored, rows)
        write(rows)
    wrong = sum(map(failed, rows))
    print(f"{len(rows)} commands, {wrong} failed; logs are {FOLDER}/*.log")
    return int(wrong > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--from",
        dest="first",
        type=int,
        metavar="N",
        help="keep what passed before the N-th command, also at another commit",
    )
    sys.exit(main(parser.parse_args().first))
