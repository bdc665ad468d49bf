import pytest
import torch
from torch import nn

from hallmark.learning.balancing.base import Gradients
from hallmark.learning.balancing.gradnorm import GradNorm


def step(balancer: GradNorm, values: list[float], slopes: list[list[float]]) -> None:
    """One with the given losses and gradients."""
    weight = nn.Parameter(torch.zeros(2))
    losses = [value + (weight * torch.tensor(slope)).sum() for value, slope in zip(values, slopes, strict=True)]
    balancer(losses, Gradients(losses, [weight]))


@pytest.mark.parametrize("missing", [False, True])
def test_steps_by_hand(missing: bool) -> None:
    def follow(values: list[float], slopes: list[list[float]]) -> list[float]:
        step(balancer, [*values, *[0.0] * missing], [*slopes, *[[0.0, 0.0]] * missing])
        return balancer.weights.tolist()

    balancer = GradNorm(["a", "b", "c"][: 2 + missing], alpha=1.5, lr=0.1)
    third = [1.0] * missing
    # Norms 5 and 1, both rates 1, mean 3: the gradient is (+5, −1), Adam's first step (−0.1, +0.1).
    assert follow([4.0, 2.0], [[3.0, 4.0], [0.0, 1.0]]) == [1.0, 1.0, *third]
    # Shares left 1/2 and 1 make rates 2/3 and 4/3. Weighted norms 0.9 · 2 = 1.8 and 1.1 · 4 = 4.4, mean 3.1, targets
    # 3.1 (2/3)^1.5 = 1.69 and 3.1 (4/3)^1.5 = 4.77 (with α = 1 on the other sides): the gradient is (+2, −4).
    assert follow([2.0, 2.0], [[2.0, 0.0], [0.0, 4.0]]) == pytest.approx([0.9, 1.1, *third])
    moments = [(0.9 * 0.1 * g + 0.1 * h, 0.999 * 0.001 * g * g + 0.001 * h * h) for g, h in ((5, 2), (-1, -4))]
    moved = [
        weight - 0.1 * (mean / (1 - 0.9**2)) / (square / (1 - 0.999**2)) ** 0.5
        for weight, (mean, square) in zip((0.9, 1.1), moments, strict=True)
    ]
    expected = [len(balancer.weights) * value / sum([*moved, *third]) for value in [*moved, *third]]
    assert follow([2.0, 2.0], [[2.0, 0.0], [0.0, 4.0]]) == pytest.approx(expected)


def test_weights_stay_positive_and_sum_to_the_number_of_terms() -> None:
    balancer = GradNorm(["a", "b", "c"], alpha=1.5, lr=0.9)
    for _ in range(20):
        step(balancer, [1.0, 1.0, 1.0], [[100.0, 0.0], [1.0, 1.0], [0.0, 0.1]])
        assert (balancer.weights > 0).all()
        assert float(balancer.weights.sum()) == pytest.approx(3)


def test_norms_come_together() -> None:
    balancer = GradNorm(["a", "b"], alpha=0.0, lr=0.01)
    for _ in range(300):
        step(balancer, [1.0, 1.0], [[3.0, 0.0], [0.0, 1.0]])
    assert balancer.weights.tolist() == pytest.approx([0.5, 1.5], abs=0.05)
