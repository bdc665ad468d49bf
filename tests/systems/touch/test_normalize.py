"""Statistics of the training windows against NumPy, and what they make of other windows."""

import numpy as np
import pytest

from hallmark.systems.touch.normalize import fit_normalizer
from hallmark.systems.touch.windows import coverage, cut

SIZE = 4
OFFSETS = np.array([0, 2, 4, 8, 12, 16, 20])
TRAIN = np.array([0, 1, 2, 4])
SUBJECT = np.repeat([0, 1, 2], 8)


def values(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.lognormal(1, 1, (24, 2)) + 10 * SUBJECT[:, None]
    values[rng.random(values.shape) < 0.2] = np.nan
    return values


def fit(table, method="channel", log=()):
    training = coverage(OFFSETS[TRAIN], SIZE, 24)
    return fit_normalizer(table, SUBJECT, training, coverage(OFFSETS, SIZE, 24), method=method, log=log)


def test_channel_statistics_are_those_of_the_training_windows():
    table = values()
    fitted, windows = fit(table), cut(table, OFFSETS[TRAIN], SIZE)
    assert np.allclose(fitted.mean, np.nanmean(windows, axis=(0, 2)))
    assert np.allclose(fitted.std, np.nanstd(windows, axis=(0, 2)))
    signals, observed = fitted(windows, SUBJECT[OFFSETS[TRAIN]])
    assert signals.dtype == observed.dtype == np.float32
    assert (observed == np.isfinite(windows)).all()
    assert (signals[observed == 0] == 0).all()
    for channel in range(2):
        seen = signals[:, channel][observed[:, channel] == 1]
        assert np.allclose([seen.mean(), seen.std()], [0, 1], atol=1e-5)


def test_subjects_are_freed_of_their_own_level_and_gain():
    table = values()
    shifted = table * np.array([1.0, 3.0, 7.0])[SUBJECT][:, None] + np.array([0.0, -5.0, 100.0])[SUBJECT][:, None]
    windows, of = cut(table, OFFSETS, SIZE), SUBJECT[OFFSETS]
    moved = cut(shifted, OFFSETS, SIZE)
    first, second = fit(table, "subject")(windows, of)[0], fit(shifted, "subject")(moved, of)[0]
    assert np.allclose(first, second, atol=1e-4)
    assert not np.allclose(fit(table)(windows, of)[0], fit(shifted)(moved, of)[0], atol=1e-2)


def test_none_leaves_values_as_they_are():
    table = values() * 100
    windows = cut(table, OFFSETS, SIZE)
    assert np.allclose(fit(table, "none")(windows, SUBJECT[OFFSETS])[0], np.nan_to_num(windows))


def test_the_logarithm_of_heavy_tails():
    table = values()
    logged = np.log(table)
    by_log = fit(table, log=[1])
    plain = fit(np.column_stack([table[:, 0], logged[:, 1]]))
    assert np.allclose(by_log.mean, plain.mean, atol=0.05)
    assert by_log.floor[0] == -np.inf
    training = table[coverage(OFFSETS[TRAIN], SIZE, 24) > 0, 1]
    assert by_log.floor[1] == pytest.approx(np.nanquantile(training, 0.01))
    low, _ = by_log(np.array([[[1.0, 1.0], [-3.0, 0.0]]]), np.array([0]))
    assert np.isfinite(low).all()
    assert low[0, 1, 0] == low[0, 1, 1]


def test_outliers_are_clipped_and_flat_channels_are_not_blown_up():
    table = values()
    table[:, 1] = 5.0
    fitted = fit(table)
    assert fitted.std[1] == 1
    extreme = np.array([[[1e9, -1e9], [5.0, 5.0]]])
    assert fitted(extreme, np.array([0]))[0].tolist() == [[[10, -10], [0, 0]]]


@pytest.mark.parametrize("method", ["channel", "subject", "none"])
def test_a_channel_that_training_never_shows_counts_as_not_observed(method):
    table = values()
    table[:, 1] = np.nan
    table[20:, 1] = 1.0
    fitted = fit(table, method, log=[1])
    signals, observed = fitted(cut(table, OFFSETS, SIZE), SUBJECT[OFFSETS])
    assert (observed[:, 1] == 0).all()
    assert (signals[:, 1] == 0).all()
    assert observed[:, 0].any()


@pytest.mark.parametrize("method", ["channel", "subject"])
def test_nothing_outside_of_the_training_subjects_is_fitted(method):
    table, changed = values(), values()
    changed[16:] = 1000 * changed[16:] + 7  # subject 2 trains in no window
    first, second = fit(table, method, log=[0]), fit(changed, method, log=[0])
    assert np.array_equal(first.mean, second.mean)
    assert np.array_equal(first.std, second.std)
    assert np.array_equal(first.floor, second.floor)
    windows = cut(table, OFFSETS[TRAIN], SIZE)
    assert np.array_equal(first(windows, SUBJECT[OFFSETS[TRAIN]])[0], second(windows, SUBJECT[OFFSETS[TRAIN]])[0])
