"""What forgeries do to a face, and what they leave behind: three methods that are trained on, and one that is not."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hallmark.systems.deepfake.sample.faces import Scenes

METHODS, UNSEEN = ("easy", "mid", "hard"), "other"


@dataclass(frozen=True)
class Forgery:
    """Pixels of forged frames and how much of the camera's noise they have.

    Attributes:
        pixels: float32 [N, S, S, 3] in gray levels.
        noise: float32 [N, S, S], the share of the noise that is left.
    """

    pixels: NDArray
    noise: NDArray


Forge = Callable[[NDArray, NDArray, Scenes, "Strength"], Forgery]


@dataclass(frozen=True)
class Strength:
    """How plain a forgery is, drawn for each video: uniform numbers [N, 4] in [0, 1) and the checkerboard of `hard`.

    Attributes:
        draws: of each frame, equal for the frames of a video.
        checkerboard: gray levels.
    """

    draws: NDArray
    checkerboard: float

    def between(self, position: int, low: float, high: float) -> NDArray:
        """[N, 1, 1, 1], uniform between `low` and `high`."""
        return (low + (high - low) * self.draws[:, position, None, None, None]).astype(np.float32)


def easy(target: NDArray, donor: NDArray, scenes: Scenes, strength: Strength) -> Forgery:
    """A face at a third of the resolution, darker than what is around it, with a dark seam."""
    coarse = _smooth_upsampled(donor, 3) * strength.between(0, 0.5, 0.7)
    mask = _mask(scenes, feather=2.0)
    seam = np.clip(4 * mask * (1 - mask), 0, 1)[..., None]
    pixels = (target + mask[..., None] * (coarse - target)) * (1 - strength.between(1, 0.35, 0.6) * seam)
    return Forgery(pixels, 1 - 0.3 * mask)


def mid(target: NDArray, donor: NDArray, scenes: Scenes, strength: Strength) -> Forgery:
    """A darker face at half of the resolution in blocks, its colors a part of the way to those of the target."""
    blocks = np.repeat(np.repeat(_boxed(donor, 2), 2, axis=1), 2, axis=2) * strength.between(1, 0.35, 0.55)
    mask = _mask(scenes, feather=1.2)
    matched = blocks + strength.between(0, 0.3, 0.5) * (_matched(blocks, target, mask) - blocks)
    return Forgery(target + mask[..., None] * (matched - target), 1 - 0.4 * mask)


def hard(target: NDArray, donor: NDArray, scenes: Scenes, strength: Strength) -> Forgery:
    """A face at full resolution in the colors of the target, a little darker, with the checkerboard that transposed
    convolutions leave (Odena et al. 2016) and less of the camera's noise."""
    mask = _mask(scenes, feather=2.5)
    matched = _matched(donor, target, mask) * strength.between(2, 0.9, 0.98)
    size = target.shape[1]
    board = (1 - 2 * (np.add.outer(np.arange(size), np.arange(size)) % 2)).astype(np.float32)
    matched = matched + strength.checkerboard * strength.between(0, 0.2, 1.8) * board[:, :, None]
    return Forgery(target + mask[..., None] * (matched - target), 1 - 0.2 * mask)


def other(target: NDArray, donor: NDArray, scenes: Scenes, strength: Strength) -> Forgery:
    """Another mouth in the same face, as lip synchronization draws it: smooth, and nothing else is touched."""
    mask = _soft(scenes, 0.0, 0.56, 0.42, 0.24, feather=1.5)
    smooth = _smooth_upsampled(_matched(donor, target, mask), 2)
    return Forgery(target + mask[..., None] * (smooth - target), 1 - 0.5 * mask)


FORGE: dict[str, Forge] = {"easy": easy, "mid": mid, "hard": hard, "other": other}


def _mask(scenes: Scenes, *, feather: float) -> NDArray:
    """The inner face [N, S, S], hair left out, with an edge of `feather` pixels."""
    return _soft(scenes, 0.0, 0.16, 0.56, 0.7, feather=feather)


def _soft(scenes: Scenes, x: float, y: float, rx: float, ry: float, *, feather: float) -> NDArray:
    radius = np.sqrt(((scenes.u - x) / rx) ** 2 + ((scenes.v - y) / ry) ** 2)
    inside = (1 - radius) * min(rx, ry) * scenes.scale * scenes.size / 2  # pixels
    return 1 / (1 + np.exp(np.clip(-2 * inside / feather, -30, 30)))


def _matched(pixels: NDArray, target: NDArray, mask: NDArray) -> NDArray:
    """`pixels` with the mean and the standard deviation of `target` under `mask`, by frame and channel."""
    weight = mask[..., None] / mask.sum(axis=(1, 2))[:, None, None, None]
    mean, wanted = ((weight * p).sum(axis=(1, 2), keepdims=True) for p in (pixels, target))
    std, wanted_std = (
        np.sqrt((weight * (p - m) ** 2).sum(axis=(1, 2), keepdims=True))
        for p, m in ((pixels, mean), (target, wanted))
    )  # fmt: skip
    return (pixels - mean) * (wanted_std / np.maximum(std, 1)) + wanted


def _boxed(pixels: NDArray, factor: int) -> NDArray:
    """Means of blocks of `factor` × `factor` pixels; the last blocks repeat the edge where they are not whole."""
    n, size = len(pixels), pixels.shape[1]
    more = -size % factor
    padded = np.pad(pixels, ((0, 0), (0, more), (0, more), (0, 0)), mode="edge")
    cells = (size + more) // factor
    return padded.reshape(n, cells, factor, cells, factor, 3).mean(axis=(2, 4))


def _smooth_upsampled(pixels: NDArray, factor: int) -> NDArray:
    """Scaled down by `factor` and up again, bilinear."""
    small, size = _boxed(pixels, factor), pixels.shape[1]
    position = np.clip((np.arange(size) + 0.5) / factor - 0.5, 0, small.shape[1] - 1)
    low = np.minimum(position.astype(int), small.shape[1] - 2)
    weight = (position - low).astype(np.float32)
    rows = small[:, low] + weight[:, None, None] * (small[:, low + 1] - small[:, low])
    return rows[:, :, low] + weight[:, None] * (rows[:, :, low + 1] - rows[:, :, low])
