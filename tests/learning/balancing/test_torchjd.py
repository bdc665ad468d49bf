"""Trajectories equal TorchJD's (https://torchjd.org)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.learning.balancing.training import EPOCH, Network, Training
from torch import Tensor
from torchjd.aggregation import PCGrad
from torchjd.scalarization import DWA, FAMO, UW

from hallmark.learning.balancing import pcgrad
from hallmark.learning.balancing.dwa import Dwa
from hallmark.learning.balancing.famo import Famo
from hallmark.learning.balancing.pcgrad import PcGrad
from hallmark.learning.balancing.uncertainty import Uncertainty

STEPS = 5 * EPOCH


def reference(scalar: Callable[[Tensor], Tensor], after: Callable[[int, Callable[[], Tensor]], Any]) -> Tensor:
    """The parameters after each step of SGD on `scalar`."""
    network, trajectory = Network(3), []
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for step in range(STEPS):

        def losses(step: int = step) -> Tensor:
            return torch.stack(network.losses(step % EPOCH))

        optimizer.zero_grad()
        scalar(losses()).backward()
        optimizer.step()
        after(step, losses)
        trajectory.append(network.flat())
    return torch.stack(trajectory)


def equal(training: Training, expected: Tensor) -> None:
    weights = training.column("weights")
    assert weights.std(dim=0).max() > 1e-3, "the weights moved"
    torch.testing.assert_close(training.column("flat"), expected, rtol=1e-4, atol=1e-5)


def test_uncertainty() -> None:
    method = UW(3)
    adam = torch.optim.Adam(method.parameters(), lr=0.05)

    def after(*_: Any) -> None:
        adam.step()
        adam.zero_grad()

    equal(Training(lambda terms: Uncertainty(terms, lr=0.05)).run(STEPS), reference(method, after))


def test_the_value_of_uncertainty() -> None:
    training, method = Training(lambda terms: Uncertainty(terms, lr=0.05)).run(3), UW(3)
    method.log_var.data = training.balancer.log_variance.values.clone()
    expected = method(torch.stack(training.losses()))
    training.run(1)
    torch.testing.assert_close(training.column("scalar")[-1], expected.detach())


def test_dwa() -> None:
    method = DWA(temperature=0.5)
    expected = reference(method, lambda step, _: method.step() if (step + 1) % EPOCH == 0 else None)
    training = Training(lambda terms: Dwa(terms, temperature=0.5)).run(STEPS)
    equal(training, expected)
    assert torch.equal(training.column("weights")[: 2 * EPOCH], torch.ones(2 * EPOCH, 3))


def test_famo() -> None:
    method = FAMO(3, lr=0.025, weight_decay=1e-3)
    expected = reference(method, lambda _, losses: method.update(losses()))
    equal(Training(lambda terms: Famo(terms, lr=0.025, weight_decay=1e-3)).run(STEPS), expected)


@pytest.mark.parametrize("terms", [2, 3])
def test_pcgrad_with_the_same_orders(terms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[list[int]] = []
    project = pcgrad.projected
    monkeypatch.setattr(pcgrad, "projected", lambda gramian, order: (orders.extend(order), project(gramian, order))[1])
    training = Training(lambda names: PcGrad(names, seed=0), scales=(1,) * terms)
    training.network.heads.requires_grad_(False)  # surgery is of shared parameters
    training.run(STEPS)

    drawn = iter(orders)
    monkeypatch.setattr(torch, "randperm", lambda _: torch.tensor(next(drawn)))
    network, trunk = Network(terms), 24
    for step in range(STEPS):
        parameters = list(network.trunk.parameters())
        jacobian = [
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, retain_graph=True)])
            for loss in network.losses(step % EPOCH)
        ]
        direction = PCGrad()(torch.stack(jacobian))
        with torch.no_grad():
            for parameter, part in zip(parameters, direction.split([p.numel() for p in parameters]), strict=True):
                parameter -= 0.05 * part.view_as(parameter)
        torch.testing.assert_close(training.column("flat")[step, :trunk], network.flat()[:trunk], rtol=1e-4, atol=1e-5)
    assert (training.column("weights") > 1.001).any(), "there were conflicts"
    assert not any(True for _ in drawn)
