"""A model of several optimizers ends as a plain loop of PyTorch does, whatever stops it."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from lightning import Callback, Trainer
from tests.learning.callbacks.test_training import Send
from tests.learning.conftest import ToyData
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import AdamW

from hallmark.checks import Interrupted, SettingError
from hallmark.learning.callbacks.epoch_state import EpochState
from hallmark.learning.callbacks.finite import DivergedError, FiniteLoss
from hallmark.learning.callbacks.training import GracefulStop, History, StepSeeds
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.multioptimizer import MultiOptimizerModule
from hallmark.learning.optim import PartOptimizer
from hallmark.storage.seeds import fold_in

pytestmark = pytest.mark.filterwarnings("ignore")

BATCHES = 12  # three epochs of four batches of six rows
LR, DECAY, NORM = {"generator": 0.05, "discriminator": 0.02}, 0.7, 0.01


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    discriminator = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.3), nn.LeakyReLU(), nn.Linear(5, 1))
    return {"generator": nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4)), "discriminator": discriminator}


def discriminator_loss(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-discriminator(real)).mean() + softplus(discriminator(fake)).mean()


class Adversarial(MultiOptimizerModule):
    """A generator of two-dimensional noise, averaged, and a discriminator whose gradient is clipped."""

    def __init__(self, *, n_critic: int = 1, **changes: Any) -> None:
        recipes = {
            "discriminator": PartOptimizer(lr=LR["discriminator"], betas=(0.5, 0.9), gradient_clip_val=NORM),
            "generator": PartOptimizer(
                lr=LR["generator"], weight_decay=0.1, schedule="linear", every=n_critic, ema_decay=DECAY
            ),
        }
        super().__init__(parts=networks(), optimizers=recipes | changes, seed=5)

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"x": None}

    @property
    def validation_metrics(self) -> dict[str, Any]:
        return {}

    def optimize(self, batch: dict[str, Tensor]) -> None:
        fake = self.parts["generator"](self.randn(2))
        critic = self.parts["discriminator"]
        self.step("discriminator", lambda: discriminator_loss(critic, batch["x"], fake.detach()))
        self.step("generator", lambda: softplus(-critic(fake)).mean())
        self.log("train/spread", fake.detach().std(), on_step=False, on_epoch=True, batch_size=len(batch["x"]))

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.log("val/distance", (self.averaged("generator").state_dict()["0.bias"] - batch["x"].mean(0)).norm())

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        raise NotImplementedError


def plain_loop(n_critic: int) -> tuple[dict[str, nn.Module], dict[str, Tensor], dict[str, list[float]]]:
    """The same fit without Lightning: networks, averaged weights of the generator, and the losses of each part."""
    parts, losses = networks(), {"generator": [], "discriminator": []}
    generator, critic = (parts[name].train() for name in ("generator", "discriminator"))
    matrices, vectors = ([p for p in generator.parameters() if (p.ndim >= 2) is wanted] for wanted in (True, False))
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    steps = {
        "generator": AdamW(groups, lr=LR["generator"]),
        "discriminator": AdamW(critic.parameters(), lr=LR["discriminator"], betas=(0.5, 0.9), weight_decay=0.0),
    }
    average: dict[str, Tensor] = {}
    loader, n_steps = ToyData().train_dataloader(), 0
    for number in range(BATCHES):
        epoch, batch_idx = divmod(number, 4)
        if batch_idx == 0:
            loader.sampler.set_epoch(epoch)
            batches = iter(loader)
        batch = next(batches)
        torch.manual_seed(fold_in(1, epoch, batch_idx))
        noise = torch.randn(6, 2, generator=torch.Generator().manual_seed(fold_in(33, 5, epoch, batch_idx)))
        fake = generator(noise)
        loss = discriminator_loss(critic, batch["x"], fake.detach())
        steps["discriminator"].zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(critic.parameters(), NORM)
        steps["discriminator"].step()
        losses["discriminator"].append(loss.item())
        if (number + 1) % n_critic == 0:
            loss = softplus(-critic(fake)).mean()
            steps["generator"].zero_grad()
            loss.backward()
            for group in steps["generator"].param_groups:
                group["lr"] = LR["generator"] * (1 - n_steps / (BATCHES // n_critic))
            steps["generator"].step()
            losses["generator"].append(loss.item())
            n_steps += 1
            state = {name: value.detach().clone() for name, value in generator.state_dict().items()}
            for name, value in state.items():
                if name in average and value.is_floating_point():
                    value = DECAY * average[name] + (1 - DECAY) * value
                average[name] = value
    return parts, average, losses


def equal(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("n_critic", [1, 3])
def test_a_fit_ends_as_a_plain_loop(fit, n_critic: int, tmp_path: Path) -> None:
    module = Adversarial(n_critic=n_critic)
    trainer = fit(module, StepSeeds(1), History(tmp_path / "history.csv"))
    parts, average, losses = plain_loop(n_critic)
    assert all(equal(module.parts[name], parts[name]) for name in parts)
    for name, value in module.averaged("generator").state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, average[name])
    assert module.averaged("discriminator") is module.parts["discriminator"]
    assert trainer.global_step == BATCHES

    history = pd.read_csv(tmp_path / "history.csv")
    by_epoch = [losses["discriminator"][start : start + 4] for start in range(0, BATCHES, 4)]
    assert history["train/discriminator/loss"].tolist() == pytest.approx([sum(of) / 4 for of in by_epoch])
    n_steps = len(losses["generator"])
    rates = [LR["generator"] * (1 - (n_steps * epoch // 3 - 1) / n_steps) for epoch in (1, 2, 3)]
    assert history["lr_generator"].tolist() == pytest.approx(rates)
    assert history["lr_discriminator"].tolist() == pytest.approx([LR["discriminator"]] * 3)


@pytest.mark.parametrize("n_critic", [1, 3, 7])
@pytest.mark.parametrize("step", [1, 4, 6, 7, 8, 10])
def test_a_stop_at_any_batch_changes_nothing(fit, tmp_path: Path, n_critic: int, step: int) -> None:
    def run(name: str, *callbacks: Callback, resume: Path | None = None) -> tuple[Adversarial, Trainer]:
        module = Adversarial(n_critic=n_critic)
        torch.manual_seed(step)
        return module, fit(module, StepSeeds(1), History(tmp_path / name), EpochState(), *callbacks, resume=resume)

    module, trainer = run("whole.csv")
    last = tmp_path / "last.ckpt"
    with pytest.raises(Interrupted, match=rf"after (step {step}|epoch {step // 4})$"):
        run("part.csv", Send(signal.SIGTERM, step), GracefulStop(last), Keep(last))
    resumed, after = run("part.csv", resume=last)
    assert equal(module, resumed)
    assert after.global_step == BATCHES
    pairs = zip(trainer.optimizers, after.optimizers, strict=True)
    for first, second in pairs:
        states = [list(optimizer.state_dict()["state"].values()) for optimizer in (first, second)]
        assert all(torch.equal(a[key], b[key]) for a, b in zip(*states, strict=True) for key in a)
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "part.csv").read_bytes()


def test_an_epoch_has_a_loss_and_a_rate_of_the_parts_that_took_a_step_in_it(fit, tmp_path: Path) -> None:
    fit(Adversarial(n_critic=7), History(tmp_path / "history.csv"))  # the seventh of twelve batches: the second epoch
    history = pd.read_csv(tmp_path / "history.csv")
    for part, logged in (("generator", [False, True, False]), ("discriminator", [True] * 3)):
        assert history[f"train/{part}/loss"].notna().tolist() == logged
        assert history[f"lr_{part}"].notna().tolist() == logged


def test_noise_has_other_random_numbers_than_the_step(fit) -> None:
    pairs = []

    class Watching(Adversarial):
        def optimize(self, batch: dict[str, Tensor]) -> None:
            pairs.append((self.randn(2), torch.randn(6, 2)))
            super().optimize(batch)

    module = Watching()
    fit(module, StepSeeds(module.seed), epochs=1)
    assert len(pairs) == 4 and not any(torch.isclose(*pair).any() for pair in pairs)


class Keep(Callback):
    """Writes a checkpoint at the end of each epoch, as every fit does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, module: Any) -> None:
        trainer.save_checkpoint(self.path)


