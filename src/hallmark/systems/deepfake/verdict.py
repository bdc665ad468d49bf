"""What is said of a new video: its score with an interval over its frames, and what the thresholds promise."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from hallmark.runs.configuration import default_resampling
from hallmark.runs.metrics import MAIN
from hallmark.systems.deepfake.decisions import FILTER, STACK, UNDECIDED, Thresholds
from hallmark.systems.deepfake.pooling import pool
from hallmark.systems.deepfake.tables import FAKE, VIDEO

VideoScores = Callable[[pd.DataFrame, NDArray, int], NDArray]
"""P(fake) [V] of videos from the rows of their frames, each frame's video (its number in 0 .. V − 1) and V."""


def video_answers(table: pd.DataFrame, scores: VideoScores) -> pd.DataFrame:
    """The videos of a detector's table, with the ends of an interval of P(fake) in `info_low` and `info_high`.

    The interval is a bootstrap over the frames of the video (percentiles; n_resamples and level of the project), so it
    says how much the frames differ, and nothing of other models or other videos. One frame has none.
    """
    resampling = default_resampling()
    tails = (1 - resampling.confidence_level) / 2
    frames, videos = table[table["task"] == MAIN], table[table["task"] == VIDEO]
    ends = np.full((len(videos), 2), np.nan)
    for position, video in enumerate(videos["id"]):
        of_video = frames[frames["info_video"] == video]
        n = len(of_video)
        if n > 1:
            # The same numbers for a video whatever stands beside it.
            drawn = np.random.default_rng(resampling.seed).integers(n, size=(resampling.n_resamples, n))
            resample = np.repeat(np.arange(resampling.n_resamples), n)
            fake = scores(of_video.iloc[drawn.ravel()], resample, resampling.n_resamples)
            ends[position] = np.quantile(fake, [tails, 1 - tails])
    answers = videos.assign(info_frames=videos["info_frames"].astype(int), info_low=ends[:, 0], info_high=ends[:, 1])
    answers.attrs = table.attrs
    return answers


def pooled_answers(table: pd.DataFrame, pooling: str) -> pd.DataFrame:
    """The videos of a detector that pools the scores of frames, as `video_answers`."""

    def scores(frames: pd.DataFrame, codes: NDArray, n_videos: int) -> NDArray:
        return pool(np.array(frames["probabilities"].tolist())[:, FAKE], codes, n_videos, pooling)

    return video_answers(table, scores)


def reasons(videos: pd.DataFrame, thresholds: Thresholds) -> list[str]:
    """A sentence for each video of a cascade's table: why its verdict is what it is."""
    columns = ["info_decided_by", "info_verdict", "info_filter", "info_stack"]
    return [
        _reason(decided_by, verdict, {FILTER: by_filter, STACK: by_stack}[decided_by], thresholds)
        for decided_by, verdict, by_filter, by_stack in videos[columns].itertuples(index=False)
    ]


def _reason(decided_by: str, verdict: str, score: float, thresholds: Thresholds) -> str:
    if verdict == UNDECIDED:
        between = f"{expit(thresholds.real):.3f} and {expit(thresholds.fake):.3f}"
        return f"the stack's {score:.3f} lies between {between}, where no promise holds"
    name = {
        (FILTER, "real"): "clear", (FILTER, "fake"): "early_fake", (STACK, "fake"): "fake", (STACK, "real"): "real"
    }[decided_by, verdict]  # fmt: skip
    promise = thresholds.guarantees[name]
    threshold = expit(getattr(thresholds, name))
    side, wrong = ("below", "fake") if verdict == "real" else ("above", "real")
    return (
        f"the {decided_by}'s {score:.3f} is {side} {threshold:.3f}: at most {promise['rate']:.0%} of all {wrong} "
        f"videos are, with a confidence of {1 - promise['risk']:.0%} (from {promise['n']} videos)"
    )
