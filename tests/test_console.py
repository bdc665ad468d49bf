"""The console tool answers at once, in sentences, and imports a command only when it is chosen."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.runs.conftest import make_record

from hallmark.console import COMMANDS, main, module_name

__all__ = ["make_record"]

HEAVY = ("torch", "lightning", "transformers", "pandas", "sklearn", "matplotlib", "optuna", "hydra", "wandb", "numpy")
RUN = f"""
import sys
from hallmark.console import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print("imported:", *(name for name in {HEAVY!r} if name in sys.modules))
sys.exit(code)
"""
there = [name for name in COMMANDS if importlib.util.find_spec(f"hallmark.commands.{module_name(name)}")]


def answer(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that must not have imported anything heavy."""
    ended = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, timeout=120)
    *lines, last = ended.stdout.splitlines()
    assert last == "imported:", ended.stdout + ended.stderr
    return ended.returncode, "\n".join(lines), ended.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(arguments, capsys):
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(f"{name:<12}{line}" in printed for name, line in COMMANDS.items())


@pytest.mark.parametrize("name", there)
def test_the_help_of_a_command_imports_nothing_heavy(name):
    code, printed, _ = answer(name, "--help")
    assert code == 0
    assert printed.startswith(f"usage: hallmark {name}")


@pytest.mark.parametrize("name", there)
def test_the_help_line_is_that_of_the_module(name):
    doc = importlib.import_module(f"hallmark.commands.{module_name(name)}").__doc__
    assert doc is not None and doc.splitlines()[0] == COMMANDS[name]


def test_a_listing_imports_nothing_heavy(make_record):
    outputs = Path(os.environ["HALLMARK_OUTPUTS"])
    make_record().write(outputs / "clip_final" / "0123abcd")
    code, printed, _ = answer("runs")
    assert code == 0
    assert "interrupted" in printed


MISTAKES = {
    "a command": (["rusn"], "rusn: no such command; did you mean runs?"),
    "a far-off command": (["xyz"], f"xyz: no such command; there are {', '.join(COMMANDS)}"),
    "an option": (["runs", "--jsno"], "--jsno: no such option; did you mean --json?"),
    "an option with its value": (["runs", "--stat=done"], "--stat=done: no such option; did you mean --state?"),
    "a choice": (["runs", "--state", "don"], "argument --state: invalid choice: 'don'"),
    "a number": (["runs", "--limit", "0"], "argument --limit: 0: expected a whole number from 1"),
    "a time": (["runs", "--since", "yesterday"], "argument --since: yesterday: expected 2026-01-31"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_answered_by_a_sentence(arguments, message):
    code, printed, errors = answer(*arguments)
    assert (code, printed) == (2, "")
    assert errors.startswith(f"error: {message}") and len(errors.splitlines()) == 1


def test_a_reader_that_leaves_early_is_no_error(make_record, tmp_path):
    outputs = tmp_path / "outputs"
    for number in range(600):  # more than a pipe holds
        make_record(run_id=f"{number:08}", state="done").write(outputs / ("n" * 60) / f"{number:08}")
    for options in ("", "--json"):
        command = f"{sys.executable} -m hallmark.console runs {options} | head -n 1; echo ${{PIPESTATUS[0]}}"
        ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
        assert ended.stdout.splitlines()[1:] == ["0"]
        assert ended.stderr == ""


def test_ctrl_c_ends_with_130(tmp_path):
    """The command waits on a named pipe in place of a record until it is interrupted."""
    waiting = tmp_path / "clip" / "0123abcd"
    waiting.mkdir(parents=True)
    os.mkfifo(waiting / "record.json")
    command = [sys.executable, "-m", "hallmark.console", "runs", str(tmp_path)]
    # A shell starts background jobs with Ctrl-C ignored.
    heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heed) as process:
        writer = _when_it_reads(waiting / "record.json")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        os.close(writer)
    assert (process.returncode, errors) == (130, "error: interrupted\n")


def _when_it_reads(pipe: Path) -> int:
    for _ in range(600):
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            time.sleep(0.05)
    raise AssertionError("the command never opened the record")
