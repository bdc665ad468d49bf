"""What a sweep may change: keys of the preset with their values or ranges."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from hallmark.checks import SettingError, require
from hallmark.wording import did_you_mean

Distribution = CategoricalDistribution | IntDistribution | FloatDistribution
Point = dict[str, Any]
_PLAIN = (bool, int, float, str, type(None))
_RANGE = "a list of values, or a range {low: ..., high: ...} with log: true or step: ..."


@dataclass(frozen=True)
class Space:
    """Distributions by dotted key of the preset, in the order of the config."""

    distributions: Mapping[str, Distribution]

    @classmethod
    def of(cls, node: DictConfig | None, names: Sequence[str]) -> "Space":
        """The space of the config node `sweep.space`; `names` are the keys that the preset has.

        Raises:
            SettingError: a key that the preset does not have, or neither values nor a range.
        """
        raw = OmegaConf.to_container(node, resolve=True) if node is not None else {}
        require(isinstance(raw, dict), "sweep.space", raw, "values or ranges by key of the preset")
        assert isinstance(raw, dict)
        for key, value in raw.items():
            if key not in names:
                hint = did_you_mean(str(key), names)
                raise SettingError(f"sweep.space.{key!s}", value, f"a key of this preset{hint}")
            section = any(name.startswith(f"{key!s}.") for name in names)
            require(not section or value == [None], f"sweep.space.{key!s}", value, "a single setting, not a section")
        return cls({str(key): _distribution(f"sweep.space.{key!s}", value) for key, value in raw.items()})

    def grid(self) -> list[Point]:
        """All combinations, the last key fastest.

        Raises:
            SettingError: a range, which has no list of values, or no key at all.
        """
        require(bool(self.distributions), "sweep.space", {}, "lists of values by key of the preset")
        choices = []
        for key, values in self.distributions.items():
            if not isinstance(values, CategoricalDistribution):
                raise SettingError(f"sweep.space.{key}", values, "a list of values for a grid")
            choices.append(values.choices)
        return [dict(zip(self.distributions, values, strict=True)) for values in product(*choices)]

    def corners(self) -> list[Point]:
        """Points that hold every listed value and both ends of every range at least once."""
        ends: dict[str, Sequence[Any]] = {
            key: values.choices if isinstance(values, CategoricalDistribution) else (values.low, values.high)
            for key, values in self.distributions.items()
        }
        length = max(map(len, ends.values()), default=0)
        return [{key: values[number % len(values)] for key, values in ends.items()} for number in range(length)]

    def suggest(self, trial: Trial) -> Point:
        """The trial's value of every key, sampled where it has none yet, as by `Study.ask` of fixed distributions."""
        return {key: trial._suggest(key, values) for key, values in self.distributions.items()}

    def around(self, best: Point, share: float) -> "Space":
        """Ranges narrowed to `share` of their width (of their logarithm) around `best`; values stay at the best one."""
        return Space({key: _narrowed(values, best[key], share) for key, values in self.distributions.items()})


def _distribution(key: str, value: Any) -> Distribution:
    if isinstance(value, list):
        plain = bool(value) and all(isinstance(choice, _PLAIN) for choice in value)
        require(plain, key, value, "a list of values: numbers, strings, true, false or null")
        return CategoricalDistribution(value)
    require(isinstance(value, dict) and {"low", "high"} <= set(value), key, value, _RANGE)
    unknown = set(value) - {"low", "high", "log", "step"}
    require(not unknown, key, value, _RANGE)
    numbers = all(isinstance(value[end], int | float) and math.isfinite(value[end]) for end in ("low", "high"))
    require(numbers and value["low"] < value["high"], key, value, "numbers with low < high")
    log, step = value.get("log", False), value.get("step")
    require(isinstance(log, bool) and isinstance(step, int | float | None), key, value, _RANGE)
    integers = all(isinstance(number, int) for number in (value["low"], value["high"], step or 1))
    try:
        if integers:
            return IntDistribution(value["low"], value["high"], log=log, step=1 if step is None else step)
        return FloatDistribution(value["low"], value["high"], log=log, step=step)
    except ValueError as error:
        raise SettingError(key, value, f"{_RANGE} ({error})") from error


def _narrowed(values: Distribution, best: Any, share: float) -> Distribution:
    if isinstance(values, CategoricalDistribution):
        return CategoricalDistribution([best])
    forward, back = (math.log, math.exp) if values.log else (float, float)
    half = (forward(values.high) - forward(values.low)) * share / 2
    low, high = max(values.low, back(forward(best) - half)), min(values.high, back(forward(best) + half))
    if isinstance(values, FloatDistribution):
        if values.step is None:
            return FloatDistribution(low, high, log=values.log)
        return FloatDistribution(*_on_steps(low, high, values.low, values.step), step=values.step)
    low, high = _on_steps(low, high, values.low, values.step)
    return IntDistribution(int(low), int(high), log=values.log, step=values.step)


def _on_steps(low: float, high: float, start: float, step: float) -> tuple[float, float]:
    """The range widened to whole steps from `start`, forgiving the last digit."""
    first, last = math.floor((low - start) / step + 1e-9), math.ceil((high - start) / step - 1e-9)
    origin, width = Decimal(str(start)), Decimal(str(step))  # as Optuna counts steps, or it would cut the last one off
    return float(origin + first * width), float(origin + last * width)
