"""The augmentation that all members are trained with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from hallmark.checks import require
from hallmark.data.perturb import blurred, compressed, rescaled

Augment = Literal["none"]
"""What a model says of its training rows where they are not augmented."""


@dataclass(frozen=True)
class FrameAugment:
    """What happens to a frame between camera and viewer, in its order; and a part that is cut out.

    A transform of uint8 pixels [3, H, W]: flip, color, blur, smaller and back, JPEG, cut-out. Each happens with its
    own probability, after the recipe of the winner of the DFDC (github.com/selimsef/dfdc_deepfake_challenge).

    Args:
        flip: probability of a horizontal flip.
        color: probability of another brightness, contrast and saturation; color_range: by up to this share.
        blur: probability; blur_radius: largest standard deviation of the Gaussian, in shares of the width.
        resize: probability; resize_factor: smallest factor.
        jpeg: probability; jpeg_quality: lowest and highest quality.
        cutout: probability; cutout_share: largest side of the part that becomes gray, in shares of the sides.
    """

    flip: float
    color: float
    color_range: float
    blur: float
    blur_radius: float
    resize: float
    resize_factor: float
    jpeg: float
    jpeg_quality: Sequence[int]
    cutout: float
    cutout_share: float

    def __post_init__(self) -> None:
        for name in ("flip", "color", "blur", "resize", "jpeg", "cutout"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a probability in [0, 1]")
        require(0 <= self.color_range < 1, "color_range", self.color_range, "a share in [0, 1)")
        require(self.blur_radius > 0, "blur_radius", self.blur_radius, "above 0")
        require(0 < self.resize_factor <= 1, "resize_factor", self.resize_factor, "a factor in (0, 1]")
        require(0 < self.cutout_share < 1, "cutout_share", self.cutout_share, "a share in (0, 1)")
        qualities = list(self.jpeg_quality)
        valid = len(qualities) == 2 and 1 <= qualities[0] <= qualities[1] <= 100
        require(valid, "jpeg_quality", qualities, "the lowest and the highest, 1 to 100")

    def __call__(self, pixels: Tensor, seed: int) -> Tensor:
        """The view that `seed` names, same shape and dtype."""
        rng = np.random.default_rng(seed)
        # All are drawn, whether they happen or not: a probability of one changes no other.
        happens = rng.random(6) < (self.flip, self.color, self.blur, self.resize, self.jpeg, self.cutout)
        levels = rng.random(6).tolist()
        image = Image.fromarray(np.ascontiguousarray(pixels.numpy().transpose(1, 2, 0)))
        if happens[0]:
            image = ImageOps.mirror(image)
        if happens[1]:
            enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
            for enhancer, level in zip(enhancers, levels[:3], strict=True):
                image = enhancer(image).enhance(1 + self.color_range * (2 * level - 1))
        if happens[2]:
            image = blurred(image, self.blur_radius * (1 - levels[3]), rng)
        if happens[3]:
            image = rescaled(image, self.resize_factor + (1 - self.resize_factor) * levels[4], rng)
        if happens[4]:
            lowest, highest = self.jpeg_quality
            image = compressed(image, lowest + int(levels[5] * (highest - lowest + 1)), rng)
        array = np.array(image)
        if happens[5]:
            sides = np.maximum(1, (self.cutout_share * rng.random(2) * array.shape[:2]).astype(int))
            top, left = (rng.random(2) * (array.shape[:2] - sides)).astype(int)
            array[top : top + sides[0], left : left + sides[1]] = 128
        return torch.from_numpy(array.transpose(2, 0, 1).copy())
