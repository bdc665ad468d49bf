"""Homoscedastic uncertainty (Kendall et al. 2018)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hallmark.checks import require
from hallmark.learning.balancing.adam import AdamVector
from hallmark.learning.balancing.base import Balancer, Gradients, Losses


class Uncertainty(Balancer):
    """Σ L_i / (2 e^{s_i}) + s_i / 2 with learned s (Kendall et al. 2018, CVPR, section 3): w_i = e^{−s_i} / 2.

    s starts at 0. Its gradient is 1/2 − w_i L_i.

    Args:
        lr: of the Adam that moves s.
    """

    def __init__(self, terms: Sequence[str], *, lr: float) -> None:
        super().__init__(terms)
        require(lr > 0, "lr", lr, "above 0")
        self.log_variance = AdamVector(torch.zeros(len(terms)), lr=lr)

    def weigh(self, losses: Tensor, gradients: Gradients) -> Tensor:
        weights = torch.exp(-self.log_variance.values) / 2
        # The gradient in s is 1/2 − w L, and 0 for a term that the batch lacks.
        self.log_variance.step(torch.where(losses == 0, 0.0, 0.5 - weights * losses))
        return weights

    def scalar(self, losses: Losses) -> Tensor:
        return super().scalar(losses) - torch.log(2 * self.weights).sum() / 2
