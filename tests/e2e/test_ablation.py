"""The ablations of the touch system, killed half-way and gone on with, and what its gate keeps out."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from hallmark.engine.train import train
from hallmark.runs.record import RunState
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e

PRESET = "experiment=touch_balanced"
SEEDS = 2
JOBS = ("full", "no_action", "no_reconstruction", "action", "state")


@pytest.fixture(scope="module")
def jobs(project) -> dict[str, list[str]]:
    """Some of the sweep's, with fewer seeds."""
    listed = OmegaConf.load(project / "conf" / "sweep" / "touch_ablation.yaml").plan.jobs
    return {name: [text.replace("seeds:3", f"seeds:{SEEDS}") for text in listed[name]] for name in JOBS}


@pytest.fixture
def ablation(jobs) -> list[str]:
    job_overrides = ["~sweep.plan.jobs", *(f"+sweep.plan.jobs.{name}={overrides}" for name, overrides in jobs.items())]
    sample = ["data.sample.subjects=12", "data.sample.recordings=3", "data.sample.unlabelled=2"]
    return [PRESET, "sweep=touch_ablation", "debug=fast", "statistics.n_resamples=50", *sample, *job_overrides]


def runs(outputs: Path) -> list[Run]:
    all_runs = [Run(path.parent) for path in outputs.glob("touch_balanced/*/record.json")]
    return [run for run in all_runs if run.record.state is RunState.DONE]


def done(outputs: Path) -> dict[Path, tuple[bytes, int]]:
    """The record of each finished run, and when its selected checkpoint was written."""
    return {
        run.directory: ((run.directory / "record.json").read_bytes(), run.best.stat().st_mtime_ns)
        for run in runs(outputs)
    }


def kill_with_workers(process: subprocess.Popen) -> None:
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert workers
    process.kill()
    for worker in workers:
        os.kill(int(worker), signal.SIGKILL)
    process.wait()


def test_a_killed_ablation_goes_on_and_then_trains_nothing(start, command, ablation, jobs, tmp_path):
    outputs = tmp_path / "outputs"
    process = start("sweep.py", *ablation)
    while len(runs(outputs)) < SEEDS * len(jobs) // 2:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    kill_with_workers(process)
    before = done(outputs)
    assert len(before) < SEEDS * len(jobs)
    (folder,) = outputs.glob("touch_balanced/sweeps/*")
    assert not (folder / "tasks.md").exists()

    command("sweep.py", *ablation)
    after = done(outputs)
    assert before.items() <= after.items(), "a finished run was trained again"
    assert len(after) == SEEDS * len(jobs)
    trials = pd.read_csv(folder / "trials.csv")
    assert trials["job"].tolist() == list(jobs)
    assert set(trials["state"]) == {"complete"}
    table = pd.read_csv(folder / "tasks.csv", index_col="method")
    assert table.index.tolist() == ["single-task", *(name for name in jobs if name not in ("action", "state"))]
    assert (table["runs"] == SEEDS).all()
    for column in ("delta_m", "mean_rank"):
        low, value, high = (table.loc["full", name] for name in (f"{column}_low", column, f"{column}_high"))
        assert (low <= high or np.isnan(low)) and not np.isnan(value)
    assert np.isnan(table.loc["no_action", "delta_m"]) and np.isfinite(table.loc["no_reconstruction", "delta_m"])

    written = (folder / "tasks.md").read_bytes()
    command("sweep.py", *ablation)
    assert done(outputs) == after, "the same command trained something"
    assert (folder / "tasks.md").read_bytes() == written


def test_a_split_of_windows_is_refused(start, tmp_path):
    process = start("train.py", PRESET, "data.unit=window", "data.sample.subjects=12", "data.sample.recordings=3")
    printed = process.communicate()[0]
    assert process.returncode == 2
    assert re.search(r"error: leakage between splits: .*\d+ identical subject\b", printed)
    assert "data.leakage=report" in printed
    assert not list((tmp_path / "outputs").glob("**/checkpoints/*"))


def test_a_split_of_windows_would_look_far_better_than_one_of_subjects(compose, blank_figures, tmp_path):
    """The scores that the gate keeps out: windows of the same people on both sides."""
    settings = [
        PRESET, "data.sample.subjects=12", "data.sample.recordings=4", "data.sample.unlabelled=2",
        "data.batch_size=16", "trainer.max_epochs=5", "callbacks.progress=null",
    ]  # fmt: skip
    honest = train(compose(*settings))
    leaky = train(compose(*settings, "data.unit=window", "data.leakage=report"))
    assert leaky > honest + 0.15
    verdicts = {run.record.leakage["action"]: run.record.leakage["findings"] for run in runs(tmp_path / "outputs")}
    assert verdicts["stop"] == 0 < verdicts["report"]
