"""The clock of a recording from its times: rate and stretches without a gap, whatever the times are rounded to.

A step between two rounded times says little: 64 Hz rounded to 0.01 s has steps of 0.01 and 0.02 s. Over a stretch of n
samples the rounding q leaves the period known to q / (n − 1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_GAP = 1.5  # periods between two samples from which on something is missing between them
_SLACK = 0.5  # periods by which times that are rounded to more than half a period may also jitter
_EXACT = 0.02  # of a period: most steps of a clock that is not rounded are as near to it
_DECIMALS = 7
_BLOCK = 100  # samples within which times have one number of decimals; "%.5g" has fewer from 10 s on
_COARSE = 0.1  # of a period: times rounded to more say less of a sample than the clock does
_TIES = 1.2  # samples a step of the rounding from which on double times are no fault
_NOISE = 1e-9  # share of a step from which on floating point makes one step no measure of the rate
_AHEAD = 4096  # samples looked at for the end of a stretch, before twice as many
_CANDIDATES = 25  # whole rates on either side of the estimate that are tried


@dataclass(frozen=True)
class Clock:
    """When the samples of a recording were taken.

    Attributes:
        rate: in Hz.
        tolerance: share of the rate that rounding leaves open.
        starts: int [stretches], first sample of each stretch without a gap, ascending from 0.
        seconds: [stretches], when each of them starts, from the first sample of the recording.
        deviation: largest distance in seconds of a time from this clock, beyond what rounding explains.
    """

    rate: float
    tolerance: float
    starts: NDArray
    seconds: NDArray
    deviation: float


def read_clock(t: NDArray, declared: float | None) -> Clock:
    """The clock of the times `t` [samples] in seconds; a `declared` rate is taken where the times leave it open.

    Raises:
        ValueError: the times run back, stand still where rounding does not explain it, or are none.
    """
    if len(t) < 2 or not np.isfinite(t).all():
        raise ValueError("two or more samples, each with its time t")
    steps = np.diff(t)
    back = np.flatnonzero(steps < 0)
    if len(back) or not (steps > 0).any():
        raise ValueError(f"t that rises; sample {back[0] + 2 if len(back) else 2} does not")
    median, resolution = float(np.median(steps)), _resolution(t)
    # Where several samples have one time, the times are a step of the rounding apart and never two.
    starts = _cut(steps > _GAP * float(np.median(steps[steps > 0])) + (0.0 if (steps == 0).any() else resolution))
    period, jitter = _fit(t, starts)
    rounding = 0.0 if np.mean(np.abs(steps - period) <= _EXACT * period) >= 0.5 else resolution
    tolerance = len(starts) * (resolution + 2 * jitter) / (max(1, len(t) - len(starts)) * period)
    noise = np.spacing(np.abs(t).max())  # of seconds since 1970 it shows in a single step
    likely = [declared, 1 / median if noise < _NOISE * median else None]
    rate = _rate(t, period, rounding, tolerance + 1e-9, likely)
    still = np.flatnonzero(steps == 0)
    # One double time makes any clock look a little faster than it is, and is a fault; so a rate close to one sample a
    # step of the rounding has to be a whole or a declared one.
    per_step = rate * resolution
    ties = per_step >= _TIES or (per_step > 1 and (rate == declared or float(rate).is_integer()))
    if len(still) and not ties:
        raise ValueError(f"t that rises; sample {still[0] + 2} does not (or, where t is rounded, data.rate)")
    starts = _stretches(t, 1 / rate, rounding)
    offset = t - 1 / rate * np.arange(len(t))
    seconds = t[starts] - t[0]
    if rounding > _COARSE * period:  # then all times of a stretch say better when it starts than its first one
        mean = np.add.reduceat(offset, starts) / np.diff([*starts, len(t)])
        seconds = mean + 1 / rate * starts - mean[0]
    spread = np.maximum.reduceat(offset, starts) - np.minimum.reduceat(offset, starts)
    return Clock(rate, tolerance, starts, seconds, deviation=max(0.0, float(spread.max() - rounding) / 2))


def _resolution(t: NDArray) -> float:
    """What `t` is rounded to, in seconds, where that is coarsest; 0 where no power of ten is to be seen."""
    blocks = [t[first : first + _BLOCK] for first in range(0, max(1, len(t) - _BLOCK // 2), _BLOCK)]
    noise = 4 * np.spacing(np.abs(t).max())
    coarsest = 0.0
    for block in blocks:
        decimals = next((d for d in range(_DECIMALS) if np.abs(block - np.round(block, d)).max() <= noise), None)
        coarsest = max(coarsest, 0.0 if decimals is None else 10.0**-decimals)
    return coarsest


def _cut(gaps: NDArray) -> NDArray:
    """First samples of the stretches between `gaps`, bool [samples − 1]."""
    return np.concatenate([[0], np.flatnonzero(gaps) + 1])


def _fit(t: NDArray, starts: NDArray) -> tuple[float, float]:
    """Seconds a sample, by least squares over all stretches, each with an offset of its own, and the median distance of
    the times from that."""
    length = np.diff([*starts, len(t)])
    stretch = np.repeat(np.arange(len(starts)), length)

    def centered(values: NDArray) -> NDArray:
        return values - (np.bincount(stretch, values) / length)[stretch]

    number = np.arange(len(t), dtype=float)
    x, y = centered(number), centered(t)
    period = float(x @ y / (x @ x)) if (x @ x) > 0 and (x @ y) > 0 else float(np.median(np.diff(t)))
    return period, float(np.median(np.abs(centered(t - period * number))))


def _rate(t: NDArray, period: float, rounding: float, tolerance: float, likely: list[float | None]) -> float:
    """The rate of a clock of about `period`: a likely one, a whole one or one in tenths of a Hz if the times leave it
    open, else as measured."""
    for rate in likely:
        if rate is not None and abs(rate * period - 1) <= tolerance:
            return rate
    steps = np.arange(-_CANDIDATES, _CANDIDATES + 1)
    rates = [(round(parts / period) + steps) / parts for parts in (1, 10)]
    integers, tenths = (near[(near > 0) & (np.abs(near * period - 1) <= tolerance)].tolist() for near in rates)

    def rank(rate: float) -> tuple[int, bool, bool, float]:
        # Fewest stretches first: another rate than the true one has to set its clock again and again.
        return len(_stretches(t, 1 / rate, rounding)), rate not in integers, rate not in tenths, abs(rate * period - 1)

    return min([*integers, *tenths, 1 / period], key=rank)


def _stretches(t: NDArray, period: float, rounding: float) -> NDArray:
    """First samples of the stretches without a gap."""
    starts = _cut(np.diff(t) > _GAP * period + rounding)
    if rounding <= _SLACK * period:
        return starts
    # Gaps below the rounding show only in that no clock without one has all these times.
    offset, width = t - period * np.arange(len(t)), rounding + _SLACK * period
    ends = [*starts[1:].tolist(), len(t)]
    parts: list[int] = []
    for first, end in zip(starts.tolist(), ends, strict=True):
        while first < end:
            parts.append(first)
            first = _end_of_stretch(offset[first:end], width) + first
    return np.array(parts)


def _end_of_stretch(offset: NDArray, width: float) -> int:
    """How many leading values of `offset` are within `width` of each other."""
    ahead = _AHEAD
    while True:
        part = offset[:ahead]
        apart = np.maximum.accumulate(part) - np.minimum.accumulate(part) > width
        if apart.any() or ahead >= len(offset):
            return int(apart.argmax()) if apart.any() else len(part)
        ahead *= 2
