"""What answers before any data is read, and what leads to a first step, loads no heavy package without need."""

import json
import os
import subprocess
import sys

import pytest

FIT = ("torch", "lightning", "scipy", "sklearn", "matplotlib", "transformers", "optuna")
HEAVY = (*FIT, "pandas")
# What neither Lightning nor torchmetrics imports by itself.
LATER = ("sklearn", "wandb", "openai", "optuna", "transformers.modeling_utils")


@pytest.mark.parametrize("module", ["launch", "repeats", "cached.answers"])
def test_the_configuration_and_what_is_found_done_load_no_heavy_package(module):
    code = f"import sys, hallmark.engine.{module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    [
        ["train.py", "experiment=clip_final", "data.sample.rows=120", "data.sample.unlabelled=20"],
        ["train.py", "experiment=touch_balanced", "data.sample.subjects=12", "data.sample.recordings=4"],
        ["evaluate.py", "experiment=refseg_loop", "data.sample.val=12", "data.batch_size=4"],
    ],
    ids=lambda command: command[1].partition("=")[2],
)
def test_the_first_step_waits_for_nothing_that_it_does_not_need(command, tmp_path, project):
    file = tmp_path / "modules.json"
    first = [
        "trusted_packages=[benchmarks]", "callbacks.progress._target_=benchmarks.first_step.FirstStep",
        "~callbacks.progress.leave", f"+callbacks.progress.file={file}",
    ]  # fmt: skip
    places = {"HALLMARK_OUTPUTS": str(tmp_path / "outputs"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *command, *first], cwd=project, env={**os.environ, **places}, check=True)
    assert not {*LATER} & {*json.loads(file.read_text())}
