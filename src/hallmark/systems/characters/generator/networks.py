"""The two networks: one that draws a character from noise, and one that tells drawn pictures from real ones."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from hallmark.checks import require
from hallmark.learning.adversarial import ProjectionHead

_LARGEST_START = 7  # pixels of the side of the grid that drawing starts from, at most
_CHANNELS = 4  # times the width, at most

UPSAMPLINGS = ("nearest", "transposed")


def doublings(image_size: int) -> int:
    """How often a grid of at most 7 pixels a side is doubled up to `image_size`.

    Raises:
        SettingError: it is none.
    """
    start, n = image_size, 0
    while start > _LARGEST_START and start % 2 == 0:
        start, n = start // 2, n + 1
    expected = f"4 to {_LARGEST_START} pixels doubled one or more times, such as 32, 48, 64, 96, 128 or 224"
    require(n >= 1 and 4 <= start <= _LARGEST_START, "image_size", image_size, expected)
    return n


class Generator(nn.Module):
    """Maps noise [B, Z] and classes [B] to pictures [B, 3, S, S] in [-1, 1].

    Each convolution is followed by a batch norm whose scale and shift are of the class and the noise (BigGAN, Brock et
    al. 2019, arXiv:1809.11096).

    Args:
        classes: number of classes; noise: Z; width: channels of the last convolution but one; image_size: S.
        upsampling: `nearest` repeats pixels before a convolution, as Odena et al. 2016 advise against checkerboards;
            `transposed` is a convolution of stride 2 whose kernel of 3 overlaps unevenly.
    """

    def __init__(self, classes: int, *, noise: int, width: int, image_size: int, upsampling: str) -> None:
        super().__init__()
        n = doublings(image_size)
        require(upsampling in UPSAMPLINGS, "upsampling", upsampling, f"one of {', '.join(UPSAMPLINGS)}")
        channels = [width * min(_CHANNELS, 2**left) for left in range(n, -1, -1)]
        start = image_size // 2**n
        self.condition = nn.Embedding(classes, noise)
        self.grid = nn.Sequential(
            nn.Linear(2 * noise, channels[0] * start**2), nn.Unflatten(1, (channels[0], start, start))
        )
        self.blocks = nn.ModuleList(
            _Block(ins, outs, 2 * noise, upsampling=upsampling) for ins, outs in pairwise(channels)
        )
        self.norm, self.color = nn.BatchNorm2d(channels[-1]), nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, noise: Tensor, target: Tensor) -> Tensor:
        condition = torch.cat([noise, self.condition(target)], dim=1)
        drawn = self.grid(condition)
        for block in self.blocks:
            drawn = block(drawn, condition)
        return self.color(self.norm(drawn).relu()).tanh()


class _Block(nn.Module):
    """Norm, rectifier and a convolution that doubles the sides."""

    def __init__(self, ins: int, outs: int, condition: int, *, upsampling: str) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(ins, affine=False)
        self.modulation = nn.Linear(condition, 2 * ins)
        if upsampling == "transposed":
            self.layer: nn.Module = nn.ConvTranspose2d(ins, outs, 3, stride=2, padding=1, output_padding=1)
        else:
            self.layer = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(ins, outs, 3, padding=1))

    def forward(self, grid: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        return self.layer((self.norm(grid) * (1 + scale) + shift).relu())


class Discriminator(nn.Module):
    """Maps pictures [B, 3, S, S] in [-1, 1] and classes [B] to logits [B] of being real.

    Args:
        classes: number of classes; width: channels of the first convolution; image_size: S.
        spectral: whether the spectral norm of each layer is 1 (Miyato et al. 2018, arXiv:1802.05957).
    """

    def __init__(self, classes: int, *, width: int, image_size: int, spectral: bool) -> None:
        super().__init__()
        wrap: Callable[[nn.Module], nn.Module] = spectral_norm if spectral else lambda layer: layer
        n = doublings(image_size)
        channels = [width * min(_CHANNELS, 2**passed) for passed in range(n + 1)]
        layers: list[nn.Module] = [wrap(nn.Conv2d(3, width, 3, padding=1)), nn.LeakyReLU(0.1)]
        for ins, outs in pairwise(channels):
            layers += [wrap(nn.Conv2d(ins, outs, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)]
        layers += [wrap(nn.Conv2d(channels[-1], channels[-1], 3, padding=1)), nn.LeakyReLU(0.1)]
        layers += [nn.Flatten()]  # where something is in a face says as much as what it is
        self.layers = nn.Sequential(*layers)
        self.head = ProjectionHead(classes, channels[-1] * (image_size // 2**n) ** 2, wrap=wrap)

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        return self.head(self.layers(image), target)
