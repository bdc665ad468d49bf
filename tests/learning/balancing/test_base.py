import pytest
import torch
from tests.learning.balancing.training import BALANCERS, Training
from torch import nn

from hallmark.learning.balancing.base import Gradients


def two_terms() -> tuple[list[torch.Tensor], nn.Parameter, nn.Parameter]:
    """Gradients (2, 0, | 1) and (1, −3, | none)."""
    shared, head = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    return [2 * shared[0] + head[0], shared[0] - 3 * shared[1]], shared, head


def test_inner_products_by_hand() -> None:
    losses, shared, head = two_terms()
    torch.testing.assert_close(Gradients(losses, [shared]).gramian, torch.tensor([[4.0, 2.0], [2.0, 10.0]]))
    both = Gradients(losses, [shared, head])
    torch.testing.assert_close(both.gramian, torch.tensor([[5.0, 2.0], [2.0, 10.0]]))
    torch.testing.assert_close(both.norms(), torch.tensor([5.0, 10.0]).sqrt())
    sum(losses).backward()
    assert shared.grad.tolist() == [3.0, -3.0], "the graph is kept, and nothing was accumulated"


def test_a_term_without_a_graph_and_a_held_parameter_count_as_zero() -> None:
    losses, shared, head = two_terms()
    head.requires_grad_(False)
    gramian = Gradients([losses[0], torch.tensor(0.0), losses[1]], [shared, head]).gramian
    torch.testing.assert_close(gramian, torch.tensor([[4.0, 0, 2], [0, 0, 0], [2, 0, 10]]))
    assert not Gradients(losses, [head]).gramian.any()


def test_inner_products_are_in_single_precision_under_autocast() -> None:
    weight = nn.Parameter(torch.zeros(2))
    losses = [(weight * torch.tensor(row)).sum() for row in ([1.001, 0.0], [1.0, -1.003])]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gramian = Gradients(losses, [weight]).gramian
    torch.testing.assert_close(gramian, torch.tensor([[1.001**2, 1.001], [1.001, 1 + 1.003**2]]))


@pytest.mark.parametrize(("name", "passes"), [("gradnorm", 3), ("pcgrad", 3), ("balanced", 0), ("famo", 0)])
def test_gradients_are_computed_once_and_only_if_asked(name: str, passes: int, monkeypatch) -> None:
    calls, grad = [], torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *args, **kwargs: (calls.append(1), grad(*args, **kwargs))[1])
    training = Training(BALANCERS[name]).run(1)
    assert len(calls) == passes
    losses = training.losses()
    gradients = Gradients(losses, list(training.network.trunk.parameters()))
    assert gradients.gramian is gradients.gramian and gradients.norms().shape == (3,)
    assert len(calls) == passes + 3
