"""Normalization of signals by statistics of the training windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

METHODS = ("channel", "subject", "none")
CLIP = 10.0
_FLOOR_QUANTILE = 0.01


@dataclass(frozen=True)
class Normalizer:
    """f(x) less the subject's mean, by the subject's std, then the same by channel, clipped; 0 where not measured.

    f is the logarithm for the channels that were said to be heavy-tailed.

    Attributes:
        floor: [C], what values below it are raised to before the logarithm; −inf for channels without one.
        subject_mean, subject_std: [subjects, C], or None.
        mean, std: [C], of the training windows; nan for a channel that these never show, which is then taken
            as not observed wherever it is.
        clip: bound of the result; infinite where nothing is normalized.
    """

    floor: NDArray
    subject_mean: NDArray | None
    subject_std: NDArray | None
    mean: NDArray
    std: NDArray
    clip: float

    def __call__(self, windows: NDArray, subjects: NDArray) -> tuple[NDArray, NDArray]:
        """Signals and marks of what was observed, float32 [B, C, T] both, of `windows` [B, C, T] of `subjects` [B]."""
        values = _logarithm(windows, self.floor[:, None])
        if self.subject_mean is not None and self.subject_std is not None:
            values = (values - self.subject_mean[subjects][:, :, None]) / self.subject_std[subjects][:, :, None]
        values = (values - self.mean[:, None]) / self.std[:, None]
        observed = np.isfinite(values)
        signals = np.where(observed, np.clip(values, -self.clip, self.clip), 0.0)
        return signals.astype(np.float32), observed.astype(np.float32)


def fit_normalizer(
    values: NDArray, subject: NDArray, training: NDArray, everywhere: NDArray, *, method: str, log: Sequence[int]
) -> Normalizer:
    """Fit to the windows of the training split.

    With the method `subject` each subject's signals are first freed of their own mean and scale, over all of this
    subject's windows and without any label. For held-out subjects that is transductive: it stands for a device
    that has seen its wearer for as long before it answers. The channel statistics still come from training alone.

    Args:
        values: [samples, C] in physical units, nan where not observed.
        subject: int [samples].
        training: [samples], in how many training windows each sample lies.
        everywhere: the same over the windows of all splits.
        method: `channel`, `subject` or `none`.
        log: channels of which the logarithm is taken.
    """
    channels, subjects = values.shape[1], int(subject.max()) + 1
    floor, mean, std = np.full(channels, -np.inf), np.zeros(channels), np.ones(channels)
    subject_mean, subject_std = np.zeros((subjects, channels)), np.ones((subjects, channels))
    for channel in range(channels):
        column = values[:, channel].astype(np.float64)
        if channel in log:
            # A small positive value; 1 where there is none, so that the logarithm is constant.
            positive = column[(training > 0) & (column > 0)]
            floor[channel] = np.quantile(positive, _FLOOR_QUANTILE) if len(positive) else 1.0
        column = _logarithm(column, floor[channel])
        if method == "subject":
            subject_mean[:, channel], subject_std[:, channel] = _moments(column, subject, everywhere, subjects)
            column = (column - subject_mean[subject, channel]) / subject_std[subject, channel]
        [channel_mean], [channel_std] = _moments(column, np.zeros_like(subject), training, 1)
        if method != "none" or np.isnan(channel_mean):
            mean[channel], std[channel] = channel_mean, channel_std
    clip = np.inf if method == "none" else CLIP
    if method != "subject":
        return Normalizer(floor, None, None, mean, std, clip)
    return Normalizer(floor, subject_mean, subject_std, mean, std, clip)


def _logarithm(values: NDArray, floor: NDArray | float) -> NDArray:
    """The logarithm of what has a finite `floor`, other values as they are; in double precision."""
    logarithmic = np.isfinite(floor)
    safe = np.where(logarithmic, floor, 1.0)
    return np.where(logarithmic, np.log(np.maximum(values, safe, dtype=np.float64)), values)


def _moments(column: NDArray, part: NDArray, weights: NDArray, parts: int) -> tuple[NDArray, NDArray]:
    """Weighted mean and standard deviation [parts] of what is observed; nan where nothing is, 1 for a std of 0."""
    used = np.isfinite(column) & (weights > 0)
    x, part, w = column[used], part[used], weights[used].astype(np.float64)
    with np.errstate(invalid="ignore"):
        total = np.bincount(part, w, parts)
        mean = np.bincount(part, w * x, parts) / total
        std = np.sqrt(np.bincount(part, w * (x - mean[part]) ** 2, parts) / total)
    flat = std <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
    return mean, np.where(flat, 1.0, std)
