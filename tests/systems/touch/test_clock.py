"""Rate, gaps and times of recordings whose times are rounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hallmark.systems.touch.clock import Clock, read_clock

RATES = [4.0, 5.0, 8.0, 10.0, 11.0, 12.5, 16.0, 25.0, 32.0, 50.0, 51.2, 60.0, 64.0, 100.0, 128.0, 200.0, 256.0]


def rounded(t: np.ndarray, resolution: float) -> np.ndarray:
    return t if not resolution else np.round(t / resolution) * resolution


def times(clock: Clock, samples: int) -> np.ndarray:
    """When the clock says that each sample was taken."""
    lengths = np.diff([*clock.starts, samples])
    stretch = np.repeat(np.arange(len(lengths)), lengths)
    return clock.seconds[stretch] + (np.arange(samples) - clock.starts[stretch]) / clock.rate


def test_64_hz_rounded_to_hundredths_is_64_hz():
    t = rounded(np.arange(12 * 64) / 64, 0.01)
    for declared in (None, 64.0):
        clock = read_clock(t, declared)
        assert (clock.rate, clock.starts.tolist(), clock.seconds.tolist()) == (64.0, [0], [0.0])
    assert np.median(np.diff(t)) == pytest.approx(1 / 50)  # what single steps say


@settings(max_examples=70)
@given(
    st.sampled_from(RATES), st.sampled_from([1.0, 0.1, 0.01, 0.001, 0.0]), st.floats(20, 60), st.booleans(),
    st.none() | st.floats(2.5, 30), st.sampled_from([0.0, 5.0, 1.7e9]),
)  # fmt: skip
def test_a_rounded_clock_is_read_to_its_rounding(rate, resolution, seconds, declare, gap, origin):
    if not declare and resolution * rate > 1 and not rate.is_integer():
        rate = round(rate)  # rounded to more than a period, only whole rates can be told
    t = np.arange(int(seconds * rate)) / rate
    if gap is not None:
        t = t[(t < 8) | (t > 8 + gap)]
    clock = read_clock(rounded(origin + t, resolution), rate if declare else None)
    assert clock.rate == pytest.approx(rate, rel=1e-6)
    assert len(clock.starts) == (1 if gap is None or not (t > 8).any() else 2)
    assert np.abs(times(clock, len(t)) - t).max() <= max(resolution, 1 / rate) + 1e-6
    assert clock.deviation <= 1 / rate


@given(
    st.sampled_from([4.0, 16.0, 32.0, 64.0]), st.lists(st.integers(30, 90), min_size=1, max_size=4), st.floats(0.6, 9)
)
def test_an_exact_clock_is_read_exactly(rate, lengths, pause):
    numbers = np.arange(sum(lengths))
    t = numbers / rate + np.repeat(np.arange(len(lengths)), lengths) * round(1 + pause) / 4
    clock = read_clock(t, None)
    assert clock.rate == rate
    assert clock.starts.tolist() == [0, *np.cumsum(lengths)[:-1]]
    assert clock.seconds.tolist() == t[clock.starts].tolist()


def test_a_declared_rate_is_taken_only_where_the_times_leave_it_open():
    t = rounded(np.arange(640) / 12.5, 1.0)
    assert read_clock(t, 12.5).rate == 12.5
    assert read_clock(t, 16.0).rate == pytest.approx(12.5, rel=0.01)
    assert read_clock(np.arange(100) / 4, 8.0).rate == 4.0


@pytest.mark.parametrize(
    ("t", "sample"),
    [
        ([0, 1, 2, 2, 3, 4, 5, 6], 4),
        ([0, 1, 2, 1.5, 3], 4),
        ([5, 5, 5], 2),
        ([*range(50), 49, *range(50, 90)], 51),
    ],
)
def test_times_that_stand_still_or_run_back_are_refused(t, sample):
    with pytest.raises(ValueError, match=f"t that rises; sample {sample} does not"):
        read_clock(np.array(t, float), None)


def test_jitter_is_measured_and_does_not_change_the_rate():
    rng = np.random.default_rng(0)
    t = np.arange(400) / 4 + rng.uniform(-0.05, 0.05, 400)
    clock = read_clock(t, None)
    assert (clock.rate, clock.starts.tolist()) == (4.0, [0])
    assert clock.deviation < 0.1
    slow = np.arange(400) / 4 + 0.6 * np.sin(np.arange(400) / 60)  # a clock that runs ahead and falls behind
    assert read_clock(slow, None).deviation > 0.25
