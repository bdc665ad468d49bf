import re

import numpy as np
import pandas as pd
import pytest

from hallmark.analysis.multitask.loss_weights import LossWeights, loss_weight_curves, read_loss_weights
from hallmark.runs.record import RunState
from hallmark.runs.repeats import RepeatRecord, RepeatSet
from hallmark.storage.files import write_csv


def trace(weights, losses, steps=80):
    """A table of `steps` steps from the weight and the loss of each term, numbers or arrays."""
    columns = {"epoch": np.arange(steps) // 10, "step": np.arange(steps)}
    columns |= {f"weight/{name}": np.broadcast_to(value, steps) for name, value in weights.items()}
    columns |= {f"loss/{name}": np.broadcast_to(value, steps) for name, value in losses.items()}
    return pd.DataFrame(columns)


@pytest.fixture
def table():
    return trace({"action": 3.0, "state": 1.0}, {"action": 2.0, "state": 0.05})


def panels(figure):
    """Of each panel its lines by label; unlabelled ones under `raw`."""
    by_title = {}
    for ax in figure.axes:
        lines = {}
        for line in ax.lines:
            name = line.get_label() if not line.get_label().startswith("_") else "raw"
            lines.setdefault(name, []).append(line)
        by_title[ax.get_title(loc="left")] = lines
    return by_title


def test_weights_shares_and_losses_by_step(table):
    by_title = panels(loss_weight_curves(table))
    assert list(by_title) == ["weight", "share of the weights", "loss, unweighted"]
    expected = {"weight": (3, 1), "share of the weights": (0.75, 0.25), "loss, unweighted": (2, 0.05)}
    for title, values in expected.items():
        for term, value in zip(("action", "state"), values, strict=True):
            (line,) = by_title[title][term]
            assert line.get_xdata().tolist() == list(range(80))
            assert line.get_ydata() == pytest.approx(np.full(80, value))


def test_losses_have_a_logarithmic_axis_and_weights_only_over_decades(table):
    assert [ax.get_yscale() for ax in loss_weight_curves(table).axes] == ["linear", "linear", "log"]
    far = trace({"action": 100.0, "state": 1.0}, {"action": 2.0, "state": 0.05})
    assert [ax.get_yscale() for ax in loss_weight_curves(far).axes] == ["log", "linear", "log"]
    negative = trace({"action": 1.0, "state": 1.0}, {"action": -1.0, "state": 0.05})
    assert loss_weight_curves(negative).axes[2].get_yscale() == "linear"


def test_a_running_mean_lies_over_the_raw_values():
    jagged = np.tile([1.0, 3.0], 40)
    by_title = panels(loss_weight_curves(trace({"action": jagged, "state": 1.0}, {"action": 1.0, "state": 1.0})))
    (smooth,) = by_title["weight"]["action"]
    raw = by_title["weight"]["raw"][0]
    assert raw.get_ydata().tolist() == jagged.tolist() and raw.get_alpha() < 0.5
    assert smooth.get_ydata()[1:] == pytest.approx(2)


def test_terms_that_take_turns_show_their_part_and_not_every_step():
    turns = np.tile([1.0, 0.0], 40)
    by_title = panels(loss_weight_curves(trace({"a": turns, "b": 1 - turns}, {"a": 1.0, "b": 1.0})))
    assert "raw" not in by_title["weight"] and "raw" in by_title["loss, unweighted"]
    assert by_title["weight"]["a"][0].get_ydata()[10:-10] == pytest.approx(0.5)


def test_weights_that_sum_to_nothing_have_no_share():
    by_title = panels(loss_weight_curves(trace({"a": 0.0, "b": 0.0}, {"a": 1.0, "b": 1.0})))
    assert np.isnan(by_title["share of the weights"]["a"][0].get_ydata()).all()


def test_of_very_many_steps_some_are_drawn():
    long = trace({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 1.0}, steps=50_000)
    assert len(panels(loss_weight_curves(long))["weight"]["a"][0].get_xdata()) <= 700


def test_a_single_step_is_a_dot_and_none_is_refused(table):
    assert panels(loss_weight_curves(table.head(1)))["weight"]["state"][0].get_marker() == "o"
    with pytest.raises(ValueError, match="at least one step"):
        loss_weight_curves(table.head(0))


def test_the_analysis_draws_the_table_of_its_run(table, make_state, assert_drawn):
    state = make_state(pd.DataFrame())
    write_csv(state.directory / "loss_weights.csv", table)
    LossWeights().run(state)
    assert_drawn(state.directory, "loss_weights")


def test_of_a_set_each_run_has_its_lines(table, make_state, assert_drawn):
    state = make_state(pd.DataFrame())
    members = [{"note": f"seed {i}", "repetition": i, "directory": f"../{i}"} for i in range(2)]
    record = RepeatRecord("touch", "5e7f", "seeds:2", RunState.DONE, "val/macro_f1", "max", None, [], members)
    RepeatSet.create(state.directory, record)
    for i in range(2):
        write_csv(state.directory.parent / str(i) / "loss_weights.csv", table)
    LossWeights().run(state)
    assert_drawn(state.directory, "loss_weights")
    by_title = panels(loss_weight_curves(*read_loss_weights(state.directory)))
    assert [len(lines["action"]) for lines in by_title.values()] == [2, 2, 2]
    assert all("raw" not in lines for lines in by_title.values())


def test_a_run_with_one_loss_term_has_nothing_to_draw(make_state):
    with pytest.raises(ValueError, match=re.escape("a run with loss_weights.csv, whose model has several loss terms")):
        LossWeights().run(make_state(pd.DataFrame()))


def test_rounding_of_a_constant_weight_is_not_magnified():
    weight = 0.63 + 1e-7 * (np.arange(20) % 2)
    table = pd.DataFrame({"step": range(20), "weight/a": weight, "loss/a": np.linspace(2, 1, 20)})
    low, high = loss_weight_curves(table).axes[0].get_ylim()
    assert low < 0.6 and high > 0.66
