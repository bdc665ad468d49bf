"""The score of a video from those of its frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.checks import SettingError
from hallmark.systems.deepfake.pooling import check_pooling, pool

POOLINGS = ("mean", "top_1_mean", "top_3_mean", "confident_mean")


def of_one(frames: list[float], pooling: str) -> float:
    (score,) = pool(np.array(frames), np.zeros(len(frames), dtype=int), 1, pooling)
    return float(score)


def published(frames: list[float]) -> float:
    """The rule as its author states it for one video."""
    scores, n = np.array(frames), len(frames)
    n_fake = np.count_nonzero(scores > 0.8)
    if n_fake > n // 2.5 and n_fake > 11:
        return float(scores[scores > 0.8].mean())
    if np.count_nonzero(scores < 0.2) > 0.9 * n:
        return float(scores[scores < 0.2].mean())
    return float(scores.mean())


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("mean", 0.475), ("top_1_mean", 0.9), ("top_2_mean", 0.75), ("top_9_mean", 0.475), ("confident_mean", 0.475)],
)
def test_of_four_frames(pooling, expected) -> None:
    assert of_one([0.1, 0.9, 0.3, 0.6], pooling) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([0.9] * 12 + [0.1] * 16, 0.9),  # 12 of 28 are 43 %
        ([0.9] * 12 + [0.1] * 18, 0.42),  # 12 of 30 are 40 %, and no more
        ([0.9] * 11, 0.9),
        ([0.9] * 11 + [0.5], 0.52 / 0.6),
        ([0.1] * 19 + [0.9], 0.1),  # 95 % are low
        ([0.1] * 18 + [0.9] * 2, 0.18),  # 90 %, and no more
    ],
)
def test_confident_mean(frames, expected) -> None:
    assert of_one(frames, "confident_mean") == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_confident_mean_is_the_published_rule(frames) -> None:
    assert of_one(frames, "confident_mean") == pytest.approx(published(frames))


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), min_size=1), st.sampled_from(POOLINGS))
def test_videos_do_not_see_each_other_and_frames_have_no_order(rows, pooling) -> None:
    names, video = np.unique([video for video, _ in rows], return_inverse=True)
    scores = np.array([score for _, score in rows])
    pooled = pool(scores, video, len(names), pooling)
    alone = [of_one(sorted(scores[video == number]), pooling) for number in range(len(names))]
    np.testing.assert_allclose(pooled, alone, atol=1e-12)
    assert all(scores[video == v].min() - 1e-12 <= p <= scores[video == v].max() + 1e-12 for v, p in enumerate(pooled))


@pytest.mark.parametrize("pooling", ["median", "top_0_mean", "top_mean", "top_2", ""])
def test_an_unknown_pooling_names_its_key(pooling) -> None:
    with pytest.raises(SettingError) as caught:
        check_pooling("pooling", pooling)
    assert caught.value.key == "pooling"
    for known in POOLINGS:
        check_pooling("pooling", known)
