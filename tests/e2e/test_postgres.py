"""One study on one PostgreSQL server, worked on by several processes at once."""

import subprocess
import sys

import optuna
import pytest
from tests.processes import Process

pytestmark = pytest.mark.e2e

TRIALS = 8
WORKER = """
import sys
import optuna
study = optuna.load_study(study_name="shared", storage=sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    trial = study.ask()
    study.tell(trial, trial.suggest_float("x", 0, 1) + trial.number)
"""


def test_two_processes_add_to_one_study(postgres):
    study = optuna.create_study(study_name="shared", storage=postgres)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [Process([sys.executable, "-c", WORKER, postgres, str(TRIALS)], **pipes) for _ in range(2)]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 2
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    trials = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    assert [trial.number for trial in trials] == list(range(2 * TRIALS))
    assert all(trial.value == pytest.approx(trial.params["x"] + trial.number) for trial in trials)
