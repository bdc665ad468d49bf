"""The autoencoders that the paper describes, in the space of pixels."""

from itertools import pairwise

import torch
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Images [B, 3, S, S] in [0, 1] to latent maps [B, C, S/32, S/32] and back; S is divisible by 32.

    Five convolutions of stride 2, with twice as many channels each, and as many transposed ones. The latent maps are
    normal, with a mean and a log variance from a 1×1 convolution each, where it is variational (Kingma & Welling 2014,
    arXiv:1312.6114); in evaluation mode they are their mean.

    Args:
        width: channels after the first convolution.
        latent: C.
        variational: VAE; else ED, of which the maps are the mean.
    """

    STRIDE = 32

    def __init__(self, width: int, latent: int, *, variational: bool) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        down = [_down(before, after) for before, after in pairwise([3, *widths])]
        self.encoder = nn.Sequential(*down)
        self.mean = nn.Conv2d(widths[-1], latent, 1)
        self.log_variance = nn.Conv2d(widths[-1], latent, 1) if variational else None
        wide = [latent, *reversed(widths[:-1])]
        up = [_up(before, after) for before, after in pairwise(wide)]
        self.decoder = nn.Sequential(*up, nn.ConvTranspose2d(widths[0], 3, 2, stride=2), nn.Sigmoid())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """The reconstruction [B, 3, S, S] in [0, 1], and mean and log variance of the latent maps."""
        hidden = self.encoder(image)
        mean = self.mean(hidden)
        if self.log_variance is None:
            return self.decoder(mean), mean, None
        log_variance = self.log_variance(hidden).clamp(-10, 10)  # exp() stays finite whatever a step does
        latent = mean
        if self.training:
            latent = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        return self.decoder(latent), mean, log_variance


def _down(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.LeakyReLU(0.1))


def _up(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.ConvTranspose2d(before, after, 2, stride=2), nn.BatchNorm2d(after), nn.LeakyReLU(0.1))
