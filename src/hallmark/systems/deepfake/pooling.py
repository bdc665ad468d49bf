"""From the scores of frames to that of their video."""

import re

import numpy as np
from numpy.typing import NDArray

from hallmark.checks import require

_HIGH, _LOW = 0.8, 0.2
_LEAST_HIGH = 11  # frames, more than which must be high


def check_pooling(key: str, pooling: str) -> None:
    """Raise `SettingError` for `key` unless `pool` knows the pooling."""
    known = pooling in ("mean", "confident_mean") or re.fullmatch(r"top_[1-9]\d*_mean", pooling)
    require(bool(known), key, pooling, "mean, confident_mean, or the mean of the k highest frames, such as top_2_mean")


def pool(scores: NDArray, video: NDArray, n_videos: int, pooling: str) -> NDArray:
    """P(fake) of each video, [V], from that of its frames.

    Args:
        scores: P(fake) of the frames, [N].
        video: index of each frame's video in 0 .. V - 1, [N]; every video has a frame.
        pooling: `mean`; `top_<k>_mean`, of the k highest frames, or of all where there are fewer; or `confident_mean`,
            that of the winner of the Deepfake Detection Challenge (Seferbekov 2020): the mean of the frames above 0.8
            where these are more than 40 % and more than 11, else of those below 0.2 where they are more than 90 %,
            else of all. With fewer than 12 frames a video its first rule never applies.
    """
    mean = _mean_of(np.ones(len(scores), dtype=bool), scores, video, n_videos)
    if pooling == "mean":
        return mean
    if pooling != "confident_mean":
        order = np.lexsort((-scores, video))
        starts = np.searchsorted(video[order], np.arange(n_videos))
        rank = np.empty(len(scores), dtype=np.intp)
        rank[order] = np.arange(len(scores)) - starts[video[order]]
        return _mean_of(rank < int(pooling.split("_")[1]), scores, video, n_videos)
    high, low = scores > _HIGH, scores < _LOW
    n, n_high, n_low = (np.bincount(video[frames], minlength=n_videos) for frames in (slice(None), high, low))
    fake, real = (n_high > 0.4 * n) & (n_high > _LEAST_HIGH), n_low > 0.9 * n
    of_low = np.where(real, _mean_of(low, scores, video, n_videos), mean)
    return np.where(fake, _mean_of(high, scores, video, n_videos), of_low)


def _mean_of(taken: NDArray, scores: NDArray, video: NDArray, n_videos: int) -> NDArray:
    """The mean of the frames that are taken, by video; of a video without any it is 0."""
    sums = np.bincount(video[taken], weights=scores[taken], minlength=n_videos)
    means: NDArray = sums / np.maximum(np.bincount(video[taken], minlength=n_videos), 1)
    return means
