"""A setting that is not right is refused by its whole key, before a run folder or any other file is made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from omegaconf import DictConfig, OmegaConf

from hallmark.checks import SettingError
from hallmark.engine.evaluate import evaluate, train_and_analyze
from hallmark.engine.search.sweep import sweep

TEXT = ["experiment=sentiment_text", "analysis=[slices]"]
TFIDF = "experiment=sentiment_tfidf"
GRID = [TFIDF, "sweep=grid", "sweep.space={model.ngrams: [1, 2]}"]

# key=value; the key that the refusal names is the first one, unless `→` gives another.
BEFORE_THE_DATA = """
name=3
name=a/b
name=..
name=''
name="nul\\0"
seed=-1
seed=one
seed=1.5
seed=true
seed=null
seed=4294967296
profile=half
rerun=maybe
repeat=5
repeat=seeds:0
repeat=folds:1
monitor.metric=7
monitor.metric=''
monitor.mode=up
monitor.second=2
init_from=5
init_from=/no/such/run
out_of_fold.folds=1
out_of_fold.folds=three
features.enabled=perhaps
features.batch_size=0
features.folder=3
paths.outputs=FILE
paths.outputs=FILE/below
paths.cache=5
paths.seals=FILE
paths.run_dir=FILE/below
model=clip
trainer=null
trainer=gpu
callbacks=3
callbacks.early_stopping=5
logger=tensorboard
analysis.slices=3
trainer.max_epochs=three
trainer.max_epochs=0
trainer.max_epochs=-1
trainer.max_epochs=1.5
trainer.max_epochs=true
trainer.max_epochs=null
trainer.max_epoch=3
trainer.min_epochs=0
trainer.max_steps=0
trainer.max_steps=many
trainer.fast_dev_run=true
trainer.fast_dev_run=1
trainer.accelerator=gpu
trainer.accelerator=tpu
trainer.accelerator=abacus
trainer.accelerator=3
trainer.devices=0
trainer.devices=-2
trainer.devices=many
trainer.devices=[]
trainer.devices=[0, 0]
trainer.devices=1.5
trainer.num_nodes=0
trainer.precision=8
trainer.precision=exact
trainer.limit_train_batches=0
trainer.limit_train_batches=-1
trainer.limit_train_batches=1.5
trainer.limit_train_batches=true
trainer.limit_val_batches=0
trainer.limit_predict_batches=2
trainer.overfit_batches=2
trainer.val_check_interval=0.5
trainer.check_val_every_n_epoch=2
trainer.num_sanity_val_steps=-2
trainer.log_every_n_steps=0
trainer.enable_checkpointing=false
trainer.accumulate_grad_batches=0
trainer.accumulate_grad_batches=1.5
trainer.gradient_clip_val=-1
trainer.gradient_clip_val=much
trainer.gradient_clip_algorithm=round
trainer.deterministic=maybe
trainer.profiler=fast
trainer.barebones=true
trainer.reload_dataloaders_every_n_epochs=1
trainer.callbacks=[]
trainer.logger=true
trainer.plugins=[]
trainer.use_distributed_sampler=true
callbacks.early_stopping.patience=-1
callbacks.early_stopping.patience=long
callbacks.early_stopping.min_delta=-0.1
callbacks.early_stopping.mode=up
callbacks.early_stopping.mode=min
callbacks.early_stopping.patient=3
callbacks.early_stopping.stopping_threshold=high
statistics.confidence_level=much
statistics.confidence_level=1.0
statistics.n_resamples=39
statistics.seed=-1
statistics._target_=hallmark.statistics.Interval
model.optimizer.lr=fast
"""
WITH_THE_DATA = """
data.batch_size=0
data.num_workers=-1
data.folder=/no/such/folder
model.optimizer.lr=-1
model.head.dropout=2
data.batch_size=500
data.split.val=0
data.split.val=0.9
data.split.test=-1
monitor.metric=val/macrof1
monitor.metric=test/macro_f1
callbacks.early_stopping.monitor=val/los
trainer.strategy=teleport
trainer.devices=2 → trainer.strategy
trainer.limit_train_batches=0.001
trainer.limit_val_batches=0.001
model.classes=[a, b]
"""
EVALUATION = """
run=''
run=5
split=3
split=''
seal.reason=4
"""
SEARCH = """
jobs=0
jobs=two
jobs=1.5
storage=5
storage=''
sweep.name=a/b
sweep.name=3
sweep.space={model.ngrms: [1]} → sweep.space.model.ngrms
sweep.objectives=[{metric: val/nothing, mode: max}] → sweep.objectives[0].metric
sweep.objectives=[{metric: val/accuracy, mode: up}] → sweep.objectives[0].mode
sweep.pruner={_target_: optuna.pruners.MedianPruner, n_startup_trials: -1} → sweep.pruner.n_startup_trials
sweep.pruner={_target_: optuna.pruners.MedianPruner, n_warmup_steps: few} → sweep.pruner.n_warmup_steps
seed=-1
trainer.max_epochs=0
monitor.metric=val/nothing
"""


def cases(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").touch()
    return tmp_path / "file"


@pytest.fixture
def refused(compose, small, file: Path, tmp_path: Path, monkeypatch) -> Callable[..., None]:
    """A function that sees a command refuse one setting by its key, and leave no file."""
    for accelerator in (CUDAAccelerator, MPSAccelerator):
        monkeypatch.setattr(accelerator, "is_available", staticmethod(lambda: False))

    def refused(command: Callable[[DictConfig], Any], case: str, *overrides: str, script: str = "train") -> None:
        typed, _, other = case.partition(" → ")
        key, _, value = typed.partition("=")
        config = compose(*small, *overrides, command=script)
        OmegaConf.set_struct(config, False)
        OmegaConf.update(config, key, yaml.safe_load(value.replace("FILE", str(file))), merge=False, force_add=True)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(SettingError) as refusal:
            command(config)
        assert refusal.value.key == (other or key)
        assert sorted(tmp_path.rglob("*")) == before

    return refused


@pytest.mark.parametrize("case", cases(BEFORE_THE_DATA))
def test_before_the_data_is_read(refused, monkeypatch, case):
    monkeypatch.setattr("hallmark.engine.setup.prepare_data", lambda _: pytest.fail("the data was read"))
    refused(train_and_analyze, case, *TEXT)


@pytest.mark.parametrize("case", cases(WITH_THE_DATA))
def test_once_the_data_is_read(refused, case):
    refused(train_and_analyze, case, *TEXT)


@pytest.mark.parametrize("case", ["monitor.metric=val/macrof1", "trainer.devices=[0, 1]", "data.batch_size=500"])
def test_of_a_set_of_repeats(refused, case):
    refused(train_and_analyze, case, *TEXT, "repeat=seeds:2")


def test_a_model_that_is_solved_is_on_one_device(refused):
    refused(train_and_analyze, "trainer.devices=2", TFIDF, "trainer.strategy=ddp")


@pytest.mark.parametrize("case", cases(EVALUATION))
def test_of_an_evaluation(refused, case):
    refused(evaluate, case, TFIDF, script="evaluate")


@pytest.mark.parametrize("case", cases(SEARCH))
def test_of_a_sweep(refused, case):
    refused(sweep, case, *GRID, script="sweep")
