"""A fit is steered by a metric of the validation rows that the module logs, or it does not start."""

import re
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from lightning import Trainer
from lightning.pytorch.callbacks import ProgressBar

from hallmark.checks import SettingError
from hallmark.engine.build import build
from hallmark.engine.job import Job
from hallmark.engine.monitor import check_measured, check_monitor
from hallmark.engine.setup import build_trainer

pytestmark = pytest.mark.e2e

TEXT = ["experiment=sentiment_text", "debug=fast"]

REFUSED = {
    "monitor.metric=val/macrof1": "monitor.metric='val/macrof1': expected a validation metric: "
    "val/accuracy, val/loss, val/macro_f1; did you mean val/macro_f1?",
    "monitor.metric=test/macro_f1": "monitor.metric='test/macro_f1': expected a validation metric "
    "(test rows are for the last measurement, never for a choice): val/accuracy",
    "monitor.metric=train/loss": "monitor.metric='train/loss': expected a validation metric: val/accuracy",
    "callbacks.early_stopping.monitor=val/los": "callbacks.early_stopping.monitor='val/los': expected a validation "
    "metric: val/accuracy, val/loss, val/macro_f1; did you mean val/loss?",
    "monitor.mode=largest": "monitor.mode='largest': expected min or max",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_steer_a_fit_is_refused_before_it(fit, monkeypatch, override, message):
    monkeypatch.setattr("lightning.Trainer.fit", lambda *_, **__: pytest.fail("the fit was started"))
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(*TEXT, override)


@pytest.mark.parametrize("metric", ["val/nyquist_energy", "val/frechet_distance_real"])
def test_what_is_best_at_neither_end_steers_nothing(compose, metric):
    config = compose(*TEXT, f"monitor.metric={metric}")
    module: Any = SimpleNamespace(validation_metrics={metric: None})
    with pytest.raises(SettingError) as refused:
        check_monitor(config, module)
    assert refused.value.key == "monitor.metric"
    with pytest.raises(SettingError) as refused:  # of a module whose predictions alone tell what is measured
        check_measured("monitor.metric", metric, module, module)
    assert refused.value.key == "monitor.metric"


def test_what_a_module_names_is_what_it_logs(fit, compose, small):
    run = fit(*TEXT, "monitor.metric=val/loss", "monitor.mode=min")
    columns = pd.read_csv(run.directory / "history.csv").columns
    module = build(compose(*small, *TEXT).model)
    assert set(module.validation_metrics) == {name for name in columns if name.startswith("val/")}
    assert run.record.selected["metric"] == "val/loss"


@pytest.mark.parametrize(("override", "bars"), [("callbacks.progress=null", 0), ("logger=csv", 1)])
def test_without_a_progress_callback_no_bar_is_shown(compose, override, bars):
    job = Job.of(compose(*TEXT, override))
    callbacks = [build(node) for node in job.config.callbacks.values() if node is not None]
    trainer: Trainer = build_trainer(job, callbacks, [])
    assert sum(isinstance(callback, ProgressBar) for callback in trainer.callbacks) == bars
