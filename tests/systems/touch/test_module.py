"""The joint module on made-up batches."""

from types import SimpleNamespace

import pytest
import torch
from lightning import LightningDataModule, Trainer
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor
from torch.utils.data import DataLoader

from hallmark.learning.balancing.equal import Equal
from hallmark.learning.classification import class_weights
from hallmark.learning.optim import Optimizer
from hallmark.runs.metrics import find_metric
from hallmark.systems.touch.module import JointModule
from hallmark.systems.touch.networks import FrameEncoder, SignalEncoder

CLASSES = {"action": ["rest", "stroke", "tap"], "state": ["calm", "aroused"]}
ALL = ["action", "state", "reconstruction"]


def joint(*terms: str, frames: bool = True, **changes: object) -> JointModule:
    torch.manual_seed(0)
    settings: dict = {
        "channels": ["bvp", "eda", "temp"], "classes": CLASSES, "terms": list(terms or ALL), "balance": Equal,
        "signal_encoder": lambda channels: SignalEncoder(
            channels, width=16, kernel=3, stride=2, blocks=1, attention_layers=1, attention_heads=2, dropout=0.0,
        ),
        "frame_encoder": (lambda: FrameEncoder(width=4, layers=2, dropout=0.0)) if frames else None,
        "width": 16, "dropout": 0.0, "mask_share": 0.3, "mask_length": 4, "label_smoothing": 0.0, "class_balance": 0.0,
        "optimizer": Optimizer(lr=5e-3, lr_scale=1.0, head_lr=5e-3, weight_decay=0.0, schedule="constant", warmup=0.0),
        "freeze_epochs": 0,
    }  # fmt: skip
    return JointModule(**(settings | changes))


def batch(rows: int = 8, *, seed: int = 0, samples: int = 32) -> dict:
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    observed = (rand(rows, 3, samples) > 0.2).float()
    waves = torch.sin(6 * rand(rows, 3, 1) + torch.arange(samples) / 3)
    return {
        "index": torch.arange(rows),
        "target": {task: (rand(rows) * (len(names) + 1)).long() - 1 for task, names in CLASSES.items()},
        "signals": waves * observed, "observed": observed,
        "frames": rand(rows, 4, 8, 8), "has_frames": (rand(rows) > 0.4).float(),
    }  # fmt: skip


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("terms", [ALL, ["state"], ["action", "reconstruction"], ["state", "action"]])
@pytest.mark.parametrize("frames", [True, False])
def test_only_the_trained_tasks_are_predicted(terms, frames):
    module = joint(*terms, frames=frames).eval()
    assert set(module.inputs) == ({"signals", "frames"} if frames else {"signals"})
    prediction = module.predict_step(batch(), 0)
    assert prediction["index"].tolist() == list(range(8))
    tasks = [task for task in CLASSES if task in terms]
    assert {task: tuple(p.shape) for task, p in prediction["probabilities"].items()} == {
        task: (8, len(CLASSES[task])) for task in tasks
    }
    assert all(torch.allclose(p.sum(dim=1), torch.ones(8)) for p in prediction["probabilities"].values())
    assert set(module.losses(batch())) == set(terms)
    names = {f"val/{task}/{m}" for task in tasks for m in ("loss", "accuracy", "macro_f1")}
    means = {"val/loss", "val/accuracy", "val/macro_f1"}
    reconstruction = {"val/reconstruction"} if "reconstruction" in terms else set()
    assert set(module.validation_metrics) == names | means | reconstruction


@pytest.mark.parametrize("terms", [["reconstruction"], ["action", "mood"], []])
def test_terms_that_predict_nothing_are_refused(terms):
    with pytest.raises(ValueError, match="terms="):
        joint(terms=terms)


@pytest.mark.parametrize(
    ("name", "value"), [("mask_share", 0.0), ("mask_share", 1.0), ("mask_length", 0), ("label_smoothing", 1.0),
                        ("class_balance", 2.0), ("width", 0), ("dropout", 1.0)],
)  # fmt: skip
def test_what_the_module_refuses(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}: expected"):
        joint(**{name: value})


def test_the_content_of_missing_frames_changes_nothing():
    module, first = joint().eval(), batch()
    missing = first["has_frames"] == 0
    assert missing.any() and not missing.all()
    noisy = {**first, "frames": torch.where(missing[:, None, None, None], 7.0, first["frames"])}
    assert same(module(first), module(noisy))
    seen = {**first, "frames": torch.where(missing[:, None, None, None], first["frames"], 0.5)}
    assert not same(module(first), module(seen))


def test_what_was_not_observed_changes_nothing():
    module, first = joint().eval(), batch()
    noisy = {**first, "signals": torch.where(first["observed"] == 0, 100.0, first["signals"])}
    torch.manual_seed(1)
    losses = module.losses(first)
    torch.manual_seed(1)
    assert same(losses, module.losses(noisy))
    assert same(module(first), module(noisy))
    flat = {**first, "observed": torch.ones_like(first["observed"])}
    assert not same(module(first), module(flat)), "a missing value and a value of 0 must differ"


def test_a_window_without_any_signal_is_answered_all_the_same():
    first = batch()
    first["observed"] = torch.zeros_like(first["observed"])
    probabilities = joint().eval().predict_step(first, 0)["probabilities"]
    assert all(p.isfinite().all() for p in probabilities.values())
    assert joint().losses(first)["reconstruction"].item() == 0


