import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as fast
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from tests.systems.refseg.parts import outcome_of

from hallmark.checks import SettingError
from hallmark.systems.refseg.calibration import (
    TEMPERATURES,
    Expected,
    LoopCalibration,
    Trace,
    fit_ranking_temperature,
    fit_thresholds,
    trace,
)
from hallmark.systems.refseg.loop import ALWAYS, Loop, Outcome, Thresholds
from hallmark.systems.refseg.vlm.base import Request, Rewrite

REQUEST = Request(b"", "image", "0", "0", (), "image/1")
FITTED = LoopCalibration(1.3, Thresholds(0.1 + 0.2, 0.05), Expected(2 / 3, 0.25), 40, "calibration", "f0" * 16)


class Case:
    """An expression whose k-th query has logits `rows[k]`; asked once more, the rewriter fails or repeats itself.

    The queries are their numbers, and proposal i overlaps the truth by `iou[i]`.
    """

    def __init__(self, rows: Sequence[Sequence[float]], iou: Sequence[float], fails: bool) -> None:
        self.rows, self.iou, self.fails = rows, iou, fails

    def rewrite(self, request: Request) -> Rewrite:
        following = len(request.history)
        if following < len(self.rows):
            return Rewrite(str(following))
        return Rewrite(request.query, "timeout" if self.fails else None)

    def run(self, thresholds: Thresholds, max_iter: int, keep: str) -> Outcome:
        loop = Loop(
            self, max_iter=max_iter, thresholds=thresholds, temperature=1.0, combine="replace", weight=1.0, keep=keep
        )
        return outcome_of(loop, REQUEST, lambda query: np.array(self.rows[int(query)], np.float64), len(self.iou))

    def overlap(self, top: int) -> float:
        return self.iou[top] if top >= 0 else 0.0


def cases_of(size: int, none: bool) -> st.SearchStrategy[Case]:
    row = st.lists(st.integers(-3, 3), min_size=size + none, max_size=size + none)
    iou = st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0]), min_size=size, max_size=size)
    return st.builds(Case, st.lists(row, min_size=1, max_size=4), iou, st.booleans())


one_case = st.tuples(st.integers(0, 4), st.booleans()).flatmap(lambda drawn: cases_of(*drawn))


def fit(cases: Sequence[Case], max_iter: int, keep: str, budget: float) -> tuple[Thresholds, Expected]:
    traces = [trace(case.run(ALWAYS, max_iter, keep), case.overlap) for case in cases]
    return fit_thresholds(traces, budget=budget)


def measured(cases: Sequence[Case], thresholds: Thresholds, max_iter: int, keep: str) -> tuple[float, float]:
    outcomes = [case.run(thresholds, max_iter, keep) for case in cases]
    iou = [case.overlap(outcome.answer.top) for case, outcome in zip(cases, outcomes, strict=True)]
    return math.fsum(iou) / len(cases), sum(len(outcome.rewrites) for outcome in outcomes) / len(cases)


def all_pairs(cases: Sequence[Case], max_iter: int, keep: str) -> list[Thresholds]:
    steps = [step for case in cases for step in case.run(ALWAYS, max_iter, keep).steps]
    axes = []
    for values in ([step.confidence for step in steps], [step.gap for step in steps]):
        unique = sorted(set(values))
        middles = [(low + high) / 2 for low, high in pairwise(unique)]
        axes.append([0.0, *(value for value in middles if value not in unique), 1.0])
    return [Thresholds(*pair) for pair in product(*axes)]


def single(confidence: float, gap: float, one_shot: float, looped: float, calls: int = 1) -> Trace:
    return Trace([confidence], [gap], [one_shot, looped], [0, calls])


tenths = st.integers(0, 9).map(lambda n: n / 10)


@st.composite
def drawn_traces(draw: st.DrawFn) -> Trace:
    steps = draw(st.integers(1, 4))
    confidence, gap = (draw(st.lists(tenths, min_size=steps, max_size=steps)) for _ in range(2))
    iou = draw(st.lists(tenths, min_size=steps + 1, max_size=steps + 1))
    return Trace(confidence, gap, iou, [*range(steps), steps - draw(st.booleans())])


def replayed(steps: Trace, thresholds: Thresholds) -> tuple[float, int]:
    reached = [thresholds.reached(*pair) for pair in zip(steps.confidence, steps.gap, strict=True)]
    stop = reached.index(True) if any(reached) else len(reached)
    return steps.iou[stop], steps.calls[stop]


