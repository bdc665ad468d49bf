"""Temperature and thresholds of the loop, fitted on a split of their own and written down."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from hallmark.checks import require
from hallmark.statistics.temperature import fit_temperature
from hallmark.storage.files import write_json
from hallmark.systems.refseg.loop import Outcome, Thresholds

log = logging.getLogger(__name__)

TEMPERATURES = (1e-3, 1e3)
_UNITS = 1e9  # IoUs are summed as integers of a billionth: exact, whatever the order, so that ties are ties


def fit_ranking_temperature(logits: Sequence[NDArray], best: Sequence[int]) -> float:
    """The temperature, within `TEMPERATURES`, of the least mean NLL of softmax(logits / T) at `best`.

    That of `fit_temperature`, with classes that differ from sample to sample.

    Args:
        logits: for each sample [N_i] or [N_i + 1], of the one-shot ranking.
        best: for each sample the position in its logits of the candidate that is right: the proposal nearest to
            the truth, or the last for "no such object". Samples without a usable one are left out before.

    Raises:
        ValueError: no sample with two logits that differ; every temperature would be as good.
    """
    assert all(0 <= index < len(row) for row, index in zip(logits, best, strict=True))
    informative = [(row, index) for row, index in zip(logits, best, strict=True) if np.ptp(row) > 0]
    if not informative:
        raise ValueError(f"none of {len(logits)} samples has two candidates with different logits: "
                         "no temperature can be fitted; give it more samples")  # fmt: skip
    padded = np.full((len(informative), max(len(row) for row, _ in informative)), -np.inf)
    for at, (row, _) in enumerate(informative):
        padded[at, : len(row)] = row
    temperature = fit_temperature(padded, np.array([index for _, index in informative]), bounds=TEMPERATURES)
    if np.abs(np.log(temperature / np.array(TEMPERATURES))).min() < 1e-3:
        log.warning("the fitted temperature %.3g is at its bound: the ranker is always right, or no use", temperature)
    return temperature


@dataclass(frozen=True)
class Trace:
    """What the loop would answer for one expression, and ask for it, wherever it stopped.

    Attributes:
        confidence: of each step [K].
        gap: of each step [K].
        iou: of the answer where it stops at step k, and last where no step reaches the thresholds [K + 1].
        calls: of the rewriter until then [K + 1].
    """

    confidence: Sequence[float]
    gap: Sequence[float]
    iou: Sequence[float]
    calls: Sequence[int]


def trace(outcome: Outcome, iou: Callable[[int], float]) -> Trace:
    """The trace of an `outcome` that was run under the thresholds `ALWAYS`.

    Args:
        outcome: of the loop whose thresholds are to be fitted, in all else as it will run.
        iou: of the answer `top` (-1 for "no such object") with the truth.
    """
    steps = outcome.steps
    assert outcome.stop != "confident" or len(steps[0].logits) == 1, "run under other thresholds than ALWAYS"
    overlaps = [iou(step.top) for step in (*steps, outcome.answer)]
    assert np.isfinite(overlaps).all(), "an expression without truth"
    calls = [*range(len(steps)), len(outcome.rewrites)]
    return Trace([step.confidence for step in steps], [step.gap for step in steps], overlaps, calls)


@dataclass(frozen=True)
class Expected:
    """What fitted thresholds give on the samples they were fitted on; on others it will be a little less.

    Attributes:
        miou: mean IoU.
        calls: of the rewriter, a mean over expressions.
    """

    miou: Annotated[float, Field(ge=0, le=1)]
    calls: Annotated[float, Field(ge=0)]


def fit_thresholds(traces: Sequence[Trace], *, budget: float) -> tuple[Thresholds, Expected]:
    """The thresholds with the greatest mean IoU at `budget` calls an expression or fewer, on average.

    Of equal mean IoU (to a billionth an expression) the fewest calls win, then the smaller confidence threshold,
    then the smaller gap. Candidates of either threshold are 0, 1, and the middle between any two neighbors among
    the values that matter, so that no sample lies on the edge; the choice among all pairs is exact. Where rewriting
    is of no use, or the budget is 0, the result is (0, 0): never rewrite.

    Args:
        traces: one for each expression.
        budget: calls of the rewriter, a mean over expressions; those answered from disk count as well.

    Raises:
        ValueError: no trace, or a negative budget.
    """
    require(budget >= 0, "budget", budget, "0 or more calls an expression")
    if not traces:
        raise ValueError("no expression to fit the thresholds on: give it a split with truth")
    shape = len(traces), max(len(trace.confidence) for trace in traces)
    # Traces are of different lengths; -1 reaches no threshold, and what it adds is 0.
    confidence, gap = np.full((2, *shape), -1.0)
    # Stopping at step s is worth Σ_{k≥s} (v_k - v_{k+1}) over never stopping, v being (IoU, calls): each step adds
    # its own difference where the thresholds are reached there or before.
    never, added = np.zeros((2, 1), np.int64), np.zeros((2, *shape), np.int64)
    for at, trace in enumerate(traces):
        size = len(trace.confidence)
        confidence[at, :size], gap[at, :size] = trace.confidence, trace.gap
        values = np.array([[round(iou * _UNITS) for iou in trace.iou], trace.calls])
        added[:, at, :size] = values[:, :-1] - values[:, 1:]
        never += values[:, -1:]
    # A pair of thresholds is a cell of a table: of the levels, which descend, its row (of confidence) and column (of
    # gap) are the last that reach it; the first, 2, stands for none. The table is larger than memory, so it is made
    # row by row.
    levels = [np.append(np.unique(values[values >= 0]), 2.0)[::-1] for values in (confidence, gap)]
    matters = [np.zeros(len(level), bool) for level in levels]
    usable = [_have_middle(level) for level in levels]
    columns = len(levels[1])
    places = np.where(gap < 0, columns, np.searchsorted(-levels[1], -gap))
    # No more than all rewritings there are; the small number is for budgets such as 0.1, which are not exact.
    limit = int(min(budget * len(traces), sum(max(trace.calls) for trace in traces)) + 1e-9)
    best, above = [], never
    for row, level in enumerate(levels[0]):
        # The first column where the step, or one before it, reaches both thresholds.
        first = np.minimum.accumulate(np.where(confidence >= level, places, columns), axis=1).ravel()
        changes = [np.bincount(first, change.ravel(), columns + 1)[:-1].cumsum() for change in added]
        totals = never + np.array(changes, np.int64)
        matters[0][row] = (totals != above).any()
        matters[1][1:] |= (totals[:, 1:] != totals[:, :-1]).any(axis=0)
        above = totals
        iou = np.where(usable[0][row] & usable[1] & (totals[1] <= limit), totals[0], -1)
        # Of equals the last, in columns here and in rows below: it has the smallest thresholds.
        column = np.lexsort((-totals[1], iou))[-1]
        best.append((int(iou[column]), -int(totals[1, column]), row, column))
    miou, calls, *cell = max(best)
    thresholds = Thresholds(*map(_threshold, levels, matters, cell))
    return thresholds, Expected(float(miou / _UNITS / len(traces)), float(-calls / len(traces)))


def _have_middle(levels: NDArray) -> NDArray:
    """Whether a threshold fits between each of the descending `levels` and the next, which may differ by a rounding."""
    middle = (levels[:-1] + levels[1:]) / 2
    return np.append((levels[1:] < middle) & (middle < levels[:-1]), True)


def _threshold(levels: NDArray, matters: NDArray, last: int) -> float:
    """The threshold that the `levels` up to the `last` reach, as far from those that matter as it can be."""
    reached, missed = (levels[part][matters[part]] for part in (slice(last + 1), slice(last + 1, None)))
    if not missed.size:
        return 0.0
    return float((reached[-1] + missed[0]) / 2) if reached.size else 1.0


@dataclass(frozen=True)
class LoopCalibration:
    """What was fitted, and on what.

    Attributes:
        temperature: divides the logits.
        thresholds: when the loop stops.
        expected: what they give on the samples they were fitted on; None where they were given, not fitted.
        n: expressions fitted on.
        split: name of the split they are from.
        digest: hash of all that the logits, rewritings and overlaps depend on.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    temperature: Annotated[float, Field(gt=0)]
    thresholds: Thresholds
    expected: Expected | None
    n: Annotated[int, Field(gt=0)]
    split: str
    digest: str

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "LoopCalibration":
        """The calibration in the JSON file `path`; every number is the one that was written.

        Raises:
            ValueError: there is no such file, or it holds something else.
        """
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except OSError as error:
            raise ValueError(f"{path}: no calibration can be read there ({error.strerror})") from error
        except ValidationError as error:
            problems = "; ".join(".".join(map(str, (*problem["loc"], problem["msg"]))) for problem in error.errors())
            raise ValueError(f"{path}: not a calibration of the loop ({problems}); fit it again") from error
