"""The inverse of the initial losses, renormalized by the running scale of the losses."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hallmark.checks import require
from hallmark.learning.balancing.base import TINY, Balancer, Gradients


class Balanced(Balancer):
    """w_i = a_i / |L_i(0)| with a_i ∝ |L_i(0)| / m_i and Σ a_i = T, where m_i is the running mean of |L_i|.

    The first step has a = 1: the static inverse of the initial losses. From then on every term contributes
    w_i L_i = (L_i / m_i) · T / Σ_j (|L_j(0)| / m_j): about as much as each other, and in all about the initial T times
    the harmonic mean of what is left of each loss, so that the scalar falls as the losses do. A loss in other units
    (any factor) changes neither its own contribution nor the others'. A term counts from its first loss on.

    Args:
        momentum: μ of m ← μ m + (1 − μ) |L|, which starts at |L(0)|; 1 keeps the static inverse.
    """

    initial: Tensor
    running: Tensor

    def __init__(self, terms: Sequence[str], *, momentum: float) -> None:
        super().__init__(terms)
        require(0 <= momentum <= 1, "momentum", momentum, "in [0, 1]")
        self.momentum = momentum
        self.register_buffer("initial", torch.zeros(len(terms)))
        self.register_buffer("running", torch.zeros(len(terms)))

    def weigh(self, losses: Tensor, gradients: Gradients) -> Tensor:
        scale, first = losses.abs(), self.initial == 0
        self.initial = torch.where(first, scale, self.initial)
        moved = torch.where(first, scale, self.running.lerp(scale, 1 - self.momentum))
        # A loss of 0 is a term that this batch lacks: its scale stays where it was.
        self.running = torch.where(scale == 0, self.running, moved)
        seen = self.initial != 0
        inverse = torch.where(seen, 1 / self.running, 0.0)
        return inverse * seen.sum() / (self.initial * inverse).sum().clamp(min=TINY)
