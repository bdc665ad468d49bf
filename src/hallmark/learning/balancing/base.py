"""What every balancer is, and what it may ask of a step."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, distributed, nn

from hallmark.checks import require
from hallmark.storage.seeds import fold_in

Losses = Tensor | Sequence[Tensor]
"""T scalars, each with its graph, in the order of the terms: a tensor [T] or, cheaper, a list.

Through a stacked tensor every backward pass of one term walks the others' graphs as well, with gradients of 0.
"""

TINY = torch.finfo(torch.float32).tiny


class Gradients:
    """The terms' gradients with respect to the shared parameters, computed once and only if asked for.

    They are those of the losses averaged over the ranks, as one process with the whole batch has them. Under a
    gradient scaler they are not scaled. Held parameters are left out; a term that does not reach one counts as 0.

    Args:
        losses: T scalars with their graphs, which stay usable.
        parameters: the shared ones.
    """

    def __init__(self, losses: Losses, parameters: Sequence[nn.Parameter]) -> None:
        self._losses = list(losses)  # now, because under `no_grad` the parts of a tensor have no graph
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]

    @cached_property
    def gramian(self) -> Tensor:
        """Inner products, float32 [T, T]."""
        device, total = self._losses[0].device, len(self._losses)
        gramian = torch.zeros(total, total, device=device)
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            gradients = [
                torch.autograd.grad(loss, self._parameters, retain_graph=True, materialize_grads=True)
                if loss.requires_grad and self._parameters
                else [torch.zeros_like(parameter) for parameter in self._parameters]
                for loss in self._losses
            ]
            # Inner products add up over parameters, so that no vector of all of them is needed.
            for of_parameter in zip(*gradients, strict=True):
                rows = mean_over_ranks(torch.stack([gradient.flatten() for gradient in of_parameter]).float())
                gramian += rows @ rows.T
        return gramian

    def norms(self) -> Tensor:
        """Euclidean norms, float32 [T]."""
        return self.gramian.diagonal().sqrt()


class Balancer(nn.Module):
    """Turns the T loss terms of a step into the scalar whose gradient is followed.

    That gradient is always Σ w_i ∇L_i: the methods differ in how they come to w, which is the same on every rank
    because they decide on losses and gradients averaged over the ranks. A loss of exactly 0 is a term that the batch
    does not have: it teaches the method nothing. A loss of nan makes the scalar nan.

    Attributes:
        weights: w of the last step, float32 [T].
        recomputes: whether `after_step` asks for the losses.

    Raises:
        SettingError: a setting is out of its range.
    """

    weights: Tensor
    recomputes: ClassVar[bool] = False

    def __init__(self, terms: Sequence[str]) -> None:
        super().__init__()
        require(len(set(terms)) == len(terms) > 0, "terms", list(terms), "one or more different names")
        self.terms = list(terms)
        self.register_buffer("weights", torch.ones(len(terms)))

    def forward(self, losses: Losses, gradients: Gradients) -> Tensor:
        """The scalar of a training step; the method's state moves on."""
        with torch.no_grad():
            self.weights = self.weigh(self._values(losses), gradients)
        return self.scalar(losses)

    def weigh(self, losses: Tensor, gradients: Gradients) -> Tensor:
        """w [T] from the losses' values, float32 [T], averaged over the ranks."""
        return self.weights

    def scalar(self, losses: Losses) -> Tensor:
        return (self.weights * self._stacked(losses)).sum()

    def after_step(self, losses: Callable[[], Losses]) -> None:
        """After the model's step: `losses` computes those of the same batch anew."""

    def end_epoch(self) -> None:
        """After an epoch's last step."""

    def _stacked(self, losses: Losses) -> Tensor:
        # float32, because a weight times a loss in half precision overflows early.
        return torch.stack([loss.float() for loss in losses])

    def _values(self, losses: Losses) -> Tensor:
        return mean_over_ranks(self._stacked(losses).detach())


class DrawingBalancer(Balancer):
    """A balancer that draws, from (seed, number of the step): the same on every rank and after a resume.

    Args:
        seed: of the draws.
    """

    steps: Tensor

    def __init__(self, terms: Sequence[str], *, seed: int) -> None:
        super().__init__(terms)
        self.seed = seed
        self.register_buffer("steps", torch.tensor(0))

    def generator(self) -> np.random.Generator:
        """Of the next step."""
        self.steps = self.steps + 1
        return np.random.default_rng(fold_in(self.seed, int(self.steps)))


def mean_over_ranks(values: Tensor) -> Tensor:
    """`values` averaged over the processes of a fit; every one must ask."""
    if not distributed.is_initialized():
        return values
    values = values.clone()
    distributed.all_reduce(values)
    return values / distributed.get_world_size()
