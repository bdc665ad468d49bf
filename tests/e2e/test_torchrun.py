"""torchrun on two nodes of two processes each, over gloo: one run, killed and gone on with, as one process makes it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pandas as pd
import pytest
from tests.processes import Process

from hallmark.engine.train import train
from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import RunState
from hallmark.runs.run import Run

from .test_resume import only_run

pytestmark = pytest.mark.e2e

# Without dropout and class weights no step depends on how its rows are shared out.
SETTINGS = [
    "experiment=clip_baseline", "model.head.dropout=0", "trainer.accelerator=cpu", "trainer.max_epochs=2",
    "callbacks.early_stopping=null", "callbacks.progress=null", "data.sample.rows=110", "data.sample.unlabelled=20",
]  # fmt: skip
ALONE = ["data.batch_size=16"]
SHARED = ["trainer=torchrun", "trainer.num_nodes=2", "trainer.devices=2", "data.batch_size=4"]
LIMIT = 600


@pytest.fixture
def start(project, tmp_path) -> Iterator[Callable[[], list[subprocess.Popen]]]:
    """A function that starts torchrun once for each of two nodes; what is left of them is killed with the test."""
    started: list[subprocess.Popen] = []

    def start() -> list[subprocess.Popen]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {**os.environ, "HALLMARK_OUTPUTS": str(tmp_path / "outputs")}
        nodes = []
        for rank in range(2):
            command = [
                sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=2",
                f"--node-rank={rank}", f"--rdzv-endpoint=127.0.0.1:{port}", "train.py", *SETTINGS, *SHARED,
            ]  # fmt: skip
            with (tmp_path / f"log{rank}").open("a") as log:
                nodes.append(Process(command, env=environment, cwd=project, stdout=log, stderr=log))
        started.extend(nodes)
        return nodes

    yield start
    for process in started:
        if process.poll() is None:
            kill_node(process)


def kill_node(agent: subprocess.Popen) -> None:
    """SIGKILL to torchrun and to the processes that it has started."""
    listed = subprocess.run(["ps", "-ww", "--ppid", str(agent.pid), "-o", "pid="], capture_output=True, text=True)
    for number in (agent.pid, *map(int, listed.stdout.split())):
        os.kill(number, signal.SIGKILL)
    agent.wait()


def test_two_nodes_make_the_run_of_one_process_and_go_on_after_a_kill(
    compose, start, blank_figures, tmp_path, monkeypatch
):
    outputs = tmp_path / "outputs"
    nodes = start()
    deadline = time.monotonic() + LIMIT
    while not ((run := only_run(outputs)) and run.last.exists()):
        assert nodes[0].poll() is None, (tmp_path / "log0").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    kill_node(nodes[1])
    assert nodes[0].wait(LIMIT) == 1
    assert only_run(outputs).record.state is not RunState.DONE
    assert [node.wait(LIMIT) for node in start()] == [0, 0], (tmp_path / "log0").read_text()
    shared = only_run(outputs)
    printed = "".join((tmp_path / f"log{rank}").read_text() for rank in range(2))
    assert [printed.count(f"clip_baseline {verb}: ") for verb in ("starts", "resumes")] == [1, 1]
    assert shared.record.state is RunState.DONE
    assert (shared.record.resumed, shared.record.device["world_size"]) == (1, 4)
    assert shared.record.command[:3] == ["torchrun", "--nnodes=2", "--nproc-per-node=2"]

    monkeypatch.setenv("HALLMARK_OUTPUTS", str(tmp_path / "alone"))
    train(compose(*SETTINGS, *ALONE))
    assert_same(shared, only_run(tmp_path / "alone"))


def assert_same(run: Run, other: Run) -> None:
    """The same epochs and probabilities, to what a sum in another order changes."""
    pd.testing.assert_frame_equal(run.history, other.history, rtol=1e-4, atol=1e-6)
    tables = [read_predictions(each.directory / "predictions" / "val.parquet") for each in (run, other)]
    left, right = (pd.DataFrame(list(table["probabilities"]), index=table["id"]) for table in tables)
    pd.testing.assert_frame_equal(left, right, rtol=1e-3, atol=1e-5)
