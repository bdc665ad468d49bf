from collections import Counter
from itertools import pairwise

import pytest
import torch
from tests.learning.balancing.training import Training

from hallmark.learning.balancing.alternating import Alternating
from hallmark.learning.balancing.base import Gradients


def drawn(*, terms: int = 2, ratio: float = 0.5, seed: int = 0, steps: int = 2000) -> list[int]:
    balancer, losses = Alternating([f"t{i}" for i in range(terms)], static_ratio=ratio, seed=seed), torch.ones(terms)
    indices = []
    for _ in range(steps):
        balancer(losses, Gradients(losses, []))
        indices.append(int(balancer.weights.nonzero()))
    return indices


# Four standard deviations of a share over 2000 draws are below 0.045.
def test_each_of_two_terms_gets_about_half_the_steps() -> None:
    indices = drawn()
    assert Counter(indices)[0] / 2000 == pytest.approx(0.5, abs=0.045)
    repeats = sum(first == second for first, second in pairwise(indices))
    assert repeats / 1999 == pytest.approx(0.5, abs=0.045), "a coin, not a turn"


def test_the_others_share_what_the_first_leaves() -> None:
    shares = [Counter(drawn(terms=3, ratio=0.7))[i] / 2000 for i in range(3)]
    assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.045)
    assert set(drawn(terms=1, steps=5)) == {0}


def test_draws_follow_the_seed() -> None:
    assert drawn(seed=1, steps=50) == drawn(seed=1, steps=50) != drawn(seed=2, steps=50)


def test_other_heads_get_no_gradient_at_all() -> None:
    training = Training(lambda terms: Alternating(terms, static_ratio=0.5, seed=0))
    for _ in range(10):
        training.run(1)
        chosen = int(training.balancer.weights.argmax())
        assert [head.weight.grad is not None for head in training.network.heads] == [i == chosen for i in range(3)]
        assert training.column("scalar")[-1] == training.column("losses")[-1, chosen]
