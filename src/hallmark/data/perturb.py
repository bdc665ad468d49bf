"""What inputs may suffer, in five strengths, for robustness analyses; here pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from hallmark.checks import require
from hallmark.data.images import encoded
from hallmark.data.sampling import Transform

STRENGTHS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Perturbation:
    """One kind of change to a sample's raw input, which keeps its shape; strength 0 is the input as it is.

    Equal seeds draw alike at every strength, so that a curve over strengths shows the strength alone.

    Attributes:
        operation: (sample, level, generator) → changed sample.
        levels: what `operation` is given at the strengths 1 to 5.
    """

    name: str
    operation: Callable[[Any, float, np.random.Generator], Any]
    levels: tuple[float, float, float, float, float]

    def at(self, strength: int) -> Transform:
        """The transform of `strength` 1 to 5, the same for equal seeds.

        Raises:
            ValueError: no such strength.
        """
        require(strength in STRENGTHS, "strength", strength, f"1 to {STRENGTHS[-1]}")
        return PerturbationView(self.name, self.levels[strength - 1], self.operation)


@dataclass(frozen=True)
class PerturbationView:
    """A perturbation at one level; its `repr` names caches of finished runs."""

    name: str
    level: float
    operation: Callable[[Any, float, np.random.Generator], Any] = field(repr=False)

    def __call__(self, sample: Any, seed: int) -> Any:
        return self.operation(sample, self.level, np.random.default_rng(seed))


def transform_name(transform: Transform) -> str | None:
    """What names `transform` in caches and records, the same in every process: all fields of a dataclass.

    None for any other function, which prints as its address in memory: that is another one in every process, and
    another function's in the next.
    """
    return repr(transform) if is_dataclass(transform) else None


PictureOperation = Callable[[Image.Image, float, np.random.Generator], Image.Image]


def _on_pixels(operation: PictureOperation, pixels: Tensor, level: float, rng: np.random.Generator) -> Tensor:
    assert pixels.dtype == torch.uint8 and pixels.shape[0] == 3, "pictures are uint8 [3, H, W]"
    picture = Image.fromarray(np.ascontiguousarray(pixels.numpy().transpose(1, 2, 0)))
    changed = operation(picture, level, rng)
    return torch.from_numpy(np.asarray(changed).transpose(2, 0, 1).copy())


def noisy(picture: Image.Image, sigma: float, rng: np.random.Generator) -> Image.Image:
    """White Gaussian noise of standard deviation `sigma` in gray levels (of 255)."""
    pixels = np.asarray(picture)
    noise = sigma * rng.standard_normal(pixels.shape)
    return Image.fromarray(np.rint(pixels + noise).clip(0, 255).astype(np.uint8))


def blurred(picture: Image.Image, share: float, _: np.random.Generator) -> Image.Image:
    """Gaussian blur whose radius (standard deviation) is this `share` of the width."""
    return picture.filter(ImageFilter.GaussianBlur(share * picture.width))


def compressed(picture: Image.Image, quality: float, _: np.random.Generator) -> Image.Image:
    """Written as JPEG of this `quality` (libjpeg's 1 to 95, color at half resolution) and read again."""
    return Image.open(BytesIO(encoded(picture, "JPEG", quality=int(quality), subsampling="4:2:0"))).convert("RGB")


def cropped(picture: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A part with this `share` of each side, at a random place, scaled up to the whole size."""
    width, height = share * picture.width, share * picture.height
    left, top = rng.uniform(size=2) * (picture.width - width, picture.height - height)
    return picture.resize(picture.size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))


def rescaled(picture: Image.Image, factor: float, _: np.random.Generator) -> Image.Image:
    """Scaled down by `factor` and up again: the detail that a camera further away would have kept."""
    small = (max(1, round(factor * picture.width)), max(1, round(factor * picture.height)))
    return picture.resize(small, Image.Resampling.BICUBIC).resize(picture.size, Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Noise:
    """A transform: white Gaussian noise of standard deviation `sigma` in gray levels (of 255) on uint8 [3, H, W]."""

    sigma: float

    def __post_init__(self) -> None:
        require(self.sigma > 0, "sigma", self.sigma, "gray levels, above 0")

    def __call__(self, pixels: Tensor, seed: int) -> Tensor:
        return _on_pixels(noisy, pixels, self.sigma, np.random.default_rng(seed))


@dataclass(frozen=True)
class Blur:
    """A transform: Gaussian blur of uint8 [3, H, W] as OpenCV has it for an odd `kernel` of that many pixels."""

    kernel: int

    def __post_init__(self) -> None:
        require(self.kernel > 1 and self.kernel % 2 == 1, "kernel", self.kernel, "an odd number of pixels, 3 or more")

    def __call__(self, pixels: Tensor, seed: int) -> Tensor:
        sigma = 0.3 * ((self.kernel - 1) * 0.5 - 1) + 0.8
        return gaussian_blur(pixels, [self.kernel, self.kernel], [sigma, sigma])


_PICTURE_OPERATIONS: dict[str, PictureOperation] = {
    "noise": noisy, "blur": blurred, "jpeg": compressed, "crop": cropped, "scale": rescaled,
}  # fmt: skip


def image_perturbations(levels: Mapping[str, tuple[float, float, float, float, float]]) -> dict[str, Perturbation]:
    """Perturbations of pictures uint8 [3, H, W] by name (noise, blur, jpeg, crop or scale), at these levels."""
    return {
        name: Perturbation(name, partial(_on_pixels, _PICTURE_OPERATIONS[name]), of_name)
        for name, of_name in levels.items()
    }


IMAGE_PERTURBATIONS = image_perturbations({
    "noise": (4, 8, 16, 32, 64), "blur": (0.005, 0.01, 0.02, 0.03, 0.05), "jpeg": (70, 45, 25, 12, 5),
    "crop": (0.95, 0.85, 0.75, 0.65, 0.5), "scale": (0.75, 0.5, 0.35, 0.25, 0.125),
})  # fmt: skip
