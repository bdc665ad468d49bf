"""What a sweep costs beyond its trainings, with one and two workers: python -m benchmarks.sweep_overhead

A trial's cost beyond its training is the time its worker spends on it less the run's own wall time (reading, fitting,
measuring), plus the gap to the worker's next trial. Starting and ending a sweep is told apart: it is paid once.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from benchmarks.results import Cell, number_cell, write_result
from hallmark.runs.run import Run

PROJECT = Path(__file__).parents[1]
TRIALS = 12
SWEEP = [
    "experiment=sentiment_text", "sweep=random", f"sweep.plan.trials={TRIALS}", "trainer.max_epochs=3",
    "sweep.space={model.optimizer.lr: {low: 1e-5, high: 1e-4, log: true}}", "data.sample.rows=300",
]  # fmt: skip


def run_sweep(outputs: Path, jobs: int) -> tuple[float, list[FrozenTrial]]:
    """Wall time in seconds of a whole sweep, and its trials."""
    environment = {**os.environ, "HALLMARK_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "sweep.py", *SWEEP, f"jobs={jobs}"]
    began = time.perf_counter()
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, capture_output=True)
    spent = time.perf_counter() - began
    (file,) = outputs.glob("*/sweeps/*/study.db")
    storage = f"sqlite:///{file}"
    (name,) = optuna.get_all_study_names(storage)
    return spent, optuna.load_study(study_name=name, storage=storage).trials


def gaps(trials: list[FrozenTrial]) -> list[float]:
    """Seconds between the end of a trial and the start of the same worker's next one."""
    seconds = []
    for worker in {trial.user_attrs["worker"] for trial in trials}:
        in_order = sorted((t for t in trials if t.user_attrs["worker"] == worker), key=lambda t: t.number)
        for before, after in itertools.pairwise(in_order):
            assert before.datetime_complete is not None and after.datetime_start is not None
            seconds.append((after.datetime_start - before.datetime_complete).total_seconds())
    return seconds


def main() -> None:
    rows: list[dict[str, Cell]] = []
    for jobs in (1, 2):
        with tempfile.TemporaryDirectory() as outputs:
            wall, trials = run_sweep(Path(outputs), jobs)
            runs = [Run(Path(trial.user_attrs["directory"])) for trial in trials]
            fitted = np.array([run.record.wall_seconds for run in runs])
            worked = np.array([trial.user_attrs["seconds"] for trial in trials])
        beyond = float((worked - fitted).mean() + np.mean(gaps(trials)))
        busy = worked.sum() / jobs + np.mean(gaps(trials)) * (TRIALS / jobs - 1)
        rows.append({
            "workers": str(jobs),
            "training a trial": number_cell(float(fitted.mean()), 2, " s"),
            "beyond it": number_cell(beyond, 2, " s"),
            "share": number_cell(100 * beyond / float(fitted.mean()), 0, " %"),
            "start and end of the sweep": number_cell(float(wall - busy), 0, " s"),
        })  # fmt: skip
    write_result(
        "sweep_overhead",
        rows=f"A sweep of {TRIALS} trials of a small text model, means over the trials.",
        intervals="",
        tables={"sweeps": rows},
    )


if __name__ == "__main__":
    main()
