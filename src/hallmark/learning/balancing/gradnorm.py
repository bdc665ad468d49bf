"""Gradient normalization (Chen et al. 2018)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hallmark.checks import require
from hallmark.learning.balancing.adam import AdamVector
from hallmark.learning.balancing.base import TINY, Balancer, Gradients

SMALLEST = 1e-6  # a weight; Adam's momentum would carry one past 0


class GradNorm(Balancer):
    """w that makes the terms' gradients as long as their training is slow (Chen et al. 2018, ICML, algorithm 1).

    w starts at 1, descends Σ |G_i − Ḡ r_i^α| with the targets held, and is renormalized to sum to T: G_i = w_i ‖∇L_i‖
    on the shared parameters, Ḡ their mean, r_i the share of its first loss that a term has left, over the mean share.
    Losses must be positive.

    Args:
        alpha: α, how strongly slow terms are favored; the paper's is 1.5.
        lr: of the Adam that moves w.
    """

    initial: Tensor

    def __init__(self, terms: Sequence[str], *, alpha: float, lr: float) -> None:
        super().__init__(terms)
        require(alpha >= 0, "alpha", alpha, "at least 0")
        require(lr > 0, "lr", lr, "above 0")
        self.alpha = alpha
        self.coefficients = AdamVector(torch.ones(len(terms)), lr=lr)
        self.register_buffer("initial", torch.zeros(len(terms)))

    def weigh(self, losses: Tensor, gradients: Gradients) -> Tensor:
        weights, norms = self.coefficients.values.clone(), gradients.norms()
        self.initial = torch.where(self.initial == 0, losses, self.initial)
        # L̃_i = L_i / L_i(0), and r_i = L̃_i over the mean of those that the batch has.
        left = torch.where(losses == 0, 0.0, losses / self.initial)
        rates = left / left.sum().clamp(min=TINY) * (losses != 0).sum()
        target = (weights * norms).sum() / (losses != 0).sum().clamp(min=1) * rates**self.alpha
        # The gradient of Σ |w_i ‖∇L_i‖ − target_i| in w_i, the targets held.
        self.coefficients.step(torch.sign(weights * norms - target) * norms)
        # Renormalized to sum to T, so that the learning rate of the model is not decided here.
        moved = self.coefficients.values.clamp(min=SMALLEST)
        self.coefficients.values = moved * len(moved) / moved.sum()
        return weights
