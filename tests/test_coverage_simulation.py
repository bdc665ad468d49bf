import json
import math

import numpy as np
import pytest
from benchmarks.coverage import simulate, write
from benchmarks.simulation.blocks import Plan, run_blocks
from benchmarks.simulation.cells import COVERAGE, KINDS, PERCENTILE, PLAIN, Cell, all_cells
from benchmarks.simulation.rates import Rate, coverage, false_verdicts
from benchmarks.simulation.reference import METRICS, group_sums, true_values
from benchmarks.simulation.world import TASK, World, draw, folds, one_model, seeds

from hallmark.statistics import table_metrics

VERDICTS = "equal 3 seeds"


def test_metrics_of_groups_are_those_of_the_package():
    study = draw(World(), one_model(6), np.random.default_rng(0))
    values = group_sums(study, study.group).metrics(np.ones((1, 6)))
    expected = table_metrics(study.classification())[TASK] | table_metrics(study.segmentation())[TASK]
    assert {name: float(value[0]) for name, value in values.items()} == pytest.approx(
        {name: expected[name] for name in METRICS}
    )


def test_a_group_of_weight_two_counts_like_two_groups():
    study = draw(World(), one_model(3), np.random.default_rng(1))
    once = group_sums(study, study.group).metrics(np.array([[1.0, 2.0, 0.0]]))
    keep = np.concatenate([np.flatnonzero(study.group == group) for group in (0, 1, 1)])
    table = study.classification().iloc[keep]
    assert float(once["auroc"][0]) == pytest.approx(table_metrics(table)[TASK]["auroc"])
    assert float(once["macro_f1"][0]) == pytest.approx(table_metrics(table)[TASK]["macro_f1"])


def test_seeds_see_every_group_and_folds_see_each_once_a_repetition():
    assert seeds(4, 3).models.tolist() == [[0] * 4, [1] * 4, [2] * 4]
    models = folds(10, 5, 3, np.random.default_rng(0)).models
    assert all(np.bincount(row - 5 * index).tolist() == [2] * 5 for index, row in enumerate(models))
    table = draw(World(luck=0.1), folds(10, 5, 3, np.random.default_rng(0)), np.random.default_rng(0)).classification()
    assert table.groupby(["repetition", "group"])["member"].nunique().eq(1).all()
    assert (table.groupby("member")["repetition"].first() == np.repeat([0, 1, 2], 5)).all()


def test_the_luck_of_training_is_shared_by_the_rows_of_a_model():
    """With much luck and no other effect of groups, accuracies of models differ far more than those of groups."""
    world = World(luck=1.0, cell=0.0, group_skill=0.0, group_bias=0.0)
    study = draw(world, seeds(30, 8), np.random.default_rng(0))
    table = study.classification()
    means = [table.groupby(name)["score"].mean().var() for name in ("member", "group")]
    assert means[0] > 4 * means[1]


def test_the_true_difference_of_equal_systems_is_none():
    equal, unequal = (true_values(World(gains=(0.0, gain)), n_draws=8, n_groups=500, seed=0) for gain in (0.0, 0.5))
    assert all(abs(value) < 0.01 for value in equal.values())
    assert all(value > 0.03 for value in unequal.values())


@pytest.mark.parametrize("kind", [PLAIN, VERDICTS])
def test_a_stopped_run_goes_on_with_the_same_numbers(tmp_path, kind):
    cell = Cell(kind, 5)
    at_once, stopped = (Plan(tmp_path / name, 5, 40, block_size=2) for name in ("at_once", "stopped"))
    assert [block.start for block, _ in run_blocks(at_once.blocks(cell), 1)] == [0, 2, 4]
    next(run_blocks(stopped.blocks(cell), 1))
    waiting = [block for block in stopped.blocks(cell) if block.stored() is None]
    assert [block.start for block in waiting] == [2, 4]
    list(run_blocks(waiting, 1))
    expected, values = at_once.values(cell), stopped.values(cell)
    assert all(len(rows) == 5 for rows in expected.values())
    assert {name: rows.tolist() for name, rows in values.items()} == {
        name: rows.tolist() for name, rows in expected.items()
    }


def test_blocks_of_other_settings_or_other_code_are_simulated_again(tmp_path):
    cell = Cell(VERDICTS, 5)
    block = Plan(tmp_path, 1, 40).blocks(cell)[0]
    block.run()
    assert Plan(tmp_path, 1, 41).blocks(cell)[0].stored() is None
    content = json.loads(block.path.read_text())
    block.path.write_text(json.dumps(content | {"settings": content["settings"] | {"code": "another"}}))
    assert block.stored() is None


def test_rates_of_verdicts_come_from_stored_blocks(tmp_path, capsys):
    plan, cell = Plan(tmp_path, 3, 40, block_size=2), Cell(VERDICTS, 5)
    rates = simulate(plan, [cell], 1)
    assert "2 blocks to do" in capsys.readouterr().out
    assert {rate.n for rate in rates[cell].values()} == {3}
    assert simulate(plan, [cell], 1) == rates
    assert "to do" not in capsys.readouterr().out


def test_percentiles_of_four_groups_fall_short_where_the_interval_of_the_package_does_not():
    cell, truth = Cell(PLAIN, 4), true_values(World(), n_draws=8, n_groups=1000, seed=0)
    rows = [cell.simulate(number, 100) for number in range(100)]
    rates = coverage({name: np.array([row[name] for row in rows]) for name in rows[0]}, truth, 4)
    for name in ("accuracy", "miou"):
        assert rates[PERCENTILE + name].share < 0.85
        assert rates[name].share > rates[PERCENTILE + name].share + 0.05
        assert rates[name].holds


def test_an_undefined_interval_covers_nothing():
    ends = np.array([[0.4, 0.6], [0.6, 0.7], [math.nan, math.nan], [0.5, 0.5]])
    assert coverage({"accuracy": ends}, {"accuracy": 0.5}, 6)["accuracy"] == Rate(2, 4, 0.93)


def test_a_bar_holds_within_two_standard_errors():
    # .93 - 2 sqrt(.918 * .082 / 2000) = .9177
    assert Rate(1836, 2000, 0.93).holds and not Rate(1834, 2000, 0.93).holds
    # .05 + 2 sqrt(.06 * .94 / 2000) = .0606
    assert Rate(121, 2000, 0.05, at_most=True).holds and not Rate(123, 2000, 0.05, at_most=True).holds
    assert str(Rate(1834, 2000, 0.93)) == "0.917 (0.006) **falls short**"
    assert str(Rate(1900, 2000)) == "0.950 (0.005)"


def test_a_test_that_always_claims_a_difference_falls_short():
    claims = np.array([[0.001, 1.0]] * 100)
    assert not false_verdicts({"miou": claims})["miou"].holds


def test_every_cell_has_a_row_of_its_table(tmp_path):
    of_intervals, of_verdicts = [*METRICS, *(PERCENTILE + name for name in METRICS)], ["macro_f1"]
    rates = {
        cell: {name: Rate(19, 20) for name in (of_intervals if cell.kind in COVERAGE else of_verdicts)}
        for cell in all_cells()
    }
    tables = json.loads(write("coverage", rates, Plan(tmp_path, 20, 40), tmp_path).read_text())["tables"]
    for kind in COVERAGE:
        assert [row["groups"] for row in tables[kind.replace(" ", "_")]] == [str(n) for n in KINDS[kind].groups]
    assert len(tables["false_verdicts"]) == sum(len(of.groups) for name, of in KINDS.items() if name not in COVERAGE)
    assert tables["one_run"][0]["mIoU"]["text"] == "0.950 (0.049)"
