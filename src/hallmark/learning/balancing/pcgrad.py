"""Projection of conflicting gradients (Yu et al. 2020)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hallmark.learning.balancing.base import DrawingBalancer, Gradients


class PcGrad(DrawingBalancer):
    """Gradient surgery (Yu et al. 2020, NeurIPS, algorithm 1): every g_i meets the others in random order and loses
    its component against each one that it conflicts with; the sum of what is left is followed.

    A projection only adds multiples of other terms' gradients, so that the sum is Σ w_i g_i, with w ≥ 1 from the inner
    products on the shared parameters. There the step is PCGrad's. Parameters that only one term has follow
    w_i ∇L_i, where surgery of the shared gradients alone would leave them ∇L_i.

    Args:
        seed: of the orders.
    """

    def weigh(self, losses: Tensor, gradients: Gradients) -> Tensor:
        generator = self.generator()
        orders = [generator.permutation(len(self.terms)).tolist() for _ in self.terms]
        return projected(gradients.gramian, orders).sum(dim=0)


def projected(gramian: Tensor, orders: Sequence[Sequence[int]]) -> Tensor:
    """Coefficients [T, T] of the terms' gradients g: row i makes g_i as PCGrad leaves it, Σ_j c_ij g_j.

    It does not conflict with the last g_j that it met, ⟨Σ_k c_ik g_k, g_j⟩ ≥ 0; a later projection may bring back a
    conflict with an earlier one. Of two terms, neither conflicts with the other, before or after its projection.

    Args:
        gramian: inner products ⟨g_i, g_j⟩, [T, T].
        orders: for each term the order in which it meets the others; its own index is skipped.
    """
    inner = gramian.cpu().double()
    coefficients = torch.eye(len(inner), dtype=inner.dtype)
    for i, order in enumerate(orders):
        for j in order:
            along = coefficients[i] @ inner[:, j]
            if i != j and along < 0 < inner[j, j]:
                coefficients[i, j] -= along / inner[j, j]
    return coefficients.to(gramian)
