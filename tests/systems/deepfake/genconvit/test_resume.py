"""A fit in stages that is stopped where one ends and typed again ends as one that nobody disturbed."""

import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch

from hallmark.checks import Interrupted
from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.learning.callbacks.training import History
from hallmark.systems.deepfake.genconvit import module

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("blank_figures")]

BATCHES = 3


@pytest.fixture
def config(compose, small_of, monkeypatch):
    monkeypatch.setattr("hallmark.engine.train.print_result", lambda *_: [])
    return compose(
        "experiment=deepfake_genconvit_vae", *small_of("deepfake_genconvit_vae"), "data.sample.train=6",
        "trainer.max_epochs=3", "model.stages={autoencoder: 1, heads: 1}", "model.network.width=4",
    )  # fmt: skip


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_stops_at_the_borders_of_stages_change_nothing(config, monkeypatch, tmp_path, caplog) -> None:
    train(config)
    (stated,) = (record for record in caplog.records if record.name == module.__name__)
    assert stated.args[0] == config.data.batch_size and 0 < stated.args[2] < stated.args[1]
    directory = Job.of(config).directory
    undisturbed = Path(shutil.move(directory, tmp_path / "undisturbed"))
    for border in (0, 1):

        def stop(_, trainer, model, batch, batch_idx: int, border: int = border) -> None:
            if (trainer.current_epoch, batch_idx) == (border, BATCHES - 1):
                os.kill(os.getpid(), signal.SIGTERM)

        with monkeypatch.context() as patch:
            patch.setattr(History, "on_train_batch_start", stop, raising=False)
            with pytest.raises(Interrupted):
                train(config)
        assert len(pd.read_csv(directory / "history.csv")) == border + 1
    train(config)
    assert Job.of(config).run.record.resumed == 2
    for name in ("history.csv", "metrics.json", "predictions/val.parquet"):
        assert (directory / name).read_bytes() == (undisturbed / name).read_bytes(), name
    resumed, expected = weights(directory), weights(undisturbed)
    assert resumed.keys() == expected.keys() and all(torch.equal(resumed[name], expected[name]) for name in resumed)