def traces_at_random(n: int, steps: int) -> list[Trace]:
    random = np.random.default_rng(3)
    confidence = random.random((n, steps))
    gap = confidence * random.random((n, steps))
    iou = random.random((n, steps + 1))
    return [
        Trace(*(values.tolist() for values in row), list(range(steps + 1)))
        for row in zip(confidence, gap, iou, strict=True)
    ]


class TestTemperature:
    @given(st.lists(st.lists(st.floats(-20, 20), min_size=2, max_size=5), min_size=2, max_size=12), st.data())
    @fast(deadline=None, max_examples=50)
    def test_no_temperature_of_a_grid_is_better(self, logits, data):
        rows = [np.array(row) for row in logits]
        best = [data.draw(st.integers(0, len(row) - 1)) for row in rows]
        if not any(np.ptp(row) > 0 for row in rows):
            return

        def nll(temperatures: np.ndarray) -> np.ndarray:
            chosen = [
                log_softmax(row / temperatures[:, None], axis=1)[:, at] for row, at in zip(rows, best, strict=True)
            ]
            return -np.mean(chosen, axis=0)

        fitted = np.array([fit_ranking_temperature(rows, best)])
        assert nll(fitted) <= nll(np.geomspace(*TEMPERATURES, 400)).min() + 1e-6

    @pytest.mark.parametrize("true", [0.02, 0.5, 1.0, 4.0])
    def test_the_temperature_of_the_samples_is_found(self, true):
        random = np.random.default_rng(0)
        logits = [random.normal(size=random.integers(2, 9)) * 2 * true for _ in range(4000)]
        best = [random.choice(len(row), p=softmax(row / true)) for row in logits]
        assert fit_ranking_temperature(logits, best) == pytest.approx(true, rel=0.06)

    def test_two_candidates_by_hand(self):
        # The first is right in 3 of 4: sigmoid(2 / T) = 3/4.
        temperature = fit_ranking_temperature([np.array([2.0, 0.0])] * 4, [0, 0, 0, 1])
        assert temperature == pytest.approx(2 / math.log(3), rel=1e-6)

    def test_candidates_without_a_choice_change_nothing(self):
        rows, best = [np.array([2.0, 0.0])] * 4, [0, 0, 0, 1]
        more = [*rows, np.array([3.0]), np.array([1.0, 1.0, 1.0])]
        assert fit_ranking_temperature(more, [*best, 0, 2]) == fit_ranking_temperature(rows, best)

    def test_a_ranker_that_is_always_right_is_reported(self, caplog):
        assert fit_ranking_temperature([np.array([1.0, 0.0])], [0]) == pytest.approx(TEMPERATURES[0], rel=0.01)
        assert "bound" in caplog.text

    @pytest.mark.parametrize("logits", [[], [np.zeros(1)], [np.full(3, 2.0)]])
    def test_nothing_to_fit_on(self, logits):
        with pytest.raises(ValueError, match="samples"):
            fit_ranking_temperature(logits, [0] * len(logits))

    @pytest.mark.parametrize("best", [-1, 2])
    def test_a_candidate_that_is_not_there_is_a_fault(self, best):
        with pytest.raises(AssertionError):
            fit_ranking_temperature([np.array([1.0, 0.0])], [best])


class TestTrace:
    def test_by_hand(self):
        case = Case([[0, 1], [3, 0]], [0.2, 0.9], fails=True)
        traced = trace(case.run(ALWAYS, 3, "most_confident"), case.overlap)
        first, second = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-3))
        assert traced.confidence == pytest.approx([first, second])
        assert traced.gap == pytest.approx([2 * first - 1, 2 * second - 1])
        assert (traced.iou, traced.calls) == ([0.9, 0.2, 0.2], [0, 1, 2])

    def test_the_answer_that_is_kept_comes_last(self):
        case = Case([[0, 3], [1, 0]], [0.2, 0.9], fails=False)
        most_confident, newest = (
            trace(case.run(ALWAYS, 1, keep), case.overlap).iou for keep in ("most_confident", "last")
        )
        assert (most_confident, newest) == ([0.9, 0.2, 0.9], [0.9, 0.2, 0.2])

    def test_an_outcome_under_other_thresholds_is_a_fault(self):
        case = Case([[0, 1], [3, 0]], [0.2, 0.9], fails=False)
        with pytest.raises(AssertionError, match="ALWAYS"):
            trace(case.run(Thresholds(0.5, 0.0), 1, "last"), case.overlap)

    def test_an_expression_without_truth_is_a_fault(self):
        with pytest.raises(AssertionError, match="truth"):
            trace(Case([[0, 1]], [0.2, 0.9], fails=False).run(ALWAYS, 1, "last"), lambda top: math.nan)


