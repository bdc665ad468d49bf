"""A small network with one trunk and a head a term, trained by plain SGD."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hallmark.learning.balancing.alternating import Alternating
from hallmark.learning.balancing.balanced import Balanced
from hallmark.learning.balancing.base import Balancer, Gradients
from hallmark.learning.balancing.dwa import Dwa
from hallmark.learning.balancing.equal import Equal
from hallmark.learning.balancing.famo import Famo
from hallmark.learning.balancing.fixed import Fixed
from hallmark.learning.balancing.gradnorm import GradNorm
from hallmark.learning.balancing.pcgrad import PcGrad
from hallmark.learning.balancing.uncertainty import Uncertainty

EPOCH = 4  # steps

BALANCERS: dict[str, Callable[[Sequence[str]], Balancer]] = {
    "equal": Equal,
    "fixed": lambda terms: Fixed(terms, coefficients={term: 1.0 + i for i, term in enumerate(terms)}),
    "balanced": lambda terms: Balanced(terms, momentum=0.9),
    "alternating": lambda terms: Alternating(terms, static_ratio=0.5, seed=3),
    "uncertainty": lambda terms: Uncertainty(terms, lr=0.05),
    "dwa": lambda terms: Dwa(terms, temperature=2.0),
    "gradnorm": lambda terms: GradNorm(terms, alpha=1.5, lr=0.05),
    "pcgrad": lambda terms: PcGrad(terms, seed=3),
    "famo": lambda terms: Famo(terms, lr=0.025, weight_decay=1e-3),
}


class Network(nn.Module):
    """Regressions of unlike sizes on inputs and targets that are the same for every instance."""

    def __init__(self, terms: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.trunk, self.heads = nn.Linear(5, 4), nn.ModuleList(nn.Linear(4, 1) for _ in range(terms))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.5, generator=generator)
        self.x = torch.randn(EPOCH, 8, 5, generator=generator)
        self.y = torch.randn(EPOCH, 8, terms, generator=generator) * torch.arange(1, terms + 1) ** 0.5

    def losses(self, batch: int, rows: slice = slice(None)) -> list[Tensor]:
        hidden, y = torch.tanh(self.trunk(self.x[batch, rows])), self.y[batch, rows]
        return [(head(hidden)[:, 0] - y[:, i]).square().mean() for i, head in enumerate(self.heads)]

    def flat(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.parameters()])


class Training:
    """A network and its balancer, trained step by step.

    Args:
        scales: factor of each loss.
        unit: every update has the same length.
        rows: of each batch, those of this process.
        gather: what becomes of a gradient before it is followed.
    """

    def __init__(
        self, balance: Callable[[Sequence[str]], Balancer], *, scales: Sequence[float] = (1, 1, 1), unit: bool = False,
        rows: slice = slice(None), gather: Callable[[Tensor], Tensor] = lambda gradient: gradient,
    ) -> None:  # fmt: skip
        self.network, self.balancer = Network(len(scales)), balance(["a", "b", "c"][: len(scales)])
        self.scales, self.unit, self.rows, self.gather = scales, unit, rows, gather
        self.step = 0
        self.trajectory: list[dict[str, Tensor]] = []

    def losses(self) -> list[Tensor]:
        losses = self.network.losses(self.step % EPOCH, self.rows)
        return [scale * loss for scale, loss in zip(self.scales, losses, strict=True)]

    def run(self, steps: int) -> "Training":
        for _ in range(steps):
            self._follow()
            self.step += 1
            if self.step % EPOCH == 0:
                self.balancer.end_epoch()
        return self

    def _follow(self) -> None:
        losses = self.losses()
        scalar = self.balancer(losses, Gradients(losses, list(self.network.trunk.parameters())))
        self.network.zero_grad()
        scalar.backward()
        moved = {p: self.gather(p.grad) for p in self.network.parameters() if p.grad is not None}
        length = torch.cat([gradient.flatten() for gradient in moved.values()]).norm() if self.unit else 1.0
        with torch.no_grad():
            for parameter, gradient in moved.items():
                parameter -= 0.05 * gradient / length
        self.balancer.after_step(self.losses)
        record = {"scalar": scalar.detach(), "losses": torch.stack(list(losses)).detach()}
        self.trajectory.append({**record, "weights": self.balancer.weights.clone(), "flat": self.network.flat()})

    def column(self, name: str) -> Tensor:
        """[steps, ...]"""
        return torch.stack([row[name] for row in self.trajectory])

    def state(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "balancer": self.balancer.state_dict(), "step": self.step}

    def load(self, state: dict[str, Any]) -> "Training":
        self.network.load_state_dict(state["network"])
        self.balancer.load_state_dict(state["balancer"])
        self.step = state["step"]
        return self
