"""The module whose parts have an optimizer each, such as the two networks of an adversarial model."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hallmark.checks import require
from hallmark.learning.module import Batch, MeanLoss, TrainableModule
from hallmark.learning.optim import PartOptimizer
from hallmark.storage.seeds import fold_in

_NOISE = 33  # what seeds are for; without it the noise was that of the seeds of the steps


class MultiOptimizerModule(TrainableModule):
    """Base of modules whose parts are trained by turns, each by its optimizer (Lightning's manual optimization).

    A subclass says in `optimize` what happens with a batch, and calls `step` for each part. Schedules, clipping, moving
    averages, the mean loss of each part (`train/<part>/loss`) and an exact resume come with that. A step of the trainer
    (`max_steps`, `global_step`, the total of a schedule) is a batch, however many optimizers take a step with it.

    Args:
        parts: what is trained, by name.
        optimizers: a recipe for each part.
        seed: of `randn`.
    """

    def __init__(self, *, parts: Mapping[str, nn.Module], optimizers: Mapping[str, PartOptimizer], seed: int) -> None:
        expected = f"a recipe for each of {', '.join(parts)}"
        require(set(optimizers) == set(parts), "optimizers", sorted(optimizers), expected)
        super().__init__(encoders={}, head=nn.ModuleDict(parts), optimizer=None, freeze_epochs=0)
        self.automatic_optimization = False
        self.part_optimizers = {name: optimizers[name] for name in parts}
        self.averages = nn.ModuleDict()
        for name, recipe in self.part_optimizers.items():
            if recipe.ema_decay is not None:
                average = get_ema_multi_avg_fn(recipe.ema_decay)
                self.averages[name] = AveragedModel(parts[name], multi_avg_fn=average, use_buffers=True)
        self.averages.requires_grad_(False)
        self.part_losses = nn.ModuleDict({name: MeanLoss() for name in parts})
        self.seed = seed
        self.stepping: str | None = None  # the part whose step is being taken
        self.__generator = torch.Generator()
        self.__rows = 0

    @property
    def parts(self) -> nn.ModuleDict:
        """What is trained, by name."""
        assert isinstance(self.head, nn.ModuleDict)
        return self.head

    @property
    def optimizer_names(self) -> list[str]:
        return list(self.part_optimizers)

    @property
    def loss_name(self) -> str:
        return f"train/{self.stepping}/loss"

    @abstractmethod
    def optimize(self, batch: Batch) -> None:
        """Take the steps of a batch by `step`. Random numbers come from `randn`, or from torch's own functions, which
        are seeded before each batch."""

    def averaged(self, part: str) -> nn.Module:
        """What validates and predicts: the moving average of `part`, or `part` itself where none is kept."""
        return self.averages[part].module if part in self.averages else self.parts[part]  # type: ignore[return-value]

    def takes_step(self, part: str) -> bool:
        """Whether `part` takes a step with this batch; a function of the number of batches since the fit began."""
        return (self.global_step + 1) % self.part_optimizers[part].every == 0

    def step(self, part: str, loss: Callable[[], Tensor]) -> None:
        """A step of the optimizer of `part`, where `takes_step`.

        Args:
            loss: gives the mean loss over the rows of the batch, a scalar. In what it computes no other part has
                gradients.

        Raises:
            DivergedError: the loss is nan or infinite.
        """
        if not self.takes_step(part):
            return
        number = self.optimizer_names.index(part)
        optimizer, self.stepping = self.trainer.optimizers[number], part
        with self.__alone(optimizer):
            optimizer.zero_grad()
            value = loss()
            self.manual_backward(value)
        # Not through Lightning's wrapper of the optimizer, which would count a step of the trainer.
        self.trainer.strategy.optimizer_step(optimizer, _nothing)
        scheduler = self.trainer.lr_scheduler_configs[number].scheduler
        assert isinstance(scheduler, LRScheduler)
        scheduler.step()
        if part in self.averages:
            self.averages[part].update_parameters(self.parts[part])  # type: ignore[operator]
        mean = self.part_losses[part]
        assert isinstance(mean, MeanLoss)
        if not mean.update_called:  # to log it takes longer than to count, and once an epoch is enough
            self.log(self.loss_name, mean, on_step=False, on_epoch=True)
        mean.update(value.detach(), self.__rows)
        self.stepping = None

    def randn(self, *shape: int) -> Tensor:
        """Standard normal numbers [B, *shape] for the rows of the batch, by seed, epoch and batch.

        Several processes together draw what one with as large a batch would.
        """
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        drawn = torch.randn(self.__rows * world_size, *shape, generator=self.__generator)
        return drawn[rank::world_size].to(self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self.__rows = len(batch["index"])
        self.__generator.manual_seed(fold_in(_NOISE, self.seed, self.current_epoch, batch_idx))
        self.optimize(batch)
        steps = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        steps.increment_ready()
        steps.increment_completed()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        # Here and not in `step`, because before that the gradients of mixed precision are still scaled.
        part = self.optimizer_names[self.trainer.optimizers.index(optimizer)]
        if (largest := self.part_optimizers[part].gradient_clip_val) is not None:
            clip_grad_norm_(_parameters(optimizer), largest)

    def configure_optimizers(self) -> Any:
        batches = int(self.trainer.estimated_stepping_batches)
        return [
            recipe.build(nn.ModuleDict(), self.parts[name], batches // recipe.every)
            for name, recipe in self.part_optimizers.items()
        ]

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        for mean in self.part_losses.values():
            mean.reset()  # type: ignore[operator]

    @contextmanager
    def __alone(self, optimizer: Optimizer) -> Iterator[None]:
        """Inside the block only what `optimizer` trains has gradients."""
        other_parameters = [
            parameter
            for waiting in self.trainer.optimizers if waiting is not optimizer
            for parameter in _parameters(waiting) if parameter.requires_grad
        ]  # fmt: skip
        for parameter in other_parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in other_parameters:
                parameter.requires_grad_(True)


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _nothing() -> None:
    """The gradients are there already."""
