"""The space: what it may hold, its combinations, its ends, its narrowed ranges."""

import math
import re

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hallmark.engine.search.space import Space

NAMES = ["model.lr", "model.dropout", "model.layers", "data.batch_size"]


def space(**raw) -> Space:
    return Space.of(OmegaConf.create({f"model.{name}": value for name, value in raw.items()}), NAMES)


def test_a_grid_is_the_product_with_the_last_key_fastest():
    points = space(lr=[0.1, 0.2], layers=[1, None, "all"]).grid()
    expected = [(0.1, 1), (0.1, None), (0.1, "all"), (0.2, 1), (0.2, None), (0.2, "all")]
    assert [(point["model.lr"], point["model.layers"]) for point in points] == expected
    assert all(list(point) == ["model.lr", "model.layers"] for point in points)


def test_the_corners_hold_every_value_and_both_ends():
    corners = space(lr={"low": 0.1, "high": 0.2}, layers=[1, 2, 3]).corners()
    assert {point["model.lr"] for point in corners} == {0.1, 0.2}
    assert {point["model.layers"] for point in corners} == {1, 2, 3}


@pytest.mark.parametrize(
    ("value", "kind", "fields"),
    [
        ({"low": 1, "high": 9}, int, (1, 9, False, 1)),
        ({"low": 1, "high": 9, "step": 2}, int, (1, 9, False, 2)),
        ({"low": 1, "high": 9, "log": True}, int, (1, 9, True, 1)),
        ({"low": 1.0, "high": 9}, float, (1.0, 9.0, False, None)),
        ({"low": 1e-5, "high": 1e-2, "log": True}, float, (1e-5, 1e-2, True, None)),
        ({"low": 0, "high": 1, "step": 0.25}, float, (0.0, 1.0, False, 0.25)),
    ],
)
def test_a_range_of_whole_numbers_is_whole_and_any_other_is_not(value, kind, fields):
    distribution = space(lr=value).distributions["model.lr"]
    kinds = {int: optuna.distributions.IntDistribution, float: optuna.distributions.FloatDistribution}
    assert type(distribution) is kinds[kind]
    assert (distribution.low, distribution.high, distribution.log, distribution.step) == fields


@pytest.mark.parametrize(
    "value",
    [
        "1",
        [],
        [[1, 2]],
        [{"low": 1}],
        {"low": 1},
        {"high": 1},
        {"low": 2, "high": 1},
        {"low": 1, "high": 1},
        {"low": "a", "high": "b"},
        {"low": 0.1, "high": float("inf")},
        {"low": 0.1, "high": 1.0, "steps": 0.1},
        {"low": 0.1, "high": 1.0, "step": 0.1, "log": True},
        {"low": 0.1, "high": 1.0, "step": "a"},
        {"low": 0.1, "high": 1.0, "step": -0.1},
        {"low": 1, "high": 9, "step": 0},
        {"low": 0.0, "high": 1.0, "log": True},
        {"low": 0.1, "high": 1.0, "log": "yes"},
    ],
    ids=str,
)
def test_what_is_neither_values_nor_a_range_is_refused_by_its_key(value):
    with pytest.raises(ValueError, match=r"^sweep\.space\.model\.lr=.*: expected "):
        space(lr=value)


def test_a_key_that_the_preset_lacks_is_refused_with_the_near_one():
    with pytest.raises(ValueError, match=re.escape("sweep.space.model.dropuot=[0.1]: expected a key of this preset")):
        space(dropuot=[0.1])
    with pytest.raises(ValueError, match=r"did you mean model\.dropout\?"):
        space(dropuot=[0.1])


def test_a_grid_needs_values_and_a_key():
    with pytest.raises(ValueError, match=r"sweep\.space\.model\.lr=.*: expected a list of values for a grid"):
        space(layers=[1], lr={"low": 0.1, "high": 0.2}).grid()
    with pytest.raises(ValueError, match=r"sweep\.space=\{\}: expected lists of values"):
        space().grid()


NARROWED = {
    "linear": ({"low": 0.0, "high": 8.0}, 4.0, 0.25, (3.0, 5.0)),
    "cut at an end": ({"low": 0.0, "high": 8.0}, 7.5, 0.25, (6.5, 8.0)),
    "of the logarithm": ({"low": 1e-4, "high": 1.0, "log": True}, 1e-2, 0.5, (1e-3, 1e-1)),
    "whole": ({"low": 0, "high": 40}, 20, 0.25, (15, 25)),
    "widened to whole numbers": ({"low": 0, "high": 10}, 5, 0.25, (3, 7)),
    "whole, of the logarithm": ({"low": 1, "high": 256, "log": True}, 16, 0.5, (4, 64)),
    "on steps": ({"low": 0.0, "high": 1.0, "step": 0.1}, 0.5, 0.4, (0.3, 0.7)),
    "widened to steps": ({"low": 0.0, "high": 1.0, "step": 0.1}, 0.5, 0.3, (0.3, 0.7)),
    "on steps that do not begin at zero": ({"low": 3, "high": 43, "step": 5}, 23, 0.25, (18, 28)),
    "on steps at an end": ({"low": 8, "high": 64, "step": 8}, 64, 0.25, (56, 64)),
}  # fmt: skip


@pytest.mark.parametrize(("value", "best", "share", "expected"), NARROWED.values(), ids=NARROWED)
def test_ranges_narrow_around_the_best(value, best, share, expected):
    narrowed = space(lr=value).around({"model.lr": best}, share).distributions["model.lr"]
    assert (narrowed.low, narrowed.high) == pytest.approx(expected)
    wide = space(lr=value).distributions["model.lr"]
    assert (narrowed.log, narrowed.step, type(narrowed)) == (wide.log, wide.step, type(wide))


def test_listed_values_stay_at_the_best():
    around = space(layers=[1, 2, 3], lr={"low": 0.0, "high": 1.0}).around({"model.layers": 2, "model.lr": 0.5}, 0.1)
    assert around.distributions["model.layers"].choices == (2,)


@given(
    low=st.integers(-20, 20), width=st.integers(1, 60), step=st.integers(1, 7), share=st.floats(0.01, 0.99),
    place=st.floats(0, 1), digits=st.sampled_from([0, 1, 2]),
)  # fmt: skip
def test_narrowed_steps_are_those_of_the_whole_range(low, width, step, share, place, digits):
    def number(units: int) -> float | int:
        return round(units / 10**digits, digits) if digits else units

    full_range = space(lr={"low": number(low), "high": number(low + width * step), "step": number(step)})
    at = round(place * width)
    narrowed = full_range.around({"model.lr": number(low + at * step)}, share).distributions["model.lr"]
    steps = [number(low + count * step) for count in range(width + 1)]
    assert narrowed.low in steps[: at + 1] and narrowed.high in steps[at:]
    half = share * width / 2
    assert at - steps.index(narrowed.low) == min(at, math.ceil(half - 1e-6))
    assert steps.index(narrowed.high) - at == min(width - at, math.ceil(half - 1e-6))
