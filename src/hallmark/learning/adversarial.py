"""What adversarial models share: losses of both sides, and the projection by which a discriminator knows the class."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import relu, softplus


class AdversarialLoss(NamedTuple):
    """The losses of both sides of logits [B] of being real, scalars.

    Attributes:
        discriminator: from the logits of real and of generated rows.
        generator: from the logits of generated rows.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


ADVERSARIAL_LOSSES = {
    # Goodfellow et al. 2014, arXiv:1406.2661
    "non_saturating": AdversarialLoss(
        lambda real, fake: (softplus(-real) + softplus(fake)).mean(), lambda fake: softplus(-fake).mean()
    ),
    # Lim & Ye 2017, arXiv:1705.02894
    "hinge": AdversarialLoss(lambda real, fake: (relu(1 - real) + relu(1 + fake)).mean(), lambda fake: -fake.mean()),
}


class ProjectionHead(nn.Module):
    """Maps features [B, D] and classes [B] to logits [B] of being real (Miyato & Koyama 2018, arXiv:1802.05637).

    Args:
        wrap: of both layers, such as `torch.nn.utils.parametrizations.spectral_norm`.
    """

    def __init__(
        self, classes: int, size: int, *, wrap: Callable[[nn.Module], nn.Module] = lambda layer: layer
    ) -> None:
        super().__init__()
        self.logit = wrap(nn.Linear(size, 1))
        self.condition = wrap(nn.Embedding(classes, size))

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        return self.logit(features).squeeze(1) + (features * self.condition(target)).sum(dim=1)