def test_steps_of_the_trainer_are_batches() -> None:
    module = Adversarial()
    trainer = Trainer(
        accelerator="cpu", max_steps=5, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=ToyData())
    assert trainer.global_step == 5
    assert trainer.optimizers[0].state_dict()["state"][0]["step"] == 5
    assert trainer.lr_scheduler_configs[0].scheduler.get_last_lr()[0] == pytest.approx(0)


def test_within_the_step_of_a_part_no_other_has_gradients(fit) -> None:
    seen: list[tuple[str, bool]] = []

    class Watching(Adversarial):
        def step(self, part: str, loss: Callable[[], Tensor]) -> None:
            def watched() -> Tensor:
                seen.extend(
                    (part, parameter.requires_grad == (name == part))
                    for name, other in self.parts.items() for parameter in other.parameters()
                )  # fmt: skip
                return loss()

            super().step(part, watched)

    module = Watching()
    fit(module, epochs=1)
    assert seen and all(right for _, right in seen)
    assert {part for part, _ in seen} == {"generator", "discriminator"}
    assert all(parameter.requires_grad for parameter in module.parts.parameters())
    assert not any(parameter.requires_grad for parameter in module.averages.parameters())


def test_a_loss_that_is_not_finite_names_its_part(fit) -> None:
    class Wrong(Adversarial):
        def optimize(self, batch: dict[str, Tensor]) -> None:
            self.step("generator", lambda: self.parts["generator"](self.randn(2)).mean() * float("nan"))

    with pytest.raises(DivergedError, match=r"train/generator/loss is nan .*model\.optimizers\.generator\.lr"):
        fit(Wrong(), FiniteLoss("val/distance"))


def test_weights_that_are_not_finite_name_their_part(fit, tmp_path: Path) -> None:
    class Wrong(Adversarial):
        def optimize(self, batch: dict[str, Tensor]) -> None:
            super().optimize(batch)
            if self.trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
                self.parts["generator"][0].weight.data.fill_(float("inf"))

    with pytest.raises(DivergedError, match=r"^head\.generator\..*model\.optimizers\.generator\.gradient_clip_val"):
        fit(Wrong(), FiniteLoss("val/distance"), Keep(tmp_path / "last.ckpt"))


def test_every_part_has_a_recipe() -> None:
    with pytest.raises(SettingError) as caught:
        Adversarial(critic=PartOptimizer(lr=0.1))
    assert caught.value.key == "optimizers"
