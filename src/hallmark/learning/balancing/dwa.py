"""Dynamic weight average (Liu et al. 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hallmark.checks import require
from hallmark.learning.balancing.base import Balancer, Gradients


class Dwa(Balancer):
    """w = K softmax(r / T) with r_k = L_k(t−1) / L_k(t−2), the losses of the last two epochs averaged over their
    batches (Liu et al. 2019, CVPR, eq. 7). w = 1 in the first two epochs.

    Args:
        temperature: T; the higher, the more alike the weights.
    """

    sums: Tensor
    batches: Tensor
    averages: Tensor  # [2, T]: of the epoch before the last one and of the last one; 0 is none

    def __init__(self, terms: Sequence[str], *, temperature: float) -> None:
        super().__init__(terms)
        require(temperature > 0, "temperature", temperature, "above 0")
        self.temperature = temperature
        self.register_buffer("sums", torch.zeros(len(terms)))
        self.register_buffer("batches", torch.zeros(len(terms)))
        self.register_buffer("averages", torch.zeros(2, len(terms)))

    def weigh(self, losses: Tensor, gradients: Gradients) -> Tensor:
        self.sums, self.batches = self.sums + losses, self.batches + (losses != 0)
        older, newer = self.averages
        # Eq. 7; a term without two epochs behind it has the rate 1.
        rates = torch.where(older * newer == 0, 1.0, newer / older)
        return len(self.terms) * torch.softmax(rates / self.temperature, dim=0)

    def end_epoch(self) -> None:
        average = self.sums / self.batches.clamp(min=1)
        self.averages = torch.stack([self.averages[1], average])
        self.sums, self.batches = torch.zeros_like(self.sums), torch.zeros_like(self.batches)
