"""Trainer presets of several devices: what is built from them, and what is refused before a process is started."""

import re
import subprocess

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.fabric.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, SingleDeviceStrategy

from hallmark.checks import SettingError
from hallmark.engine.distributed.ranks import first_device
from hallmark.engine.finished import FinishedRun
from hallmark.engine.job import Job
from hallmark.engine.setup import build_predictor, build_trainer
from hallmark.runs.predictions import read_predictions

pytestmark = pytest.mark.e2e

CLIP, TFIDF = "experiment=clip_final", "experiment=sentiment_tfidf"
TWO = ["trainer.devices=2", "trainer.accelerator=cpu", "callbacks.progress=null"]


@pytest.fixture
def two_gpus(monkeypatch) -> None:
    for module in ("lightning.fabric.accelerators.cuda", "lightning.pytorch.accelerators.cuda"):
        monkeypatch.setattr(f"{module}.num_cuda_devices", lambda: 2)
    monkeypatch.setattr("lightning.fabric.utilities.device_parser._get_all_available_gpus", lambda **_: [0, 1])


def test_ddp_is_built_and_predicts_alone(compose):
    job = Job.of(compose(CLIP, "trainer=ddp", *TWO))
    trainer = build_trainer(job, [], [])
    assert isinstance(trainer.strategy, DDPStrategy)
    assert (trainer.world_size, trainer.global_rank) == (2, 0)
    assert isinstance(build_predictor(job).strategy, SingleDeviceStrategy)


def test_fsdp_is_built_for_two_gpus(compose, two_gpus):
    trainer = build_trainer(Job.of(compose(CLIP, "trainer=fsdp", "trainer.devices=2")), [], [])
    assert isinstance(trainer.strategy, FSDPStrategy)
    assert trainer.world_size == 2
    assert trainer.gradient_clip_val is None


@pytest.mark.parametrize(("devices", "first"), [("2", 1), ("[1,3]", [1]), ("-1", 1), ("auto", 1), ("1", 1)])
def test_the_first_device_of_several(compose, devices, first):
    assert first_device(compose(CLIP, f"trainer.devices={devices}").trainer.devices) == first


SLURM = {"JOB_ID": "7", "JOB_NAME": "fit", "NTASKS": "4", "NNODES": "2", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}


def test_variables_of_slurm_leave_a_fit_of_one_process_alone(fit, monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert fit(CLIP, "debug=fast").record.device["world_size"] == 1


@pytest.fixture
def torchrun(monkeypatch) -> None:
    """The variables of the first of two processes on the first of two nodes."""
    sizes = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2"}
    ranks = {"RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "none"}
    for name, value in {**sizes, **ranks, "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}.items():
        monkeypatch.setenv(name, value)


NODES = ["trainer=torchrun", "trainer.num_nodes=2", *TWO]


def test_processes_of_torchrun_are_those_of_the_fit_and_one_of_them_predicts(compose, torchrun):
    job = Job.of(compose(CLIP, *NODES))
    trainer = build_trainer(job, [], [])
    assert isinstance(trainer.strategy.cluster_environment, TorchElasticEnvironment)
    assert (trainer.world_size, trainer.global_rank) == (4, 0)
    predictor = build_predictor(job)
    assert isinstance(predictor.strategy, SingleDeviceStrategy)
    assert predictor.num_nodes == 1


@pytest.mark.parametrize(
    ("overrides", "key"),
    [([*NODES, "trainer.num_nodes=1"], "trainer.num_nodes=1: expected 2"),
     ([*NODES, "trainer.devices=1"], "trainer.devices=1: expected 2")],
    ids=["nodes", "processes of a node"],
)  # fmt: skip
def test_other_numbers_than_torchrun_was_told_are_refused(fit, torchrun, overrides, key):
    with pytest.raises(SettingError, match=key):
        fit(CLIP, *overrides)


REFUSED = {
    "nodes without torchrun": ([CLIP, *NODES], "trainer.num_nodes=2: expected 1"),
    "no strategy": ([CLIP, *TWO], "trainer.strategy='auto': expected ddp or fsdp for several devices"),
    "forked": ([CLIP, *TWO, "trainer.strategy=ddp_spawn"], "trainer.strategy='DDPStrategy': expected ddp or fsdp"),
    "solved": ([TFIDF, "trainer=ddp", *TWO], "trainer.devices=2: expected 1; this model is solved"),
    "batches too large": (
        [CLIP, "trainer=ddp", *TWO, "data.batch_size=60"],
        "data.batch_size=60: expected at most 48, for 96 training rows in 2 processes",
    ),
    "more processes than rows": (
        [CLIP, "trainer=ddp", *TWO, "trainer.devices=40", "data.batch_size=1"],
        "trainer.devices=40: expected at most 12, the number of validation rows",
    ),
    "fsdp without gpu": ([CLIP, "trainer=fsdp", *TWO], "The strategy `fsdp` requires a GPU accelerator"),
}


@pytest.mark.parametrize(("overrides", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_shared_is_refused_before_a_process_is_started(fit, monkeypatch, overrides, message):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    monkeypatch.setattr("hallmark.engine.train.git_state", dict)
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(*overrides)


@pytest.mark.parametrize(("name", "value"), [("WORLD_SIZE", "2"), ("SLURM_PROCID", "1"), ("LOCAL_RANK", "1")])
def test_a_command_started_several_times_at_once_is_refused(fit, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"start it once, and trainer\.devices=N"):
        fit(TFIDF)


gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
STEP = [CLIP, "debug=fast", "trainer.limit_train_batches=1", "model.head.dropout=0.0", "model.freeze_epochs=0"]


def only_step(fit, *overrides: str) -> pd.Series:
    run = fit(*STEP, *overrides)
    return pd.read_csv(run.directory / "history.csv").iloc[-1]


class TestOnCuda:
    pytestmark = gpu

    def test_a_step_is_that_of_the_cpu(self, fit):
        cuda, cpu = (only_step(fit, f"trainer.accelerator={name}") for name in ("cuda", "cpu"))
        for metric in ("train/loss", "val/loss"):
            assert cuda[metric] == pytest.approx(cpu[metric], rel=1e-3)

    def test_a_step_in_half_precision(self, fit):
        half = only_step(fit, "trainer.accelerator=cuda", "trainer.precision=bf16-mixed")
        reference = only_step(fit, "trainer.accelerator=cuda")
        assert np.isfinite(half["val/loss"])
        assert half["train/loss"] == pytest.approx(reference["train/loss"], rel=0.05)

    @pytest.mark.parametrize("preset", ["ddp", "fsdp"])
    def test_a_fit_under_a_strategy_leaves_weights_that_one_device_reads(self, fit, preset):
        strategy = {"ddp": "{_target_: lightning.pytorch.strategies.DDPStrategy}", "fsdp": "fsdp"}[preset]
        run = fit(
            *STEP,
            f"trainer={preset}",
            f"trainer.strategy={strategy}",
            "trusted_packages=[lightning]",
            "trainer.accelerator=cuda",
        )
        stored = read_predictions(run.directory / "predictions" / "val.parquet")
        (run.directory / "predictions" / "val.parquet").unlink()
        again = FinishedRun(run, folds=0).predictions("val")
        np.testing.assert_allclose(np.stack(again["probabilities"]), np.stack(stored["probabilities"]), atol=1e-5)
        assert run.metrics["val"]["main"]["macro_f1"] == pytest.approx(run.record.selected["value"], abs=1e-6)
