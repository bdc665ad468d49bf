import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hallmark.systems.refseg.ranker.position import position_bias, position_terms

# Top left and small, bottom right and large, the centre.
PLACES = np.array(
    [[0.0, 0.0, 0.2, 0.4, 0.02], [0.6, 0.5, 1.0, 1.0, 0.2], [0.4, 0.45, 0.6, 0.55, 0.02]], np.float32
)  # fmt: skip


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("left man", ["left"]),
        ("The LEFTMOST zebra, please", ["left"]),
        ("left-most zebra", ["left"]),
        ("guy on the far right", ["right"]),
        ("top left", ["top", "left"]),
        ("bottom-right corner", ["bottom", "right"]),
        ("upper bunk", ["top"]),
        ("lower pizza", ["bottom"]),
        ("the middle one", ["middle"]),
        ("person in the centre", ["middle"]),
        ("center giraffe", ["middle"]),
        ("slice of pizza on the left", ["left"]),
        ("man with a hat on the left", ["left"]),
        ("biggest bear", ["large"]),
        ("little girl on the right", ["small", "right"]),
        ("largest largest", ["large"]),
        # Turned to another object.
        ("left of the right car", ["left"]),
        ("square to the left of the small red circle", ["left"]),
        ("dog next to the left car", []),
        ("man behind the big bear on top", []),
        ("above the bottom shelf", ["top"]),
        ("cat under the top bunk", []),
        ("second from the left", []),
        ("nearest cup to the left one", []),
        ("man with the big hat", []),
        ("man holding a small dog", []),
        ("right behind the car", []),
        ("the man right next to her", []),
        # Words that only contain one.
        ("leftover cake", []),
        ("stopped bus", []),
        ("a bright shirt", []),
        ("", []),
    ],
)
def test_what_a_query_says_of_places(query, terms):
    assert position_terms(query) == terms


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("left", [0.8, -0.6, 0.0]),
        ("right", [-0.8, 0.6, 0.0]),
        ("top", [0.6, -0.5, 0.0]),
        ("bottom", [-0.6, 0.5, 0.0]),
        ("top left", [0.7, -0.55, 0.0]),
        ("middle", [1 - 2 * np.hypot(0.4, 0.3) / np.sqrt(0.5), 1 - 2 * np.hypot(0.3, 0.25) / np.sqrt(0.5), 1.0]),
        ("largest", [-0.5, 1.0, -0.5]),
        ("small", [0.5, -1.0, 0.5]),
        ("big one on the left", [0.15, 0.2, -0.25]),
        ("the dog", [0.0, 0.0, 0.0]),
        ("left or right", [0.0, 0.0, 0.0]),
    ],
)
def test_bias_by_value(query, expected):
    bias = position_bias(query, PLACES)
    assert bias.dtype == np.float64
    assert bias == pytest.approx(expected, abs=1e-6)


def test_one_region_is_neither_large_nor_small():
    assert position_bias("biggest", PLACES[:1]).tolist() == [0.0]
    assert position_bias("left", PLACES[:0]).shape == (0,)


@given(
    corners=hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.just(4)), elements=st.floats(0, 1, width=32)),
    query=st.sampled_from(["left", "top right", "middle", "biggest", "small in the centre", "cat"]),
    data=st.data(),
)
def test_within_bounds_and_blind_to_the_order(corners, query, data):
    low, high = np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])
    places = np.concatenate([low, high, (high - low).prod(1, keepdims=True)], 1)
    bias = position_bias(query, places)
    assert (np.abs(bias) <= 1 + 1e-6).all()
    order = data.draw(st.permutations(range(len(places))))
    assert position_bias(query, places[order]) == pytest.approx(bias[order])
