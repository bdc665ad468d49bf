"""Temperature and thresholds of the loop, fitted on a split of their own and written down."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from hallmark.checks import require
from hallmark.storage.files import write_json
from hallmark.systems.refseg.loop import Outcome, Thresholds

log = logging.getLogger(__name__)

TEMPERATURES = (1e-3, 1e3)
_UNITS = 1e9  # IoUs are summed as integers of a billionth: exact, whatever the order, so that ties are ties


def fit_ranking_temperature(logits: Sequence[NDArray], best: Sequence[int]) -> float:
    """The temperature, within `TEMPERATURES`, of the least mean NLL of softmax(logits / T) at `best`.

    Guo et al. 2017 (arXiv:1706.04599, section 4.2), with classes that differ from sample to sample.

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
    # Less than the right one's: differences alone matter, and -inf pads the rows to one length.
    differences = np.full((len(informative), max(len(row) for row, _ in informative)), -np.inf)
    for at, (row, index) in enumerate(informative):
        differences[at, : len(row)] = np.asarray(row, np.float64) - row[index]
    # In log T the scale of the logits is a shift, and the loss has one minimum: it is convex in 1 / T.
    low, high = np.log(TEMPERATURES)
    optimum = minimize_scalar(
        lambda t: float(logsumexp(differences / np.exp(t), axis=1).mean()),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-8},
    )
    if min(optimum.x - low, high - optimum.x) < 1e-3:
        log.warning(
            "the fitted temperature %.3g is at its bound: the ranker is always right, or no use", np.exp(optimum.x)
        )
    return float(np.exp(optimum.x))


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
    corners, changes = _changes(traces)
    candidates = [_candidates(values, changes[:, 0]) for values in corners.T]
    # A corner reaches the thresholds from its place on; the first, 1, is never reached.
    places = [1 + np.searchsorted(-c[1:], -values) for c, values in zip(candidates, corners.T, strict=True)]
    # What never stopping gives; each cell of the table adds the changes of the corners that it reaches.
    base = np.array([[round(trace.iou[-1] * _UNITS), trace.calls[-1]] for trace in traces]).sum(axis=0)
    # No more than all rewritings there are; the small number is for budgets such as 0.1, which are not exact.
    limit = int(min(budget * len(traces), sum(max(trace.calls) for trace in traces)) + 1e-9)
    shape = len(candidates[0]), len(candidates[1])
    row, column, (iou, calls) = _best_cell(shape, places, changes, base, limit)
    thresholds = Thresholds(float(candidates[0][row]), float(candidates[1][column]))
    return thresholds, Expected(float(iou / _UNITS / len(traces)), float(calls / len(traces)))


def _changes(traces: Sequence[Trace]) -> tuple[NDArray, NDArray]:
    """Corners float64 [E, 2] in (confidence, gap) and changes int64 [E, 2] of (IoU, calls), such that thresholds
    give what never stopping gives, plus the changes of the corners that reach them.

    Stopping at step s is worth Σ_{k≥s} (v_k - v_{k+1}) over never stopping, so v_k - v_{k+1} belongs to the
    thresholds that any of the steps 0..k reaches: a union of quadrants, whose indicator is a sum over the corners
    of its staircase less a sum over the corners between them.
    """
    length = max(len(trace.confidence) for trace in traces)
    confidence, gap = (np.full((len(traces), length), -1.0) for _ in range(2))
    gains = np.zeros((len(traces), length, 2), np.int64)
    for at, trace in enumerate(traces):
        # Traces are of different lengths; −1 reaches no threshold, and its gains are 0.
        size = len(trace.confidence)
        confidence[at, :size], gap[at, :size] = trace.confidence, trace.gap
        values = np.array([[round(iou * _UNITS), calls] for iou, calls in zip(trace.iou, trace.calls, strict=True)])
        gains[at, :size] = values[:-1] - values[1:]
    corners, changes = [], []
    for k in range(length):
        # The staircase of the first k + 1 steps: by falling confidence only a rising gap adds a corner.
        order = np.argsort(-confidence[:, : k + 1], axis=1, kind="stable")
        x = np.take_along_axis(confidence, order, axis=1)
        y = np.maximum.accumulate(np.take_along_axis(gap, order, axis=1), axis=1)
        rises = np.diff(y, axis=1, prepend=-2.0) > 0
        outer, inner = np.stack([x, y], axis=-1), np.stack([x[:, 1:], y[:, :-1]], axis=-1)
        for points, used, sign in ((outer, rises, 1), (inner, rises[:, 1:], -1)):
            corners.append(points[used])
            changes.append(sign * np.repeat(gains[:, k], used.sum(axis=1), axis=0))
    # Each corner once, with the sum of its changes: as one complex number a pair is compared and sorted as a whole.
    unique, inverse = np.unique(np.concatenate(corners) @ [1, 1j], return_inverse=True)
    total = np.zeros((len(unique), 2), np.int64)
    np.add.at(total, inverse, np.concatenate(changes))
    matters = total.any(axis=1)
    return np.stack([unique.real, unique.imag], axis=1)[matters], total[matters]


def _candidates(values: NDArray, gain: NDArray) -> NDArray:
    """Thresholds worth trying, descending, from the values of the corners and their changes of IoU.

    A threshold above a value is left out where reaching its corners costs no IoU: the one below asks for no more
    calls and is as good, whatever the other threshold.
    """
    unique, inverse = np.unique(values, return_inverse=True)
    # Between two values any threshold is as good; the middle keeps both from its edge.
    middle = (unique[:-1] + unique[1:]) / 2
    apart = (unique[:-1] < middle) & (middle < unique[1:])  # not where the two differ by one rounding
    group = np.concatenate([[0], np.cumsum(apart)])
    costly = np.unique(group[inverse[gain < 0]])
    return np.concatenate([[1.0], middle[apart][costly[costly < apart.sum()]][::-1], [0.0]])


def _best_cell(
    shape: tuple[int, int], places: Sequence[NDArray], changes: NDArray, base: NDArray, limit: int
) -> tuple[int, int, NDArray]:
    """Row, column and totals (IoU, calls) of the best cell of a table of `shape`; the totals of a cell are `base`
    and the changes at its place or before, and of equals the last cell wins.

    The table is made row by row: for thousands of candidates it is larger than memory.
    """
    rows, columns = shape
    best: tuple[int, int, NDArray] | None = None
    added = np.zeros((2, columns), np.int64)  # by the rows so far, at each column
    added[:, 0] = base
    for row in range(rows):
        here = places[0] == row
        for total, change in zip(added, changes[here].T, strict=True):
            np.add.at(total, places[1][here], change)
        totals = added.cumsum(axis=1)
        # The last of equals: candidates descend, so it has the smallest thresholds.
        allowed = np.where(totals[1] <= limit, totals[0], -1)
        equals = np.flatnonzero(allowed == allowed.max())
        fewest = totals[1][equals]
        column = int(equals[fewest == fewest.min()][-1])
        cell = totals[:, column]
        if cell[1] <= limit and (best is None or (cell[0], -cell[1]) >= (best[2][0], -best[2][1])):
            best = row, column, cell
    assert best is not None, "never rewriting asks for nothing"
    return best


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
