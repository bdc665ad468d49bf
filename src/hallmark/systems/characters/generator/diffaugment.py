"""Differentiable augmentation of all pictures that a discriminator sees (Zhao et al. 2020, arXiv:2006.10738)."""

import torch
from torch import Tensor, nn

from hallmark.checks import require


class DiffAugment(nn.Module):
    """Changes each picture of a batch [B, 3, H, W] in [-1, 1] by draws of its own, and lets gradients through.

    No loop goes over the pictures: a translation gathers pixels from elsewhere, and a cutout is a product with a mask.
    Draws come from torch's global random numbers.

    Args:
        color: strength of brightness (±half of it), saturation (up to twice) and contrast (±half) at 1; 0 for none.
        translation: largest shift as a share of the side; what comes in is 0.
        cutout: side of the square that becomes 0, as a share of the side.
    """

    def __init__(self, *, color: float, translation: float, cutout: float) -> None:
        super().__init__()
        require(0 <= color <= 1, "color", color, "a strength in [0, 1]")
        require(0 <= translation < 1, "translation", translation, "a share of the side in [0, 1)")
        require(0 <= cutout < 1, "cutout", cutout, "a share of the side in [0, 1)")
        self.color, self.translation, self.cutout = color, translation, cutout

    def forward(self, images: Tensor) -> Tensor:
        if self.color:
            images = self._colored(images)
        if self.translation:
            images = self._translated(images)
        return self._cut(images) if self.cutout else images

    def _colored(self, images: Tensor) -> Tensor:
        brightness, saturation, contrast = torch.rand(3, len(images), 1, 1, 1, device=images.device) - 0.5
        images = images + self.color * brightness
        gray = images.mean(dim=1, keepdim=True)
        images = gray + (images - gray) * (1 + 2 * self.color * saturation)
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        return mean + (images - mean) * (1 + self.color * contrast)

    def _translated(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        (rows, row_exists), (columns, column_exists) = (
            _shift(side, self.translation, images) for side in (height, width)
        )
        places = (rows * width).unsqueeze(2) + columns.unsqueeze(1)  # [B, H, W]
        moved = images.flatten(2).gather(2, places.flatten(1).unsqueeze(1).expand(-1, images.shape[1], -1))
        return moved.view_as(images) * (row_exists.unsqueeze(2) * column_exists.unsqueeze(1)).unsqueeze(1)

    def _cut(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        rows, columns = (_window(side, self.cutout, images) for side in (height, width))
        return images * (1 - rows.unsqueeze(3) * columns.unsqueeze(2))


def _shift(side: int, share: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """For each picture the places [B, side] that a draw moves to 0 .. side − 1, and 1 where there are such, else 0."""
    most = round(side * share)
    places = torch.arange(side, device=like.device) + torch.randint(-most, most + 1, (len(like), 1), device=like.device)
    return places.clamp(0, side - 1), ((places >= 0) & (places < side)).to(like.dtype)


def _window(side: int, share: float, like: Tensor) -> Tensor:
    """For each picture [B, 1, side], 1 in a window around a draw."""
    size = round(side * share)
    middle = torch.randint(0, side + 1 - size % 2, (len(like), 1), device=like.device)
    places = torch.arange(side, device=like.device)
    return ((places >= middle - size // 2) & (places < middle + (size + 1) // 2)).to(like.dtype).unsqueeze(1)
