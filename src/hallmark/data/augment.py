"""Training-time image augmentation, seeded for each sample."""

import torch
from torch import Tensor
from torchvision.transforms import v2

from hallmark.checks import require

_GRAY = 128


class LightAugment:
    """Rotation, random resized crop, horizontal flip and color jitter on uint8 pixels [3, S, S].

    Args:
        crop: smallest share of the area that a crop keeps, in (0, 1]; 1 turns cropping off.
        flip: probability of a horizontal flip.
        color: strength of brightness, contrast and saturation jitter; 0 turns it off.
        rotation: largest angle in degrees, either way round; 0 turns it off. Corners become gray.
    """

    def __init__(self, crop: float, flip: float, color: float, *, rotation: float = 0.0) -> None:
        require(0 < crop <= 1, "crop", crop, "a share of the area in (0, 1]")
        require(0 <= flip <= 1, "flip", flip, "a probability in [0, 1]")
        require(0 <= color < 1, "color", color, "a strength in [0, 1)")
        require(0 <= rotation <= 180, "rotation", rotation, "degrees in [0, 180]")
        self.crop, self.flip, self.color, self.rotation = crop, flip, color, rotation

    def __call__(self, pixels: Tensor, seed: int) -> Tensor:
        """The view that `seed` names, same shape and dtype."""
        steps: list[v2.Transform] = [v2.RandomHorizontalFlip(self.flip)]
        if self.rotation:
            steps.append(v2.RandomRotation(self.rotation, v2.InterpolationMode.BILINEAR, fill=_GRAY))
        if self.crop < 1:
            size = pixels.shape[-1]
            steps.append(v2.RandomResizedCrop(size, scale=(self.crop, 1), ratio=(0.9, 1.1), antialias=True))
        if self.color:
            steps.append(v2.ColorJitter(self.color, self.color, self.color))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return v2.Compose(steps)(pixels)
