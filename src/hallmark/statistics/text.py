"""The text of a number: one form, wherever it is printed.

Fractions have three digits. What is undefined is a dash, and a value without an interval stands alone.
"""

import math
from collections.abc import Iterable

from hallmark.statistics.interval import MIN_GROUPS, Interval
from hallmark.wording import NOTHING

NO_INTERVAL = (
    f"A value without interval: fewer than {MIN_GROUPS} groups, groups of which too few define it, or a distance that "
    "is the same without any of them, say too little about its spread."
)
_LEAST_P = 1e-4  # of tests without permutations: smaller ones say no more to a reader


def number_text(value: float | None, digits: int = 3) -> str:
    """`0.712`."""
    return NOTHING if value is None or math.isnan(value) else f"{value:z.{digits}f}"


def interval_text(interval: Interval) -> str:
    """A value with its interval: `0.712 [0.689, 0.734]`."""
    return with_ends(interval.estimate, interval.low, interval.high)


def difference_text(interval: Interval) -> str:
    """A difference with its interval, signs written out: `+0.012 [-0.004, +0.030]`."""
    return with_ends(interval.estimate, interval.low, interval.high, sign="+")


def with_ends(value: float, low: float, high: float, *, sign: str = "", digits: int = 3) -> str:
    """A value and the ends of its interval; `sign="+"` writes every sign out."""
    if math.isnan(value):
        return NOTHING
    form = f"{sign}z.{digits}f"
    return f"{value:{form}}" if math.isnan(low) else f"{value:{form}} [{low:{form}}, {high:{form}}]"


def no_interval_note(intervals: Iterable[Interval]) -> str:
    """The sentence below a table in which a value stands alone; empty where none does."""
    alone = any(math.isnan(interval.low) and not math.isnan(interval.estimate) for interval in intervals)
    return NO_INTERVAL if alone else ""


def p_text(p_value: float, floor: float = 0.0) -> str:
    """`0.012`, or `< 0.0005` at the least p that a test can give.

    Args:
        floor: that least p: 1 / (m + 1) of m permutations.
    """
    if math.isnan(p_value):
        return NOTHING
    if p_value <= floor * (1 + 1e-9):
        if p_value >= 1:
            return "1.000"
        # Two significant digits, rounded up, so that less than the text is never said of more.
        exponent = math.floor(math.log10(p_value)) - 1
        bound = math.ceil(p_value / 10.0**exponent - 1e-6) * 10.0**exponent
        return f"< {bound:.{-exponent}f}".rstrip("0")
    if p_value < _LEAST_P and not floor:
        return f"< {_LEAST_P:.4f}"
    digits = 3 if p_value >= 0.001 else max(4, -math.floor(math.log10(p_value)))
    return f"{p_value:.{digits}f}"


def p_texts(p_value: float, p_holm: float | None, floor: float) -> tuple[str, str]:
    """`p_text` of a p and of the same after Holm, which is at its floor where the former is; a dash for None."""
    at_floor = p_value <= floor * (1 + 1e-9)
    adjusted = math.nan if p_holm is None else p_holm
    return p_text(p_value, floor), p_text(adjusted, adjusted if at_floor else floor / 2)


def p_sentence(p_value: float, p_holm: float | None, floor: float) -> str:
    """`p = 0.004 (0.024 after Holm)`, for sentences."""
    if math.isnan(p_value):
        return "p undefined"
    raw, adjusted = p_texts(p_value, p_holm, floor)
    holm = "" if p_holm is None else f" ({adjusted} after Holm)"
    return f"p {raw if raw.startswith('<') else f'= {raw}'}{holm}"
