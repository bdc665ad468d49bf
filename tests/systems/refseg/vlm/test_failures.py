"""Endpoints that fail: counted in every phase, an error where too many calls fail, and no answer lost."""

import json
from collections import Counter

import pytest
from tests.systems.refseg.parts import BLUE, GREEN, LAYOUT, RED, Picture
from tests.systems.refseg.vlm.conftest import VARIABLE, answers, asked, reply, vlm_cost
from werkzeug import Response

from hallmark.checks import Interrupted
from hallmark.engine.evaluate import evaluate
from hallmark.report import provenance
from hallmark.report.sources import open_results
from hallmark.runs.record import RunState
from hallmark.runs.run import Run
from hallmark.systems.refseg.module import LoopModule
from hallmark.systems.refseg.vlm.calls import TooManyFailures

pytestmark = pytest.mark.e2e

RED_QUERY = '{"query": "red"}'
SAID = [f"crimson thing {index}" for index in range(10)]
LIMIT = "model.rewriter.max_failed=0.2"
DEAD = "model.rewriter.base_url=http://127.0.0.1:1/v1"
FITTED = ("model.thresholds=null", "model.temperature=null")
PHASES = [
    Picture("k", "calibration", {"crimson": RED, "green": GREEN, "azure": BLUE}),
    Picture("v", "val", {"crimson": RED}, drawn={**LAYOUT, "yellow": (14, 24, 4, 4)}),
    Picture("t", "test", {"azure": BLUE}, drawn={**LAYOUT, "yellow": (14, 26, 4, 4)}),
]


def down(body: dict) -> Response:
    return Response("down", 500)


@pytest.fixture
def stored(tmp_path):
    """A function to the only run that there is, as it lies on disk."""

    def stored() -> Run:
        (record,) = (tmp_path / "outputs").glob("*/*/record.json")
        return Run(record.parent)

    return stored


@pytest.mark.parametrize(
    ("answer", "overrides", "kind"),
    [
        (down, [], "server_error"),
        (lambda body: reply(None), [], "empty"),
        (lambda body: reply(""), [], "empty"),
        (lambda body: reply("I'm sorry, I can't."), [], "refusal"),
        (lambda body: reply(RED_QUERY), [DEAD], "connection"),
        ("hang", ["model.rewriter.timeout=0.05", "model.rewriter.deadline=0.1"], "timeout"),
    ],
)
def test_an_endpoint_that_is_of_no_use_ends_in_an_error_and_the_counts_are_in_the_record(
    run, endpoint, stored, capsys, answer, overrides, kind
):
    endpoint.answer = endpoint.hang if answer == "hang" else answer
    with pytest.raises(TooManyFailures) as failed:
        run(SAID[:4], LIMIT, *overrides)
    assert (failed.value.key, failed.value.value) == ("model.rewriter.max_failed", 0.2)
    assert stored().record.state is RunState.FAILED and stored().record.selected is None
    calls = stored().record.calls["val"]
    assert (calls["requests"], calls["cached"], calls["fallbacks"]) == (4, 0, {kind: 4})
    assert f"val: 4 of 4 calls without an answer ({kind} 4)" in capsys.readouterr().out


def test_a_missing_key_ends_in_an_error(run, endpoint, stored, monkeypatch):
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(TooManyFailures):
        run(SAID[:2], LIMIT)
    assert stored().record.calls["val"]["fallbacks"] == {"no_key": 2} and endpoint.calls == 0


@pytest.mark.parametrize(("failing", "error"), [(2, False), (3, True)])
def test_the_share_is_a_limit_that_is_allowed(run, endpoint, failing, error):
    bad = set(SAID[:failing])
    endpoint.answer = lambda body: down(body) if asked(body) in bad else reply(RED_QUERY)
    if error:
        with pytest.raises(TooManyFailures):
            run(SAID, LIMIT)
    else:
        assert run(SAID, LIMIT).record.calls["val"]["fallbacks"] == {"server_error": failing}


def test_a_mended_endpoint_is_asked_for_the_missing_half_alone(run, endpoint, stored):
    bad = set(SAID[::2])
    endpoint.answer = lambda body: down(body) if asked(body) in bad else reply(RED_QUERY)
    with pytest.raises(TooManyFailures):
        run(SAID, LIMIT)
    assert endpoint.calls == 10
    endpoint.answer = lambda body: reply(RED_QUERY)
    done = run(SAID, LIMIT)
    assert Counter(asked(body) for body in endpoint.bodies[10:]) == Counter(bad)
    assert done.record.state is RunState.DONE and done.record.calls["val"]["fallbacks"] == {}
    assert (vlm_cost(done)["requests"], vlm_cost(done)["cached"]) == (10, 5)
    assert (answers(done)["score"] == 1).all()


