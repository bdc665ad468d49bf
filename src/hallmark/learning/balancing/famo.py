"""Fast adaptive multitask optimization (Liu et al. 2023)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hallmark.checks import require
from hallmark.learning.balancing.adam import AdamVector
from hallmark.learning.balancing.base import TINY, Balancer, Gradients, Losses

EPSILON = 1e-8  # inside the logarithms


class Famo(Balancer):
    """The gradient of c Σ z_i log L_i with z = softmax(ξ) (Liu et al. 2023, NeurIPS, algorithm 1): w_i = c z_i / L_i,
    where c = 1 / Σ (z_i / L_i) makes w sum to 1 (and is the scalar's value).

    After the model's step ξ moves towards the terms whose log-losses fell least on the same batch. Losses must be
    positive.

    Args:
        lr: of the Adam that moves ξ; the paper's is 0.025.
        weight_decay: γ; the paper's is 1e-3.
    """

    recomputes = True
    before: Tensor

    def __init__(self, terms: Sequence[str], *, lr: float, weight_decay: float) -> None:
        super().__init__(terms)
        require(lr > 0, "lr", lr, "above 0")
        require(weight_decay >= 0, "weight_decay", weight_decay, "at least 0")
        self.logits = AdamVector(torch.zeros(len(terms)), lr=lr, weight_decay=weight_decay)
        self.register_buffer("before", torch.zeros(len(terms)))

    def weigh(self, losses: Tensor, gradients: Gradients) -> Tensor:
        self.before = losses
        weights = self._shares() / (losses + EPSILON)
        return weights / weights.sum().clamp(min=TINY)

    @torch.no_grad()
    def after_step(self, losses: Callable[[], Losses]) -> None:
        fallen = torch.log(self.before + EPSILON) - torch.log(self._values(losses()) + EPSILON)
        # The gradient of Σ z_i · fallen_i in ξ, through the softmax: z ⊙ (fallen − ⟨z, fallen⟩).
        shares = self._shares()
        self.logits.step(shares * (fallen - (shares * fallen).sum()))

    def _shares(self) -> Tensor:
        """z over the terms that the batch has."""
        shares = torch.softmax(self.logits.values, dim=0) * (self.before != 0)
        return shares / shares.sum().clamp(min=TINY)
