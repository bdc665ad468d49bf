import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hallmark.learning.balancing.balanced import Balanced
from hallmark.learning.balancing.base import Gradients

LOSSES = st.lists(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3), min_size=1, max_size=6)


def contributions(rows: list[list[float]], momentum: float) -> torch.Tensor:
    """w L of each step, [steps, 3]."""
    balancer, weighted = Balanced(["a", "b", "c"], momentum=momentum), []
    for row in torch.tensor(rows):
        balancer(row, Gradients(row, []))
        weighted.append(balancer.weights * row)
    return torch.stack(weighted)


def test_weights_by_hand() -> None:
    balancer, history = Balanced(["a", "b"], momentum=0.75), []
    for losses in torch.tensor([[4.0, 0.5], [2.0, 0.1], [0.0, 0.4]]):
        balancer(losses, Gradients(losses, []))
        history.append(balancer.weights.tolist())
    # Running means: (4, 0.5), then (3.5, 0.4), then the missing a keeps its own and b stays at 0.4 as well.
    common = 2 / (4 / 3.5 + 0.5 / 0.4)
    for weights, expected in zip(history, [(1 / 4, 1 / 0.5), *[(common / 3.5, common / 0.4)] * 2], strict=True):
        assert weights == pytest.approx(expected)


def test_a_term_that_comes_later_starts_from_its_own_first_loss() -> None:
    balancer = Balanced(["a", "b"], momentum=0.75)
    for losses, expected in [([4.0, 0.0], [0.25, 0.0]), ([4.0, 10.0], [0.25, 0.1])]:
        balancer(torch.tensor(losses), Gradients(torch.tensor(losses), []))
        assert balancer.weights.tolist() == pytest.approx(expected)


@given(LOSSES, st.floats(0, 1), st.sampled_from([1e-2, 100.0]), st.integers(0, 2))
def test_contributions_do_not_depend_on_units(rows: list[list[float]], momentum: float, unit: float, term: int) -> None:
    scaled = [[unit * value if i == term else value for i, value in enumerate(row)] for row in rows]
    torch.testing.assert_close(contributions(rows, momentum), contributions(scaled, momentum), rtol=1e-4, atol=0.0)


@given(LOSSES)
def test_without_momentum_terms_contribute_alike_and_with_momentum_1_the_inverse_is_static(
    rows: list[list[float]],
) -> None:
    alike = contributions(rows, 0.0)
    torch.testing.assert_close(alike, alike[:, :1].expand(-1, 3), rtol=1e-4, atol=0.0)
    assert alike[0].tolist() == pytest.approx([1.0] * 3)
    static = torch.tensor(rows) / torch.tensor(rows[0])
    torch.testing.assert_close(contributions(rows, 1.0), static, rtol=1e-4, atol=0.0)
