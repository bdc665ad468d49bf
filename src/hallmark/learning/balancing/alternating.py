"""One term a batch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from hallmark.checks import require
from hallmark.learning.balancing.base import DrawingBalancer, Gradients, Losses


class Alternating(DrawingBalancer):
    """w is one-hot, drawn for each batch; the scalar is that term's loss alone.

    Given a list of losses, the parameters that only the other terms have get no gradient at all (None, so that
    neither momentum nor weight decay moves them); several processes must then expect unused parameters.

    Args:
        static_ratio: probability of the first term, in (0, 1); the others share the rest equally.
        seed: of the draws.
    """

    def __init__(self, terms: Sequence[str], *, static_ratio: float, seed: int) -> None:
        super().__init__(terms, seed=seed)
        require(0 < static_ratio < 1, "static_ratio", static_ratio, "a probability in (0, 1)")
        n_others = len(terms) - 1
        chances = np.array([static_ratio] + [(1 - static_ratio) / n_others] * n_others if n_others else [1.0])
        self.chances = chances / chances.sum()

    def weigh(self, losses: Tensor, gradients: Gradients) -> Tensor:
        drawn = self.generator().choice(len(self.terms), p=self.chances)
        return one_hot(torch.tensor(drawn), len(self.terms)).to(losses)

    def scalar(self, losses: Losses) -> Tensor:
        return losses[int(self.weights.argmax())]
