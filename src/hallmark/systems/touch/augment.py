"""Changes to normalized windows, seeded for each: one set of operations for training and for robustness."""

import numpy as np
from numpy.typing import NDArray

from hallmark.checks import require
from hallmark.data.perturb import Perturbation

Window = tuple[NDArray, NDArray]
"""Signals [C, T] with 0 where nothing was observed, and observed [C, T] of 0 and 1; both float32."""


class SignalAugment:
    """Random views of windows, in units of the training standard deviation.

    Args:
        crop: smallest share of the time that a crop leaves, in (0, 1]; 1 turns cropping off.
        scale: a gain for each channel, log-uniform in [1 / (1 + scale), 1 + scale]; 0 turns it off.
        noise: standard deviation of white noise; 0 turns it off.
        channel_drop: probability that a channel is lost; 0 turns it off.
    """

    def __init__(self, crop: float, scale: float, noise: float, channel_drop: float) -> None:
        require(0 < crop <= 1, "crop", crop, "a share of the window in (0, 1]")
        require(scale >= 0, "scale", scale, "at least 0")
        require(noise >= 0, "noise", noise, "at least 0")
        require(0 <= channel_drop < 1, "channel_drop", channel_drop, "a probability in [0, 1)")
        self.crop, self.scale, self.noise, self.channel_drop = crop, scale, noise, channel_drop

    def __call__(self, window: Window, seed: int) -> Window:
        """The view that `seed` names, same shapes; the given arrays stay as they are."""
        rng = np.random.default_rng(seed)
        if self.scale:
            window = scaled(window, 1 + self.scale, rng)
        if self.noise:
            window = noisy(window, self.noise, rng)
        if self.channel_drop:
            window = with_lost_channels(window, self.channel_drop, rng)
        if self.crop < 1:
            window = cropped(window, rng.uniform(self.crop, 1), rng)
        return window


def cropped(window: Window, share: float, rng: np.random.Generator) -> Window:
    """Only a `share` of the time, at a random place, is left; the rest counts as not observed.

    Nothing is stretched, so that rhythms keep their frequency.
    """
    time = window[0].shape[1]
    length = max(1, round(share * time))
    start = int(rng.random() * (time - length + 1))
    return _without(window, (np.arange(time) < start) | (np.arange(time) >= start + length))


def scaled(window: Window, most: float, rng: np.random.Generator) -> Window:
    """A gain for each channel, log-uniform in [1 / most, most]."""
    gains = most ** rng.uniform(-1, 1, (len(window[0]), 1))
    return window[0] * gains.astype(np.float32), window[1]


def noisy(window: Window, std: float, rng: np.random.Generator) -> Window:
    """White Gaussian noise on what is observed."""
    noise = std * rng.standard_normal(window[0].shape, np.float32)
    return window[0] + noise * window[1], window[1]


def with_lost_channels(window: Window, probability: float, rng: np.random.Generator) -> Window:
    """Each channel is lost with `probability`, but one that is observed always stays."""
    lost = rng.random(len(window[0])) < probability
    seen = np.flatnonzero(window[1].any(axis=1))
    if len(seen):
        lost[rng.choice(seen)] = False
    return _without(window, lost[:, None])


def _without(window: Window, hidden: NDArray) -> Window:
    zero = np.float32(0)
    return np.where(hidden, zero, window[0]), np.where(hidden, zero, window[1])


PERTURBATIONS = {
    perturbation.name: perturbation
    for perturbation in (
        Perturbation("crop", cropped, (0.9, 0.75, 0.6, 0.45, 0.3)),
        Perturbation("scale", scaled, (1.1, 1.25, 1.5, 2.0, 3.0)),
        Perturbation("noise", noisy, (0.05, 0.1, 0.2, 0.4, 0.8)),
        Perturbation("channel_drop", with_lost_channels, (0.1, 0.2, 0.3, 0.45, 0.6)),
    )
}
"""What normalized windows may suffer, in five strengths: the augmentation's operations at fixed strength."""
