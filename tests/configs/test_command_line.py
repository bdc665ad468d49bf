"""The configuration path answers mistakes by a sentence, without torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.processes import Process

pytestmark = pytest.mark.e2e

HEAVY = ("torch", "lightning", "transformers", "open_clip", "timm", "pandas", "sklearn", "matplotlib", "optuna")
RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("imported:", *(name for name in {heavy!r} if name in sys.modules))
"""


class LightProcess(Process):
    """A process that has imported what the scripts import at their top, and nothing heavy."""

    modules = ("hydra", "hallmark.engine.launch", "hallmark.engine.distributed.torchrun")
    server = None


def answer(project: Path, script: str, *arguments: str) -> tuple[int, str]:
    """Exit code and all that a command prints; it must not have imported anything heavy."""
    program = [sys.executable, "-c", RUN.format(heavy=HEAVY), str(project / script), *arguments]
    process = LightProcess(program, cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    printed = process.communicate(timeout=120)[0]
    assert "imported:" in printed.splitlines(), printed
    return process.returncode, printed


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "sweep.py"])
def test_help(project, script):
    code, printed = answer(project, script, "--help")
    assert code == 0
    assert f"python {script}" in printed


def test_help_lists_the_options_that_vary_a_preset(project):
    code, printed = answer(project, "train.py", "--help")
    assert code == 0
    groups = {line.removesuffix("=...") for line in printed.splitlines() if line.endswith("=...")}
    assert {"model", "model/balance", "model/rewriter", "data/split", "trainer", "hydra/launcher"} <= groups
    hidden = {"model/touch", "data/sentiment", "experiment/base", "paths", "workers"}  # no choice here
    assert not hidden & groups


CONFIGS = {
    "train.py": (["experiment=clip_final"], "name: clip_final"),
    "evaluate.py": (["run=outputs/somewhere", "analysis=[slices]"], "_target_: hallmark.analysis.slices.Slices"),
    "sweep.py": (["experiment=clip_optimize", "sweep=clip_grid"], "data.batch_size:"),
}


@pytest.mark.parametrize(("script", "arguments", "line"), [(name, *case) for name, case in CONFIGS.items()])
def test_the_configuration_is_printed(project, script, arguments, line):
    code, printed = answer(project, script, "--cfg", "job", *arguments)
    assert code == 0
    assert line in printed


MISTAKES = {
    "a key": ("train.py", ["experiment=clip_final", "model.optimizer.learning_rate=1"], "no such setting"),
    "a key by one letter": (
        "train.py",
        ["experiment=clip_final", "model.optimiser.lr=1e-5"],
        "model.optimiser.lr: no such setting. Did you mean model.optimizer.lr",
    ),
    "a section": ("train.py", ["experiment=clip_final", "bath_size=4"], "Did you mean data.batch_size"),
    "a group": ("train.py", ["experimen=clip_final"], "experimen: no such setting. Did you mean experiment"),
    "a preset": ("train.py", ["experiment=clip_finel"], "no such preset. Did you mean experiment=clip_final?"),
    "a preset that an option replaced": (
        "train.py",
        ["experiment=touch_gradnorm"],
        "experiment=touch_gradnorm: no longer a preset of its own; type experiment=touch_balanced "
        "model/balance=gradnorm (with name=touch_gradnorm it is the same run as before)",
    ),
    "a number for a preset": (
        "train.py",
        ["experiment=clip_final", "trainer=1"],
        "trainer=1: no such preset. There are: ddp",
    ),
    "a truth value for a preset": ("sweep.py", ["experiment=clip_final", "sweep=true"], "sweep=true: no such preset."),
    "an analysis": ("evaluate.py", ["run=x", "analysis=[slicse]"], "no such preset. Did you mean analysis=slices?"),
    "a key of evaluate": ("evaluate.py", ["run=x", "splits=test"], "splits: no such setting. Did you mean split"),
    "a key of an analysis": (
        "evaluate.py",
        ["run=x", "analysis=[slices]", "analysis.slices.colums=[emoji]"],
        "Did you mean analysis.slices.columns",
    ),
    "a sweep": ("sweep.py", ["experiment=clip_optimize", "sweep=clip_gird"], "Did you mean sweep=clip_grid?"),
    "a group within a group": (
        "train.py",
        ["experiment=clip_final", "data/split=kfolds"],
        "Did you mean data/split=kfold?",
    ),
}


@pytest.mark.parametrize(("script", "arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_misspelling_is_answered_by_the_nearest_name(project, script, arguments, message):
    code, printed = answer(project, script, *arguments)
    assert code == 2, printed
    assert "Traceback" not in printed
    assert message in printed
