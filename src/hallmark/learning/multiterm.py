"""The module whose loss is a sum of terms, joined by a balancer."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from hallmark.checks import require
from hallmark.learning.balancing.base import Balancer, Gradients
from hallmark.learning.callbacks.finite import require_finite
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.module import Batch, TrainableModule
from hallmark.learning.optim import Optimizer

TRACE = "loss_weights"


class MultiTermModule(TrainableModule):
    """Base of modules that minimize several loss terms at once.

    Args:
        terms: names of the loss terms, in the order of every tensor [T].
        balance: builds the balancer from the names of the terms.
        encoders, head, optimizer, freeze_epochs: of `TrainableModule`.
    """

    def __init__(
        self, *, terms: Sequence[str], balance: Callable[[Sequence[str]], Balancer], encoders: Mapping[str, Encoder],
        head: nn.Module, optimizer: Optimizer, freeze_epochs: int,
    ) -> None:  # fmt: skip
        super().__init__(encoders=encoders, head=head, optimizer=optimizer, freeze_epochs=freeze_epochs)
        require(len(set(terms)) == len(terms) > 0, "terms", list(terms), "one or more different names")
        self.terms = list(terms)
        self.balance = balance(self.terms)
        self.__trace: list[list[float]] = []
        self.__batch: Batch = {}

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The mean loss of each of `terms` over the batch."""

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters on which the terms' gradients are compared: of the encoders."""
        return [parameter for parameter in self.encoders.parameters() if parameter.requires_grad]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.__batch = batch
        losses = self.__listed(batch)
        require_finite(dict(zip(self.terms, losses, strict=True)), self)
        loss = self.balance(losses, Gradients(losses, self.shared_parameters()))
        values = torch.stack([value.detach().float() for value in losses])
        self.log_train_loss(values.sum(), len(batch["index"]))
        self.__trace.append([self.current_epoch, *self.balance.weights.tolist(), *values.tolist()])
        return loss

    def optimizer_step(self, *arguments: Any, **settings: Any) -> None:
        # Here and not at the end of the batch, where a checkpoint may have been written before.
        super().optimizer_step(*arguments, **settings)
        if self.balance.recomputes:
            devices = [torch.cuda.current_device()] if self.device.type == "cuda" else []
            with torch.no_grad(), torch.random.fork_rng(devices=devices):
                torch.manual_seed(torch.initial_seed())  # the same dropout and masks as before the step
                self.balance.after_step(lambda: self.__listed(self.__batch))

    def on_train_epoch_end(self) -> None:
        self.balance.end_epoch()

    def training_logs(self) -> dict[str, pd.DataFrame]:
        """`loss_weights`: epoch, step, and of each step the weight and the loss of each term; a single one has none."""
        if len(self.terms) == 1:
            return {}
        columns = [f"{kind}/{term}" for kind in ("weight", "loss") for term in self.terms]
        table = pd.DataFrame(self.__trace, columns=["epoch", *columns]).astype({"epoch": int})
        table.insert(1, "step", range(len(table)))
        return {TRACE: table}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[TRACE] = torch.tensor(self.__trace, dtype=torch.float64)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.__trace = checkpoint[TRACE].tolist()

    def __listed(self, batch: Batch) -> list[Tensor]:
        losses = self.losses(batch)
        return [losses[term] for term in self.terms]