class TestThresholds:
    @given(
        st.lists(one_case, min_size=1, max_size=5),
        st.integers(0, 3),
        st.sampled_from(["most_confident", "last"]),
        st.floats(0, 3.5),
    )
    @fast(deadline=None, max_examples=40)
    def test_no_pair_is_better_and_the_loop_does_what_was_expected(self, cases, max_iter, keep, budget):
        thresholds, expected = fit(cases, max_iter, keep, budget)
        assert (expected.miou, expected.calls) == pytest.approx(measured(cases, thresholds, max_iter, keep), abs=1e-9)
        tried = [measured(cases, pair, max_iter, keep) for pair in all_pairs(cases, max_iter, keep)]
        allowed = [(round(iou, 8), -calls) for iou, calls in tried if calls <= budget + 1e-9]
        assert (round(expected.miou, 8), -expected.calls) == max(allowed)

    @given(st.lists(drawn_traces(), min_size=1, max_size=6), st.floats(0, 4))
    @fast(deadline=None, max_examples=100)
    def test_no_pair_is_better_whatever_the_steps(self, traces, budget):
        thresholds, expected = fit_thresholds(traces, budget=budget)

        def totals(pair: Thresholds) -> tuple[int, int]:
            iou, calls = np.sum([replayed(steps, pair) for steps in traces], axis=0)
            return round(iou * 10), -int(calls)

        axis = [0.0, *((n + 0.5) / 10 for n in range(9)), 1.0]
        tried = [totals(Thresholds(*pair)) for pair in product(axis, axis)]
        assert totals(thresholds) == max(pair for pair in tried if -pair[1] <= budget * len(traces) + 1e-9)
        assert (expected.miou * len(traces) * 10, -expected.calls * len(traces)) == pytest.approx(totals(thresholds))

    @given(st.lists(one_case, min_size=1, max_size=6), st.floats(0, 3), st.floats(0, 3))
    @fast(deadline=None, max_examples=40)
    def test_a_greater_budget_is_never_worse_and_none_is_exceeded(self, cases, one, other):
        small, large = sorted((one, other))
        few, many = (fit(cases, 3, "most_confident", budget)[1] for budget in (small, large))
        assert few.calls <= small + 1e-9 and many.calls <= large + 1e-9 and few.miou <= many.miou

    def test_by_hand(self):
        traces = [
            single(0.2, 0.1, 0.1, 0.8),
            single(0.4, 0.3, 0.2, 0.6),
            single(0.6, 0.1, 0.3, 0.9),
            single(0.8, 0.5, 0.9, 0.1),
        ]
        # Two of four: the first with the second (+1.1), or, by the gap, with the third (+1.3).
        thresholds, expected = fit_thresholds(traces, budget=0.5)
        assert (thresholds.confidence, thresholds.gap) == pytest.approx((0, 0.2))
        assert (expected.miou, expected.calls) == pytest.approx(((0.8 + 0.2 + 0.9 + 0.9) / 4, 0.5))
        thresholds, expected = fit_thresholds(traces, budget=1)
        assert (thresholds.confidence, thresholds.gap) == pytest.approx((0, 0.4))
        assert (expected.miou, expected.calls) == pytest.approx(((0.8 + 0.6 + 0.9 + 0.9) / 4, 0.75))

    def test_of_equal_overlap_the_fewest_calls(self):
        # Rewriting the second gives and takes the same 0.3 in sum, whatever the order of adding.
        traces = [single(0.1, 0.1, 0.1, 0.4), single(0.5, 0.5, 0.4, 0.1), single(0.6, 0.6, 0.1, 0.4)]
        thresholds, expected = fit_thresholds(traces, budget=1)
        assert thresholds == Thresholds(0.0, 0.3) and expected.calls == pytest.approx(1 / 3)

    @pytest.mark.parametrize("looped", [0.0, 0.3, 0.1 + 0.2], ids=["harmful", "useless", "better by a rounding"])
    def test_a_rewriter_that_is_of_no_use_is_never_asked(self, looped):
        traces = [single(value, value / 2, 0.3, looped) for value in (0.1, 0.5, 0.9)]
        thresholds, expected = fit_thresholds(traces, budget=math.inf)
        assert thresholds == Thresholds(0, 0)
        assert (expected.miou, expected.calls) == (pytest.approx(0.3), 0)

    def test_a_budget_of_nothing(self):
        assert fit_thresholds([single(0.1, 0.1, 0.0, 1.0)], budget=0) == (Thresholds(0, 0), Expected(0, 0))

    def test_a_confidence_that_rounds_to_one_can_be_asked_again(self):
        thresholds, expected = fit_thresholds([single(1.0, 1.0, 0.0, 1.0)], budget=1)
        assert not thresholds.reached(1.0, 1.0) and expected == Expected(1, 1)

    @pytest.mark.parametrize("pair", [(0.5, math.nextafter(0.5, 1)), (math.nextafter(0.5, 1), 0.5)])
    def test_values_one_rounding_apart_are_not_told_apart(self, pair):
        better, worse = pair
        traces = [single(better, better, 0.0, 1.0), single(worse, worse, 0.4, 0.0), single(0.8, 0.8, 1.0, 0.0)]
        thresholds, expected = fit_thresholds(traces, budget=1)
        assert max(pair) < max(thresholds.confidence, thresholds.gap) < 0.8
        assert (expected.miou, expected.calls) == pytest.approx((2 / 3, 2 / 3))

    def test_the_order_of_the_expressions_is_of_no_account(self):
        traces = traces_at_random(60, 2)
        assert fit_thresholds(traces[::-1], budget=0.5) == fit_thresholds(traces, budget=0.5)

    def test_no_expression(self):
        with pytest.raises(ValueError, match="no expression"):
            fit_thresholds([], budget=1)

    @pytest.mark.parametrize("budget", [-0.1, math.nan])
    def test_a_budget_that_is_not_right(self, budget):
        with pytest.raises(SettingError, match="budget"):
            fit_thresholds([single(0.1, 0.1, 0.0, 1.0)], budget=budget)


