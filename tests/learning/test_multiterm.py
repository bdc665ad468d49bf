"""Modules of several loss terms: what a step follows, what it leaves behind, and that a resume changes nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torchmetrics import Metric

from hallmark.checks import SettingError
from hallmark.learning.balancing.alternating import Alternating
from hallmark.learning.balancing.balanced import Balanced
from hallmark.learning.balancing.dwa import Dwa
from hallmark.learning.balancing.equal import Equal
from hallmark.learning.balancing.famo import Famo
from hallmark.learning.balancing.fixed import Fixed
from hallmark.learning.balancing.gradnorm import GradNorm
from hallmark.learning.balancing.pcgrad import PcGrad
from hallmark.learning.balancing.uncertainty import Uncertainty
from hallmark.learning.callbacks.training import StepSeeds
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.multiterm import MultiTermModule
from hallmark.learning.optim import Optimizer

BALANCERS = {
    "equal": Equal, "fixed": partial(Fixed, coefficients={"label": 1.0, "copy": 0.5}),
    "balanced": partial(Balanced, momentum=0.9), "alternating": partial(Alternating, static_ratio=0.5, seed=1),
    "uncertainty": partial(Uncertainty, lr=0.05), "dwa": partial(Dwa, temperature=2.0),
    "gradnorm": partial(GradNorm, alpha=1.5, lr=0.05), "pcgrad": partial(PcGrad, seed=1),
    "famo": partial(Famo, lr=0.05, weight_decay=1e-3),
}  # fmt: skip


class TwoTerms(MultiTermModule):
    """A label and a copy of the input from one encoder with dropout."""

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"x": None}

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        return {}

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        return {}

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        pass

    def losses(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        embedding = self.encoders["x"](batch["x"])
        return {
            "label": cross_entropy(self.head["label"](embedding), batch["target"]),
            "copy": mse_loss(self.head["copy"](embedding), batch["x"]),
        }


@pytest.fixture
def module(encoder) -> Callable[..., TwoTerms]:
    def module(balance: Callable[..., nn.Module], **changes: Any) -> TwoTerms:
        torch.manual_seed(0)
        encoders, head = {"x": encoder()}, nn.ModuleDict({"label": nn.Linear(6, 3), "copy": nn.Linear(6, 4)})
        optimizer = Optimizer(lr=0.05, lr_scale=1.0, head_lr=0.05, weight_decay=0.0, schedule="constant", warmup=0.0)
        settings = {"terms": ["label", "copy"], "freeze_epochs": 0, **changes}
        return TwoTerms(balance=balance, encoders=encoders, head=head, optimizer=optimizer, **settings)

    return module


def test_the_trace_holds_weight_and_loss_of_each_term_and_step(module, fit):
    trained = module(BALANCERS["fixed"])
    fit(trained, StepSeeds(0), epochs=2)
    (table,) = trained.training_logs().values()
    assert list(trained.training_logs()) == ["loss_weights"]
    assert list(table) == ["epoch", "step", "weight/label", "weight/copy", "loss/label", "loss/copy"]
    assert table["epoch"].tolist() == [0] * 4 + [1] * 4
    assert table["step"].tolist() == list(range(8))
    assert (table["weight/label"] == 1.0).all() and (table["weight/copy"] == 0.5).all()
    assert table["loss/label"].iloc[-1] < table["loss/label"].iloc[0]


def test_the_followed_gradient_is_of_the_weighted_sum(module):
    trained = module(BALANCERS["fixed"]).eval()
    batch = {"index": torch.arange(6), "x": torch.randn(6, 4), "target": torch.tensor([0, 1, 2, 0, 1, 2])}
    trained.log = lambda *_, **__: None
    trained.training_step(batch, 0).backward()
    gradients = [parameter.grad.clone() for parameter in trained.parameters()]
    trained.zero_grad()
    losses = trained.losses(batch)
    (losses["label"] + 0.5 * losses["copy"]).backward()
    for followed, parameter in zip(gradients, trained.parameters(), strict=True):
        torch.testing.assert_close(followed, parameter.grad)


def test_famo_sees_the_same_batch_and_masks_after_the_step(module, fit):
    seen = []

    class Spy(Famo):
        def after_step(self, losses: Callable[[], Any]) -> None:
            seen.append((self.before.clone(), torch.stack(list(losses()))))
            super().after_step(losses)

    still = module(partial(Spy, lr=0.05, weight_decay=0.0))
    still.optimizer_recipe.lr = still.optimizer_recipe.head_lr = 0.0
    fit(still, StepSeeds(0), epochs=1)
    assert len(seen) == 4
    for before, after in seen:
        torch.testing.assert_close(before, after)  # no weight moved, and the dropout was the same


@pytest.mark.parametrize("name", BALANCERS)
def test_a_resumed_fit_is_the_undisturbed_one(module, fit, tmp_path, name):
    uninterrupted, part, resumed = (module(BALANCERS[name]) for _ in range(3))
    fit(uninterrupted, StepSeeds(0), epochs=4)
    fit(part, StepSeeds(0), epochs=2).save_checkpoint(tmp_path / "last.ckpt")
    fit(resumed, StepSeeds(0), epochs=4, resume=tmp_path / "last.ckpt")
    pd.testing.assert_frame_equal(
        resumed.training_logs()["loss_weights"], uninterrupted.training_logs()["loss_weights"], check_exact=True
    )
    for key, value in uninterrupted.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_terms_that_are_none_are_refused(module):
    for terms in ([], ["label", "label"]):
        with pytest.raises(SettingError, match="terms"):
            module(Equal, terms=terms)


def test_a_single_term_leaves_no_trace(module, fit):
    alone = module(Equal, terms=["label"])
    fit(alone, StepSeeds(0), epochs=1)
    assert alone.training_logs() == {}
