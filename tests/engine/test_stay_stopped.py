"""A run that stopped early and was killed before its predictions."""

import shutil
from dataclasses import replace

import pytest

from hallmark.runs.record import RunState

pytestmark = pytest.mark.e2e

TEXT = ("experiment=sentiment_text", "trainer.max_epochs=6", "callbacks.early_stopping.patience=1")
# Training accuracy cannot rise for ever at a rate that large, so patience runs out well before the last epoch.
STOPPING = (*TEXT, "model.optimizer.lr=1e-1", "model.optimizer.schedule=constant")


def test_it_trains_no_further_epoch_when_resumed(fit) -> None:
    run = fit(*STOPPING)
    history = (run.directory / "history.csv").read_bytes()
    metrics = (run.directory / "metrics.json").read_bytes()
    epochs = history.count(b"\n") - 1
    assert epochs < 6, "the fixture must stop early"

    replace(run.record, state=RunState.RUNNING, selected=None).write(run.directory)
    shutil.rmtree(run.directory / "predictions")
    (run.directory / "metrics.json").unlink()
    resumed = fit(*STOPPING)

    assert resumed.record.resumed == 1
    assert (resumed.directory / "history.csv").read_bytes() == history
    assert (resumed.directory / "metrics.json").read_bytes() == metrics
