"""Windows: where they lie, what they cover, what they never cross."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.checks import SettingError
from hallmark.systems.touch.corpus import Cutting, common_rate
from hallmark.systems.touch.windows import coverage, cut, lay_windows, observed_shares

lengths = st.lists(st.integers(0, 60), max_size=8)


@pytest.mark.parametrize(
    ("length", "step", "starts"), [(10, 2, [0, 2, 4, 6]), (10, 3, [0, 3, 6]), (4, 3, [0]), (3, 3, [])]
)
def test_windows_of_four_samples(length, step, starts):
    assert lay_windows(np.zeros(1, int), np.array([length]), 4, step)[0].tolist() == starts


@given(lengths, st.integers(1, 12), st.integers(1, 12))
def test_no_window_leaves_its_stretch_and_each_stretch_is_covered_but_for_less_than_a_step(lengths, size, step):
    step = min(step, size)
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(int)
    offsets, stretch = lay_windows(starts, np.array(lengths, int), size, step)
    assert (offsets >= starts[stretch]).all()
    assert (offsets + size <= starts[stretch] + np.array(lengths, int)[stretch]).all()
    counts = [max(0, (length - size) // step + 1) for length in lengths]
    assert np.bincount(stretch, minlength=len(lengths)).tolist() == counts
    covered = coverage(offsets, size, sum(lengths)) > 0
    for start, length in zip(starts, lengths, strict=True):
        inside = covered[start : start + length]
        if length >= size:
            assert inside[: length - (length - size) % step].all()
            assert (~inside).sum() == (length - size) % step
        else:
            assert not inside.any()


@given(lengths, st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_shares_and_coverage_are_those_of_the_windows_themselves(lengths, size, seed):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((sum(lengths), 3)) < 0.4, np.nan, 1.0)
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(int)
    offsets, _ = lay_windows(starts, np.array(lengths, int), size, size)
    windows = cut(values, offsets, size)
    assert windows.shape == (len(offsets), 3, size)
    assert np.allclose(observed_shares(values, offsets, size), np.isfinite(windows).mean(axis=(1, 2)))
    counted = np.zeros(len(values), int)
    for offset in offsets:
        counted[offset : offset + size] += 1
    assert (coverage(offsets, size, len(values)) == counted).all()


def test_cut_keeps_channels_apart():
    values = np.array([[0, 10], [1, 11], [2, 12], [3, 13]])
    assert cut(values, np.array([1, 2]), 2).tolist() == [[[1, 2], [11, 12]], [[2, 3], [12, 13]]]


def test_seconds_become_samples():
    assert Cutting(30.0, 15.0, 0.5).samples(4.0) == (120, 60)
    assert Cutting(1.0, 0.0, 0.5).samples(63.9) == (64, 64)


@pytest.mark.parametrize(
    ("cutting", "key"),
    [((0.0, 0.0, 0.5), "window"), ((2.0, 2.0, 0.5), "overlap"), ((2.0, -1.0, 0.5), "overlap"),
     ((2.0, 1.0, 0.0), "min_observed"), ((2.0, 1.0, 1.5), "min_observed")],
)  # fmt: skip
def test_nonsense_names_its_key(cutting, key):
    with pytest.raises(SettingError) as caught:
        Cutting(*cutting)
    assert caught.value.key == key


def test_windows_too_short_for_the_rate_are_refused():
    with pytest.raises(SettingError, match=r"window=0\.2: expected two samples or more; the signals have 4 Hz"):
        Cutting(0.2, 0.0, 0.5).samples(4.0)
    with pytest.raises(SettingError, match=r"overlap=1\.95: expected a sample or more below data.window"):
        Cutting(2.0, 1.95, 0.5).samples(4.0)


def test_the_rate_of_most():
    assert common_rate([]) == 0
    assert common_rate([16.0, 4.0, 4.01, 3.99, 8.0]) == 4.0