def test_reconstruction_is_scored_where_something_was_observed_and_then_hidden():
    module, first = joint("action", "reconstruction").eval(), batch()
    hidden = torch.zeros_like(first["observed"], dtype=torch.bool)
    hidden[:, :, 10:20] = True
    sequence = torch.randn(8, 16, 16)
    decoded = module.head.decoder(sequence, 32)
    loss, size = module._reconstruction(sequence, first, hidden)
    scored = hidden & (first["observed"] > 0)
    torch.testing.assert_close(loss, ((decoded - first["signals"])[scored] ** 2).mean())
    assert size.item() == scored.sum().item()


def test_what_is_hidden_is_not_seen():
    """With everything hidden, the signals decide nothing but what is asked for."""
    module = joint("action", "reconstruction", frames=False, mask_share=1 - 1e-9).eval()
    first = batch()
    other = {**first, "signals": 3 * first["signals"]}
    assert torch.equal(module.losses(first)["action"], module.losses(other)["action"])
    assert not torch.equal(module.losses(first)["reconstruction"], module.losses(other)["reconstruction"])


@pytest.mark.parametrize("length", [1, 5])
def test_spans_have_the_share_and_the_length_that_were_asked_for(length):
    module = joint(mask_share=0.25, mask_length=length)
    torch.manual_seed(0)
    hidden = module._spans(torch.rand(module._draws(torch.zeros(400, 3, 60))))
    assert hidden.shape == (400, 3, 60)
    assert hidden.float().mean(dim=(0, 1)) == pytest.approx(torch.full((60,), 0.25), abs=0.05)
    runs = torch.diff(hidden[:, :, length:-length].int(), dim=2, prepend=torch.ones(400, 3, 1))
    starts = (runs == 1).nonzero()
    assert len(starts) > 100
    assert all(hidden[row, channel, length + at : 2 * length + at].all() for row, channel, at in starts.tolist())


def test_training_masks_follow_the_seed_of_the_step():
    module, first = joint("action", "reconstruction").eval(), batch()

    def loss(seed: int) -> float:
        torch.manual_seed(seed)
        return module.losses(first)["reconstruction"].item()

    assert loss(1) == loss(1) != loss(2)


def test_validation_masks_are_those_of_the_row_at_any_epoch_and_batch_size():
    module, full_batch = joint(), batch()
    hidden = module._fixed_spans(full_batch)
    torch.manual_seed(5)
    parts = [module._fixed_spans({"observed": full_batch["observed"][at], "index": full_batch["index"][at]})
             for at in (slice(0, 3), slice(3, 8))]  # fmt: skip
    assert torch.equal(hidden, torch.cat(parts))
    assert not torch.equal(hidden[0], hidden[1])


def test_rows_without_a_label_do_not_count():
    module, first = joint("action", "state").eval(), batch()
    first["target"]["state"] = torch.full((8,), -1)
    losses = module.losses(first)
    assert losses["state"].item() == 0 and losses["action"].item() > 0
    losses["state"].backward()
    assert all(p.grad is None or not p.grad.any() for p in module.parameters())


class Batches(LightningDataModule):
    """The same few batches for training and validation."""

    def __init__(self, batches: list[dict]) -> None:
        super().__init__()
        self.batches = batches

    def class_counts(self, task: str) -> list[int]:
        target = torch.cat([batch["target"][task] for batch in self.batches])
        return [int((target == label).sum()) for label in range(len(CLASSES[task]))]

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None)  # type: ignore[arg-type]

    val_dataloader = train_dataloader


def trainer(epochs: int) -> Trainer:
    return Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip


def test_the_module_learns_a_small_batch_by_heart():
    first = batch()
    module = joint(class_balance=0.5)
    fit = trainer(150)
    fit.fit(module, datamodule=Batches([first]))
    logged = {name: value.item() for name, value in fit.callback_metrics.items()}
    assert logged["val/accuracy"] == logged["val/action/macro_f1"] == 1
    assert module.training_logs()["loss_weights"]["loss/reconstruction"].iloc[-5:].mean() < 0.3, (
        "the signals' variance is 0.5"
    )
    expected = class_weights(Batches([first]).class_counts("action"), 0.5)
    assert torch.equal(module.criteria["action"].class_weights, expected)


def test_the_logged_metrics_are_those_of_the_predictions():
    batches = [batch(8, seed=1), batch(5, seed=2)]
    module, fit = joint(), trainer(1)
    fit.fit(module, datamodule=Batches(batches))
    module.eval()
    metrics: dict[str, dict[str, float]] = {}
    for task in CLASSES:
        target = torch.cat([batch["target"][task] for batch in batches])
        with torch.no_grad():
            predicted = torch.cat([module(batch)[task] for batch in batches]).argmax(dim=1)[target >= 0]
        target = target[target >= 0]
        metrics[task] = {
            "accuracy": accuracy_score(target, predicted), "macro_f1": f1_score(target, predicted, average="macro"),
        }  # fmt: skip
    for name in ("action/accuracy", "state/macro_f1", "accuracy", "macro_f1"):
        expected = find_metric({"val": metrics}, f"val/{name}")
        assert fit.callback_metrics[f"val/{name}"].item() == pytest.approx(expected, rel=1e-5)


def test_a_checkpoint_restores_the_predictions():
    module = joint()
    module._trainer = SimpleNamespace(strategy=None, global_rank=0)
    saved: dict = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(saved)
    fresh = joint()
    for parameter in fresh.parameters():
        torch.nn.init.zeros_(parameter)
    fresh._trainer = module._trainer
    fresh.on_load_checkpoint(saved)
    fresh.load_state_dict(saved["state_dict"])
    assert same(module.eval()(batch()), fresh.eval()(batch()))
