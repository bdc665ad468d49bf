import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.storage.seeds import fold_in, fold_in_many

places = st.lists(st.integers(0, 2**63 - 1), max_size=5).map(tuple)


@given(places)
def test_a_place_has_one_seed_of_63_bits(path: tuple[int, ...]) -> None:
    assert fold_in(*path) == fold_in(*path)
    assert 0 <= fold_in(*path) < 2**63


@given(st.tuples(places, places).filter(lambda pair: pair[0] != pair[1]))
def test_other_places_have_other_seeds(pair: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    assert fold_in(*pair[0]) != fold_in(*pair[1])


def test_neither_trailing_zeros_nor_wide_numbers_collide() -> None:
    paths = [(1, 2), (1, 2, 0), (1, 2, 0, 0), (2, 1), (2**32,), (0, 1), (1 + 2 * 2**32,), (1, 2 * 2**32), (), (0,)]
    assert len({fold_in(*path) for path in paths}) == len(paths)


@given(st.lists(st.integers(0, 2**256 - 1), max_size=4))
def test_a_seed_is_numpys_of_the_length_and_the_halves(path: list[int]) -> None:
    entropy = [len(path)]
    for number in path:
        entropy += [number >> 32, number & 0xFFFFFFFF]
    words = np.random.SeedSequence(entropy).generate_state(3, np.uint64)
    assert fold_in_many(*path, count=3).tolist() == [int(word) >> 1 for word in words]


def test_members_of_a_place_differ_and_begin_alike() -> None:
    seeds = fold_in_many(7, 3, count=10_000)
    assert seeds.dtype == np.int64 and len(set(seeds.tolist())) == 10_000 and (seeds >= 0).all()
    assert fold_in_many(7, 3, count=5).tolist() == seeds[:5].tolist()
    assert fold_in(7, 3) == seeds[0]


def test_neighbouring_places_are_not_correlated() -> None:
    draws = np.array([np.random.default_rng(fold_in(0, epoch)).random() for epoch in range(2000)])
    assert abs(draws.mean() - 0.5) < 0.03
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.07


def test_another_process_draws_the_same() -> None:
    code = "from hallmark.storage.seeds import fold_in_many; print(fold_in_many(1, 2, 3, count=4).tolist())"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert there.strip() == str(fold_in_many(1, 2, 3, count=4).tolist())


def test_a_negative_number_names_no_place() -> None:
    with pytest.raises(ValueError):
        fold_in(0, -1)
