from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.learning.balancing.training import Training
from torch import Tensor

from hallmark.learning.balancing.base import Gradients
from hallmark.learning.balancing.pcgrad import PcGrad, projected

ORDERS = list(permutations(range(3)))


def gradients(terms: int) -> st.SearchStrategy[Tensor]:
    """[terms, 3]"""
    values = st.floats(-4, 4).filter(lambda value: value == 0 or abs(value) > 0.01)
    return arrays.arrays("float64", (terms, 3), elements=values).map(torch.from_numpy)


def surgery(g: Tensor, orders: list[tuple[int, ...]]) -> Tensor:
    """Yu et al., algorithm 1, on the gradients themselves: rows g_i^PC."""
    rows = g.clone()
    for i, order in enumerate(orders):
        for j in order:
            if j != i and rows[i] @ g[j] < 0:
                rows[i] -= rows[i] @ g[j] / (g[j] @ g[j]) * g[j]
    return rows


def conflicts(g: Tensor, other: Tensor) -> bool:
    return bool(g @ other < -1e-9 * (1 + g.norm() * other.norm()))


@given(gradients(3), st.lists(st.sampled_from(ORDERS), min_size=3, max_size=3))
def test_coefficients_are_the_surgery_of_the_gradients(g: Tensor, orders: list[tuple[int, ...]]) -> None:
    torch.testing.assert_close(projected(g @ g.T, orders) @ g, surgery(g, orders), rtol=1e-6, atol=1e-6)


@given(gradients(2))
def test_of_two_terms_no_pair_conflicts(g: Tensor) -> None:
    first, second = projected(g @ g.T, [(0, 1), (0, 1)]) @ g
    assert not conflicts(first, g[1]) and not conflicts(second, g[0]) and not conflicts(first, second)
    assert not conflicts(first + second, g[0]) and not conflicts(first + second, g[1])


@given(gradients(3), st.lists(st.sampled_from(ORDERS), min_size=3, max_size=3))
def test_of_three_terms_none_conflicts_with_the_last_it_met(g: Tensor, orders: list[tuple[int, ...]]) -> None:
    left = projected(g @ g.T, orders) @ g
    for i, order in enumerate(orders):
        last = [j for j in order if j != i][-1]
        assert not conflicts(left[i], g[last])


def test_of_three_terms_an_earlier_conflict_may_come_back() -> None:
    g = torch.tensor([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.1]])
    left = projected(g @ g.T, [(1, 2), (0, 2), (0, 1)]) @ g
    assert conflicts(left[0], g[1]) and not conflicts(left[0], g[2])


def test_no_gradient_meets_itself() -> None:
    angles = torch.tensor([0.0, 150.0, 210.0]).deg2rad()  # in which the first, twice projected, is turned back
    g = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert projected(g @ g.T, [(1, 2), (), ()])[0] @ g @ g[0] < -0.1
    assert torch.equal(projected(g @ g.T, [(1, 2, 0), (), ()]), projected(g @ g.T, [(1, 2), (), ()]))


def test_terms_that_agree_are_left_alone() -> None:
    g = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    assert torch.equal(projected(g @ g.T, [(0, 1, 2)] * 3), torch.eye(3))


def test_a_gradient_too_small_to_have_a_norm_is_not_divided_by() -> None:
    assert torch.equal(projected(torch.tensor([[1.0, -1e-23], [-1e-23, 0.0]]), [(1,), ()]), torch.eye(2))


def test_weights_by_hand() -> None:
    shared = torch.nn.Parameter(torch.zeros(2))
    losses = [2 * shared[0], shared[1] - shared[0]]  # ⟨g, g⟩ = 4 and 2, ⟨g_0, g_1⟩ = −2
    balancer = PcGrad(["a", "b"], seed=0)
    balancer(losses, Gradients(losses, [shared])).backward()
    assert balancer.weights.tolist() == pytest.approx([1 + 2 / 4, 1 + 2 / 2])
    assert shared.grad.tolist() == pytest.approx([1.0, 2.0])  # (1, 1) of the first and (0, 1) of the second


def test_a_random_order_each_step_by_the_seed() -> None:
    def weights(seed: int) -> Tensor:
        return Training(lambda terms: PcGrad(terms, seed=seed)).run(12).column("weights")

    assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))
