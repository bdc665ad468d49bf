"""What is said of a new video: an interval of its score over its frames, and what the thresholds promise.

N frames of V videos. A video is named by its number in 0 .. V − 1.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from hallmark.runs.metrics import MAIN
from hallmark.statistics.resampling import Resampling
from hallmark.systems.deepfake.decisions import FILTER, STACK, UNDECIDED, Thresholds
from hallmark.systems.deepfake.pooling import pool
from hallmark.systems.deepfake.tables import FAKE, VIDEO

FrameScores = Callable[[NDArray, NDArray, int], NDArray]
"""P(fake) [R] of videos from the positions of their frames in 0 .. N − 1, each position's video in 0 .. R − 1 and R."""


def frame_intervals(video: NDArray, n_videos: int, scores: FrameScores, resampling: Resampling) -> NDArray:
    """Ends of an interval of each video's P(fake), [V, 2]; nan for a video of one frame.

    A bootstrap over the frames of the video (percentiles), so it says how much these differ, and nothing of other
    models or other videos. The same frames are drawn of a video whatever stands beside it.

    Args:
        video: of each frame, [N].
        scores: asked for all resamples of a video at once.
    """
    tails, n_resamples = (1 - resampling.confidence_level) / 2, resampling.n_resamples
    ends = np.full((n_videos, 2), np.nan)
    by_video = np.split(np.argsort(video, kind="stable"), np.bincount(video, minlength=n_videos).cumsum()[:-1])
    for number, frames in enumerate(by_video):
        if (n := len(frames)) > 1:
            drawn = np.random.default_rng(resampling.seed).integers(n, size=(n_resamples, n))
            fake = scores(frames[drawn.ravel()], np.repeat(np.arange(n_resamples), n), n_resamples)
            ends[number] = np.quantile(fake, [tails, 1 - tails])
    return ends


def video_answers(table: pd.DataFrame, scores: FrameScores, resampling: Resampling) -> pd.DataFrame:
    """The videos of a detector's table, with the ends of `frame_intervals` in `info_low` and `info_high`.

    Args:
        scores: of the table's rows of the task `main`.
    """
    videos = table[table["task"] == VIDEO]
    number = pd.Index(videos["id"]).get_indexer(table.loc[table["task"] == MAIN, "info_video"])
    ends = frame_intervals(number, len(videos), scores, resampling)
    answers = videos.drop(columns="info_video").assign(
        info_frames=videos["info_frames"].astype(int), info_low=ends[:, 0], info_high=ends[:, 1]
    )
    answers.attrs = table.attrs
    return answers


def pooled_answers(table: pd.DataFrame, pooling: str, resampling: Resampling) -> pd.DataFrame:
    """`video_answers` of a detector that pools the scores of frames."""
    fake = np.array(table.loc[table["task"] == MAIN, "probabilities"].tolist())[:, FAKE]
    return video_answers(table, lambda frames, codes, n: pool(fake[frames], codes, n, pooling), resampling)


def reasons(decided_by: NDArray, verdict: NDArray, scores: NDArray, thresholds: Thresholds) -> list[str]:
    """A sentence for each video of a cascade: why its verdict is what it is.

    Args:
        decided_by: `filter` or `stack`, [V].
        verdict: `real`, `fake` or `undecided`, [V].
        scores: P(fake) by the part that decides, [V], before calibration, as thresholds are.
    """
    return [
        _reason(*each, thresholds) for each in zip(decided_by.tolist(), verdict.tolist(), scores.tolist(), strict=True)
    ]


def _reason(decided_by: str, verdict: str, score: float, thresholds: Thresholds) -> str:
    if verdict == UNDECIDED:
        text, low, high = _told_apart(score, expit(thresholds.real), expit(thresholds.fake))
        return f"the stack's score, before calibration {text}, lies between {low} and {high}, where no promise holds"
    name = {
        (FILTER, "real"): "clear", (FILTER, "fake"): "early_fake", (STACK, "fake"): "fake", (STACK, "real"): "real"
    }[decided_by, verdict]  # fmt: skip
    promise = thresholds.guarantees[name]
    text, threshold = _told_apart(score, expit(getattr(thresholds, name)))
    side, wrong = ("below", "fake") if verdict == "real" else ("above", "real")
    return (
        f"the {decided_by}'s score, before calibration {text}, is {side} {threshold}: at most {promise['rate']:.0%} of "
        f"all {wrong} videos are, with a confidence of {1 - promise['risk']:.0%} (from {promise['n']} videos)"
    )


def _told_apart(*values: float) -> list[str]:
    """`values` with as many digits as tell different ones apart, three at least."""
    for digits in range(3, 18):
        texts = [f"{value:.{digits}f}" for value in values]
        if len(set(texts)) == len(set(values)):
            break
    return texts
