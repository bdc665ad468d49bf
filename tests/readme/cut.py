"""Commands of pages and notebooks at a fraction of their size, each in a process that is forked from this one."""

import multiprocessing
import os
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.blank import savefig
from tests.engine.sweeping import InProcess

import hallmark.engine.evaluate
import hallmark.engine.search.sweep  # imported once, here: commands are forked from this process
from hallmark import console
from hallmark.analysis.plots.style import PaperFigure
from hallmark.commands.diagnosis import needs
from hallmark.engine.search.plans import JobList

_FORK = multiprocessing.get_context("fork")
_TRIALS = {
    "sweep=random": ["sweep.plan.trials=2"],
    "sweep=clip_search": ["sweep.plan.trials=2"],
    "sweep=clip_grid": [
        "sweep.space={data.batch_size: [16], model.optimizer.weight_decay: [1e-4], model.head.dropout: [0.1]}"
    ],
    "sweep=touch_seeds": [f"~sweep.plan.jobs.{job}" for job in ("equal", "alternating")],
    "sweep=touch_ablation": [
        f"~sweep.plan.jobs.{job}" for job in ("no_action", "no_state", "no_reconstruction", "no_augment")
    ],
    # Two of the jobs, with the members that the cascade has.
    "sweep=deepfake_table": ["~sweep.plan.jobs", "+sweep.plan.jobs={stack: [], mean: ['model.stackers=[]']}"],
}
_SMALL_STACK = ["model.comparison.n_resamples=100"]
# Nothing is fitted by steps in these themselves, and their promises are such as few videos can keep.
_MADE_OF_OTHERS = {
    "deepfake_stack": _SMALL_STACK,
    "deepfake_cascade": [
        "model.clear_miss=0.3", "model.early_false_alarm=0", "model.stack_false_alarm=0.3", "model.stack_miss=0.3",
    ],
}  # fmt: skip


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
    if preset in _MADE_OF_OTHERS:
        small += _MADE_OF_OTHERS[preset]
        if preset == "deepfake_cascade":
            members = [override.removeprefix("++") for override in small_of("deepfake_stack") if "parents" in override]
            overrides = ",".join(f'"{override}"' for override in (*_SMALL_STACK, *members))
            small.append(f"++parents.stack.overrides=[{overrides}]")
    elif preset and not preset.startswith("refseg"):  # where nothing is fitted, settings of a fit are refused
        small.append("debug=fast")
    trials = [override for sweep, overrides in _TRIALS.items() if sweep in words for override in overrides]
    return [*words, *small, *trials, "statistics.n_resamples=50"]


def start(words: list[str], tree: Path, log: Path) -> int:
    """Run a command line in `tree`; gives its exit status."""
    return forked(lambda: _carry_out(words), tree, log)


def forked(action: Callable[[], object], tree: Path, log: Path) -> int:
    """Exit status of a process that does `action` in the folder `tree` and prints to `log`."""

    def become() -> None:
        sys.stdout = sys.stderr = log.open("w", buffering=1)
        for number in (1, 2):
            os.dup2(sys.stdout.fileno(), number)
        os.chdir(tree)
        sys.path.insert(0, str(tree))
        action()

    process = _FORK.Process(target=become)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _carry_out(words: list[str]) -> None:
    """What the interpreter does with `words`; figures are blank, and the trials of a sweep run in its own process."""
    PaperFigure.savefig = savefig  # type: ignore[method-assign]
    hallmark.engine.search.sweep.Pool = InProcess  # type: ignore[assignment, misc]
    JobList.points = _some_jobs  # type: ignore[method-assign]
    JobList.__init__ = _with_two_repeats  # type: ignore[method-assign]
    needs.PROFILES = ("full",)  # what each preset needs, once
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
