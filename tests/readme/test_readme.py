"""Each block of commands of README and docs, typed into an empty folder, at a fraction of its size."""

import multiprocessing
import os
import re
import runpy
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from tests.engine.sweeping import InProcess
from tests.readme.commands import bring_own_files, commands, resolved, unknown_exceptions
from tests.readme.outputs import missing

import hallmark.engine.evaluate
import hallmark.engine.search.sweep  # imported once, here: commands are forked from this process
from hallmark import console
from hallmark.analysis.plots.style import PaperFigure
from hallmark.engine.search.plans import JobList

pytestmark = pytest.mark.e2e

BLOCKS = {
    block: list(group)
    for block, group in groupby((command for command in commands() if not command.not_run), lambda c: c.block)
    if not block.startswith("docs/guide.md")  # whose commands `test_guide` types, to the end of each fit
}
_FORK = multiprocessing.get_context("fork")
_TRIALS = {
    "sweep=random": ["sweep.plan.trials=2"],
    "sweep=clip_search": ["sweep.plan.trials=2"],
    "sweep=clip_grid": [
        "sweep.space={data.batch_size: [16], model.optimizer.weight_decay: [1e-4], model.head.dropout: [0.1]}"
    ],
}


def cut(text: str, small_of) -> list[str]:
    """The words of a command with its data, epochs, repeats, trials and resamples reduced."""
    words = shlex.split(
        re.sub(r"seeds:\d", "seeds:2", text).replace("make train", "python train.py experiment=clip_final")
    )
    preset = next((word.removeprefix("experiment=") for word in words if word.startswith("experiment=")), None)
    small = small_of(preset) if preset else []
    if words[0] == "hallmark":
        unversioned = ["--waive", "git", "--no-tag"] if "release" in words and "--verify" not in words else []
        return [*words, *small, *unversioned]
    if preset and not preset.startswith("refseg"):  # where nothing is fitted, settings of a fit are refused
        small.append("debug=fast")
    trials = [override for sweep, overrides in _TRIALS.items() if sweep in words for override in overrides]
    return [*words, *small, *trials, "statistics.n_resamples=50"]


def start(words: list[str], tree: Path, log: Path) -> int:
    """Run a command line in `tree`; gives its exit status."""
    process = _FORK.Process(target=_become, args=(words, tree, log))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _become(words: list[str], tree: Path, log: Path) -> None:
    """What the interpreter does with `words`; figures are blank, and the trials of a sweep run in its own process."""
    sys.stdout = sys.stderr = log.open("w", buffering=1)
    for number in (1, 2):
        os.dup2(sys.stdout.fileno(), number)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    PaperFigure.savefig = lambda _, *to, **settings: Figure((1, 1)).savefig(*to, **settings)  # type: ignore[method-assign]
    hallmark.engine.search.sweep.Pool = InProcess  # type: ignore[assignment, misc]
    JobList.points = _some_jobs  # type: ignore[method-assign]
    JobList.__init__ = _with_two_repeats  # type: ignore[method-assign]
    if words[0] == "hallmark":
        sys.argv = words
        sys.exit(console.main())
    assert words[0] == "python"
    sys.argv = words[1:]
    runpy.run_path(words[1], run_name="__main__")


def _with_two_repeats(plan: JobList, jobs: Mapping[str, Sequence[str]]) -> None:
    plan.jobs = {name: [re.sub(r"seeds:\d", "seeds:2", text) for text in texts] for name, texts in jobs.items()}


def _some_jobs(plan: JobList, space: object) -> list[dict[str, str]]:
    """Two jobs, and those that the table of a sweep compares with."""
    names = list(plan.jobs)
    return [{plan.KEY: name} for name in names if name in (*names[:2], "action", "state")]


@pytest.mark.parametrize("block", BLOCKS)
def test_the_commands_of_a_block_leave_what_the_page_says(block, small_of, tmp_path, project):
    for name in ("conf", "train.py", "evaluate.py", "sweep.py"):
        (tmp_path / name).symlink_to(project / name)
    bring_own_files(tmp_path)
    for number, command in enumerate(BLOCKS[block]):
        text = resolved(command.text, tmp_path / "outputs")
        began, log = time.time(), tmp_path / f"{number}.log"
        status = start(cut(text, small_of), tmp_path, log)
        assert status == 0, f"{command.page}:{command.line}: {text}\n{log.read_text()}"
        assert "GPU available" not in log.read_text(), (
            f"{command.page}:{command.line}: {text} repeats what Lightning says"
        )
        lacking = missing(text, tmp_path / "outputs", since=began)
        assert not lacking, f"{command.page}:{command.line}: {text} leaves no {', '.join(lacking)}\n{log.read_text()}"


def test_an_id_is_the_result_that_was_made_last(tmp_path):
    for number, name in enumerate(("first", "second", "third")):
        record = tmp_path / "clip_final" / name / ("repeats.json" if name == "third" else "record.json")
        record.parent.mkdir(parents=True)
        record.touch()
        os.utime(record, (number, number))
    assert resolved("hallmark release outputs/clip_final/<id>", tmp_path) == "hallmark release outputs/clip_final/third"
    with pytest.raises(LookupError, match="no archive"):
        resolved("hallmark release --verify outputs/clip_final/<archive>.zip", tmp_path)


def test_a_promised_file_that_is_not_there_is_named(tmp_path):
    run = tmp_path / "touch_balanced" / "1a2b3c4d"
    (run / "figures").mkdir(parents=True)
    (run / "figures" / "curves.png").touch()
    command = "python evaluate.py run=outputs/touch_balanced/latest analysis=[curves,slices]"
    assert missing(command, tmp_path, since=time.time()) == ["touch_balanced/*/*/slices*"]
    assert len(missing(command, tmp_path, since=time.time() + 60)) == 2  # drawn by an earlier command


def test_every_command_that_is_not_run_is_still_on_a_page():
    assert unknown_exceptions() == []


@pytest.mark.parametrize(
    "words",
    [
        "python train.py experiment=sentiment_txt",
        "python train.py experiment=sentiment_tfidf modle.ngrams=1",
        "hallmark rusn",
        "hallmark doctor --al",
    ],
)
def test_a_misspelled_command_fails(words, small_of, tmp_path, project):
    for name in ("conf", "train.py"):
        (tmp_path / name).symlink_to(project / name)
    assert start(shlex.split(words), tmp_path, tmp_path / "log") == 2
