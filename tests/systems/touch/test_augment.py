"""Views of windows for training and for robustness: seeded, bounded, the same operations."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.checks import SettingError
from hallmark.systems.touch.augment import PERTURBATIONS, SignalAugment, cropped, noisy, scaled, with_lost_channels

seeds = st.integers(0, 2**62)


def window(seed: int = 0, channels: int = 6, time: int = 64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    observed = (rng.random((channels, time)) > 0.2).astype(np.float32)
    return rng.normal(size=(channels, time)).astype(np.float32) * observed, observed


FULL = SignalAugment(crop=0.6, scale=0.3, noise=0.1, channel_drop=0.2)


@given(seeds)
def test_a_view_is_of_its_seed_and_leaves_the_window_alone(seed):
    before, copy = window(), window()
    first, second = FULL(before, seed), FULL(before, seed)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(before, copy, strict=True))
    assert [part.dtype for part in first] == [np.float32, np.float32]
    assert [part.shape for part in first] == [(6, 64), (6, 64)]


@given(seeds)
def test_nothing_is_seen_that_was_not_and_the_unseen_is_zero(seed):
    before = window(seed % 7)
    signals, observed = FULL(before, seed)
    assert (observed <= before[1]).all()
    assert set(np.unique(observed)) <= {0, 1}
    assert (signals[observed == 0] == 0).all()


def test_views_differ_by_seed_and_nothing_is_changed_by_nothing():
    before = window()
    assert len({FULL(before, seed)[0].tobytes() for seed in range(20)}) == 20
    same = SignalAugment(1, 0, 0, 0)(before, 3)
    assert all(a is b for a, b in zip(before, same, strict=True))


@given(st.floats(0.05, 1), seeds)
def test_a_crop_leaves_one_span_of_its_share(share, seed):
    full = (np.ones((2, 50), np.float32), np.ones((2, 50), np.float32))
    _, observed = cropped(full, share, np.random.default_rng(seed))
    seen = np.flatnonzero(observed[0])
    assert len(seen) == max(1, round(50 * share)) == seen[-1] - seen[0] + 1
    assert (observed[0] == observed[1]).all()


@given(st.floats(1, 4), seeds)
def test_gains_are_by_channel_and_bounded(most, seed):
    before = window()
    signals, observed = scaled(before, most, np.random.default_rng(seed))
    assert np.array_equal(observed, before[1])
    seen = before[0] != 0
    gains = [set(np.round(s[k] / b[k], 4)) for s, b, k in zip(signals, before[0], seen, strict=True)]
    assert all(max(g) - min(g) < 2e-3 for g in gains)
    assert all(1 / most - 1e-3 <= min(g) and max(g) <= most + 1e-3 for g in gains)


def test_noise_has_its_strength_and_is_only_on_what_was_observed():
    before = window(channels=6, time=4000)
    signals, observed = noisy(before, 0.5, np.random.default_rng(0))
    added = (signals - before[0])[observed == 1]
    assert abs(added.std() - 0.5) < 0.01
    assert (signals[observed == 0] == 0).all()


@given(st.floats(0, 0.99), seeds)
def test_whole_channels_are_lost_and_never_all(probability, seed):
    before = window()
    _, observed = with_lost_channels(before, probability, np.random.default_rng(seed))
    lost = ~observed.any(axis=1)
    assert not lost.all()
    assert np.array_equal(observed[~lost], before[1][~lost])


def test_about_as_many_channels_are_lost_as_said():
    full = (np.ones((6, 4), np.float32), np.ones((6, 4), np.float32))
    lost = [(~with_lost_channels(full, 0.3, np.random.default_rng(s))[1].any(axis=1)).sum() for s in range(2000)]
    assert abs(np.mean(lost) - 5 * 0.3) < 0.1  # one of six is always kept


@pytest.mark.parametrize(
    ("arguments", "key"),
    [((0, 0, 0, 0), "crop"), ((1.1, 0, 0, 0), "crop"), ((1, -1, 0, 0), "scale"), ((1, 0, -1, 0), "noise"),
     ((1, 0, 0, 1), "channel_drop")],
)  # fmt: skip
def test_nonsense_names_its_key(arguments, key):
    with pytest.raises(SettingError) as caught:
        SignalAugment(*arguments)
    assert caught.value.key == key


@pytest.mark.parametrize("name", ["crop", "scale", "noise", "channel_drop"])
def test_perturbations_grow_with_strength_and_travel_to_worker_processes(name):
    perturbation, before = PERTURBATIONS[name], window()
    assert perturbation.name == name
    changes = []
    for strength in range(1, 6):
        view = perturbation.at(strength)
        views = [view(before, seed) for seed in range(200)]
        assert np.array_equal(pickle.loads(pickle.dumps(view))(before, 5)[0], views[5][0])
        changes.append(np.mean([np.abs(signals - before[0]).mean() for signals, _ in views]))
    assert changes[0] > 0
    assert changes == sorted(changes)
    for strength in (0, 6):
        with pytest.raises(SettingError, match="expected 1 to 5"):
            perturbation.at(strength)


def test_a_perturbation_is_the_operation_of_the_augmentation():
    before = window()
    perturbed = PERTURBATIONS["noise"].at(3)(before, 11)
    assert np.array_equal(perturbed[0], noisy(before, 0.2, np.random.default_rng(11))[0])
    assert np.array_equal(perturbed[0], SignalAugment(1, 0, 0.2, 0)(before, 11)[0])


@given(seeds)
def test_a_stronger_perturbation_goes_further_the_same_way(seed):
    before = window()
    for name in ("crop", "channel_drop"):
        seen = [PERTURBATIONS[name].at(strength)(before, seed)[1] for strength in (1, 3, 5)]
        assert all((later <= earlier).all() for earlier, later in pairwise(seen))
    noise = [PERTURBATIONS["noise"].at(strength)(before, seed)[0] - before[0] for strength in (1, 5)]
    assert np.allclose(16 * noise[0], noise[1], atol=1e-4)
