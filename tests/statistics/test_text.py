"""The text of a number."""

import math

import pytest

from hallmark.statistics import Interval
from hallmark.statistics.text import difference_text, interval_text, number_text, p_sentence, p_text, p_texts

NAN = math.nan
FLOOR = 1 / 2001


@pytest.mark.parametrize(
    ("value", "text"), [(0.71249, "0.712"), (1.0, "1.000"), (-0.02, "-0.020"), (NAN, "–"), (None, "–")]
)
def test_a_number_has_three_digits_and_a_dash_where_it_is_undefined(value: float | None, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("ends", "value", "difference"),
    [
        ((0.7124, 0.6888, 0.7341), "0.712 [0.689, 0.734]", "+0.712 [+0.689, +0.734]"),
        ((0.0124, -0.0041, 0.0302), "0.012 [-0.004, 0.030]", "+0.012 [-0.004, +0.030]"),
        ((0.5, NAN, NAN), "0.500", "+0.500"),
        ((NAN, NAN, NAN), "–", "–"),
    ],
)
def test_an_interval_stands_in_brackets(ends: tuple[float, float, float], value: str, difference: str) -> None:
    interval = Interval(*ends, 0.95)
    assert (interval_text(interval), difference_text(interval)) == (value, difference)


@pytest.mark.parametrize(
    ("p_value", "floor", "text"),
    [
        (0.0124, FLOOR, "0.012"),
        (2 * FLOOR, FLOOR, "0.0010"),
        (FLOOR, FLOOR, "< 0.0005"),
        (1 / 201, 1 / 201, "< 0.005"),  # 0.004975
        (1 / 61, 1 / 61, "< 0.017"),  # 0.01639: less than 0.016 would be wrong
        (3e-5, 1e-5, "0.00003"),
        (3e-9, 0.0, "< 0.0001"),
        (1.0, FLOOR, "1.000"),
        (NAN, FLOOR, "–"),
    ],
)
def test_p_at_the_floor_of_its_test_is_less_than_it(p_value: float, floor: float, text: str) -> None:
    assert p_text(p_value, floor) == text


@pytest.mark.parametrize(
    ("p_value", "p_holm", "texts", "sentence"),
    [
        (0.02, 0.06, ("0.020", "0.060"), "p = 0.020 (0.060 after Holm)"),
        (FLOOR, 18 * FLOOR, ("< 0.0005", "< 0.009"), "p < 0.0005 (< 0.009 after Holm)"),
        (FLOOR, 3 * FLOOR, ("< 0.0005", "< 0.0015"), "p < 0.0005 (< 0.0015 after Holm)"),
        (0.5, 1.0, ("0.500", "1.000"), "p = 0.500 (1.000 after Holm)"),
        (0.02, None, ("0.020", "–"), "p = 0.020"),
        (NAN, NAN, ("–", "–"), "p undefined"),
    ],
)
def test_the_p_after_holm_is_at_its_floor_where_p_is(
    p_value: float, p_holm: float | None, texts: tuple[str, str], sentence: str
) -> None:
    assert p_texts(p_value, p_holm, FLOOR) == texts
    assert p_sentence(p_value, p_holm, FLOOR) == sentence