def test_what_the_budget_holds_back_is_no_failed_call(run, endpoint):
    endpoint.answer = lambda body: reply(RED_QUERY)
    done = run(SAID, LIMIT, "model.rewriter.budget.calls=3")
    assert done.record.calls["val"]["fallbacks"] == {"budget": 7}
    endpoint.answer = down  # and hides none
    with pytest.raises(TooManyFailures):
        run(SAID, LIMIT, "model.rewriter.budget.calls=3", "model.rewriter.cache=null", "rerun=true")


def test_the_calibration_ends_in_an_error_as_well(run, endpoint, stored):
    endpoint.answer = down
    with pytest.raises(TooManyFailures):
        run((), LIMIT, *FITTED, pictures=PHASES)
    assert stored().record.calls == {"calibration": {
        "requests": 3, "cached": 0, "tokens_in": 0, "tokens_out": 0, "fallbacks": {"server_error": 3}}
    }  # fmt: skip
    assert not (stored().directory / "calibration.json").exists()


def test_fallbacks_are_counted_and_shown_in_every_phase(run, endpoint, compose, capsys):
    queries = {"crimson": "red", "azure": "blue"}

    def answer(body: dict) -> Response:
        sentence = asked(body)
        return reply(json.dumps({"query": queries[sentence]})) if sentence in queries else down(body)

    endpoint.answer = answer
    done = run((), *FITTED, "model.budget=5", pictures=PHASES)
    evaluate(compose(f"run={done.directory}", "split=test", "trusted_packages=[tests]", command="evaluate"))
    robustness = ["analysis=[robustness,cost]", "analysis.robustness.perturbations=[noise]",
                  "analysis.robustness.strengths=[1]", "statistics.n_resamples=50"]  # fmt: skip
    endpoint.answer = down
    evaluate(compose(f"run={done.directory}", *robustness, "trusted_packages=[tests]", command="evaluate"))
    calls = Run(done.directory).record.calls
    perturbed = "val, PerturbationView(name='noise', level=4)"
    assert list(calls) == ["calibration", "val", "test", perturbed]
    by_phase = {phase: (counts["requests"], counts["fallbacks"]) for phase, counts in calls.items()}
    assert by_phase["calibration"] == (3, {"server_error": 1}) and by_phase[perturbed] == (1, {"server_error": 1})
    printed = capsys.readouterr().out
    assert "calibration: 1 of 3 calls without an answer (server_error 1)" in printed
    assert f"{perturbed}: 1 of 1 call without an answer (server_error 1)" in printed
    totals = json.loads((done.directory / "analysis" / "cost.json").read_text())
    assert totals["calibration"]["fallbacks"] == {"server_error": 1}
    (result,) = open_results([done.directory])
    cost = provenance.cost(result)
    rows = {row[0]: list(row[1:]) for block in cost.blocks[2:] for row in block.rows}
    assert rows["calibration"] == ["3", "0", "server_error 1"] and rows[perturbed][-1] == "server_error 1"


def test_the_counts_of_a_stopped_run_are_neither_lost_nor_doubled(run, endpoint, stored, monkeypatch):
    pictures = [Picture(f"v{index}", "val", {f"crimson {index}": RED, f"red {index}": RED}) for index in range(3)]
    endpoint.answer = lambda body: down(body) if "crimson" in asked(body) else reply(RED_QUERY)
    original_step = LoopModule.predict_step

    def stopping(self, batch, batch_idx):
        if batch_idx == 2:
            raise Interrupted("stopped")
        return original_step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(LoopModule, "predict_step", stopping)
        with pytest.raises(Interrupted):
            run((), "data.batch_size=1", pictures=pictures)
    assert stored().record.calls["val"]["fallbacks"] == {"server_error": 2}
    done = run((), "data.batch_size=1", pictures=pictures)
    assert done.record.resumed == 1 and endpoint.calls == 6
    calls = done.record.calls["val"]
    assert (calls["requests"], calls["cached"], calls["fallbacks"]) == (6, 0, {"server_error": 3})
    assert {name: vlm_cost(done)[name] for name in calls} == calls


def test_a_dead_endpoint_is_left_alone_and_the_run_does_not_go_on_for_hours(run, endpoint, stored):
    endpoint.answer = down
    pictures = [Picture(f"v{index}", "val", {f"crimson {n}": RED for n in range(20)}) for index in range(6)]
    with pytest.raises(TooManyFailures):
        run((), LIMIT, "model.rewriter.breaker.failures=4", "data.batch_size=1", pictures=pictures)
    assert endpoint.calls == 4
    assert stored().record.calls["val"]["fallbacks"] == {"server_error": 4, "circuit_open": 16}  # of the first picture