class TestFile:
    def test_every_bit_comes_back(self, tmp_path: Path):
        FITTED.write(tmp_path / "calibration.json")
        assert LoopCalibration.read(tmp_path / "calibration.json") == FITTED

    def test_it_is_plain_json(self, tmp_path: Path):
        FITTED.write(tmp_path / "calibration.json")
        assert json.loads((tmp_path / "calibration.json").read_text()) == {
            "temperature": 1.3,
            "thresholds": {"confidence": 0.1 + 0.2, "gap": 0.05},
            "expected": {"miou": 2 / 3, "calls": 0.25},
            "n": 40, "split": "calibration", "digest": "f0" * 16,
        }  # fmt: skip

    def test_thresholds_that_were_given_expect_nothing(self, tmp_path: Path):
        given_ones = replace(FITTED, expected=None)
        given_ones.write(tmp_path / "calibration.json")
        assert LoopCalibration.read(tmp_path / "calibration.json") == given_ones

    def test_what_was_fitted_comes_back(self, tmp_path: Path):
        thresholds, expected = fit_thresholds(traces_at_random(30, 1), budget=0.5)
        fitted = replace(FITTED, thresholds=thresholds, expected=expected)
        fitted.write(tmp_path / "calibration.json")
        assert LoopCalibration.read(tmp_path / "calibration.json") == fitted

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"temperature": 0}, "temperature"),
            ({"temperature": "1.3"}, "temperature"),
            ({"temperature": None}, "temperature"),
            ({"thresholds": {"confidence": 1.5, "gap": 0}}, "confidence"),
            ({"thresholds": {"confidence": 0.5}}, "gap"),
            ({"expected": {"miou": 2, "calls": 0}}, "miou"),
            ({"expected": {"miou": 0.5, "calls": 0, "extra": 0}}, "extra"),
            ({"n": 0}, "n"),
            ({"n": 1.5}, "n"),
            ({"surprise": 1}, "surprise"),
        ],
    )
    def test_a_value_that_is_not_right_is_named(self, change, named, tmp_path: Path):
        path = tmp_path / "calibration.json"
        FITTED.write(path)
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(ValueError, match=rf"calibration\.json: not a calibration .*\b{named}\b"):
            LoopCalibration.read(path)

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"temperature": NaN}', "\x00"])
    def test_a_damaged_file(self, text, tmp_path: Path):
        path = tmp_path / "calibration.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"calibration\.json: not a calibration"):
            LoopCalibration.read(path)

    def test_no_file(self, tmp_path: Path):
        with pytest.raises(ValueError, match=r"absent\.json: no calibration"):
            LoopCalibration.read(tmp_path / "absent.json")
