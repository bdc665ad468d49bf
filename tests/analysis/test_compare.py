import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hallmark.analysis.compare import Compare, compare_figure, comparison_markdown, run_names
from hallmark.runs.predictions import write_predictions
from hallmark.runs.record import Provenance, Record, RunState
from hallmark.runs.repeats import RepeatRecord, RepeatSet
from hallmark.statistics import (
    Resampling,
    metric_interval,
    paired_difference,
    rowwise_p_values,
    same_members,
    spread,
    table_metrics,
)
from hallmark.statistics.significance.holm import holm

RESAMPLING = Resampling(0.9, 200, 1)


def compare(baseline="base", metrics=("accuracy", "macro_f1"), **changes):
    return Compare(baseline, list(metrics), **{"statistics": RESAMPLING, **changes})


def pool(tables, note="seed {}", repetition=None):
    """The table of a set of repeats, as `RepeatSet.predictions` gives it."""
    parts = [
        table.assign(
            id=table["id"] + "@" + note.format(i), repetition=i if repetition is None else repetition, member=i
        )
        for i, table in enumerate(tables)
    ]
    pooled = pd.concat(parts, ignore_index=True)
    pooled.attrs = tables[0].attrs
    return pooled


@pytest.fixture
def runs(tmp_path, random_table):
    """A function that writes predictions of some quality as a finished run and gives its directory."""

    def write(name, quality, seed=6):
        directory = tmp_path / name
        write_predictions(directory / "predictions" / "val.parquet", random_table(80, seed=seed, quality=quality))
        experiment, run_id = name.split("/")
        Record(
            name=experiment, run_id=run_id, state=RunState.DONE, provenance=Provenance("", {}), seed=seed, command=[],
            started="", git={}, versions={}, device={}, splits={}, leakage={},
        ).write(directory)  # fmt: skip
        return str(directory)

    return write


@pytest.fixture
def seeds(tmp_path, runs):
    """A function that writes a finished set of three seeds and gives its directory."""

    def write(name, quality, alike=False):
        members = [{"note": f"seed {i}", "repetition": i, "directory": f"../{name}{i}"} for i in range(3)]
        for i in range(3):
            runs(f"{name}/{name}{i}", quality, seed=10 + i * (not alike))
        record = RepeatRecord(name, "set", "seeds:3", RunState.DONE, "val/accuracy", "max", None, [], members)
        return str(RepeatSet.create(tmp_path / name / "set", record).directory)

    return write


def test_values_are_those_of_the_statistics(runs, random_table):
    this, other = random_table(80, seed=5, quality=3.0), random_table(80, seed=6, quality=0.2)
    rows = compare().table(this, {"old": other}).set_index("metric")
    assert rows.index.tolist() == ["accuracy", "macro_f1"]
    row = rows.loc["accuracy"]
    value, baseline = (metric_interval(t, "accuracy", resampling=RESAMPLING) for t in (this, other))
    paired = paired_difference(other, this, "accuracy", resampling=RESAMPLING)
    assert (row["value"], row["value_low"], row["value_high"]) == (value.estimate, value.low, value.high)
    assert row["baseline_value"] == baseline.estimate
    assert row["difference"] == pytest.approx(value.estimate - baseline.estimate) and row["difference"] > 0
    assert (row["difference_low"], row["p_value"]) == (paired.difference.low, paired.p_value)
    assert (row["n"], row["n_groups"]) == (80, 80)
    assert (row["mean"], row["members"]) == (row["value"], 1) and math.isnan(row["std"])
    assert rows["p_holm"].tolist() == pytest.approx(holm(rows["p_value"]))
    assert row["verdict"].startswith("this run is better than old: accuracy +")


def test_the_verdict_names_the_better_run_whichever_it_is(random_table):
    good, bad = random_table(80, seed=5, quality=3.0), random_table(80, seed=6, quality=0.2)
    rows = compare().table(bad, {"clip/1": good, "itself": bad})
    assert rows["verdict"][0].startswith("clip/1 is better than this run: accuracy +") and rows["difference"][0] < 0
    assert rows["verdict"].iloc[-1].startswith("this run and itself do not differ significantly: ")


def test_files(runs, random_table, make_state, read_csv, assert_drawn):
    state = make_state(random_table(80, seed=5, quality=3.0))
    first, second = runs("tf_idf/1", 0.2), runs("fusion/2", 3.0)
    compare([first, second]).run(state)
    table = read_csv(state.directory, "compare")
    assert table[["baseline", "metric"]].to_numpy().tolist() == [
        ["tf_idf/1", "accuracy"], ["tf_idf/1", "macro_f1"], ["fusion/2", "accuracy"], ["fusion/2", "macro_f1"]
    ]  # fmt: skip
    text = (state.directory / "analysis" / "compare.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 6 and all(row.count("|") == 10 for row in rows)
    assert f"{table['value'][0]:.3f} [{table['value_low'][0]:.3f}, {table['value_high'][0]:.3f}]" in rows[2]
    assert "this run is better" in rows[2]
    assert_drawn(state.directory, "compare")


def test_the_figure_has_a_dot_and_a_bar_for_every_run_and_metric(random_table):
    this = random_table(80, seed=5)
    table = compare().table(this, {"a": random_table(80, seed=6), "b": random_table(80, seed=7)})
    (ax,) = compare_figure(table).axes
    assert [container.get_label() for container in ax.containers] == ["this run", "a", "b"]
    assert ax.containers[0].lines[0].get_xdata().tolist() == table["value"].tolist()[:2]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["accuracy", "macro F1"]


def test_a_missing_baseline_is_named(make_state, random_table, tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        compare(str(tmp_path / "nowhere")).run(make_state(random_table(10, seed=0)))


def test_a_baseline_on_other_rows_is_named(random_table):
    with pytest.raises(ValueError, match=r"baseline old .*labelled ids"):
        compare().table(random_table(20, seed=0), {"old": random_table(24, seed=0)})


def test_a_baseline_without_the_task_is_named(random_table):
    with pytest.raises(ValueError, match="baseline old predicts other, this run main: no common task"):
        compare().table(random_table(20, seed=0), {"old": random_table(20, seed=0).assign(task="other")})


def test_only_tasks_that_both_predict_are_compared_and_the_others_are_named(random_table, caplog):
    """A joint run against a run of one of its tasks."""
    pet, toy = random_table(20, seed=0), random_table(20, seed=1).assign(task="toy")
    joint = pd.concat([pet, toy], ignore_index=True)
    joint.attrs = {**pet.attrs, "classes": {name: list(*pet.attrs["classes"].values()) for name in ("main", "toy")}}
    rows = compare().table(joint, {"alone": random_table(20, seed=2), "both": joint})
    assert set(zip(rows["baseline"], rows["task"], strict=True)) == {
        ("alone", "main"),
        ("both", "main"),
        ("both", "toy"),
    }
    assert "alone does not predict toy: compared on main" in caplog.text


def test_verdicts_go_by_the_p_values_adjusted_over_the_whole_table(table):
    """Right on 5 of 40 rows more: p = 2 / 2^5 alone, and three times as much among three such comparisons."""
    right, wrong = [0.9, 0.1], [0.1, 0.9]
    this, other = table(["cat"] * 40, [right] * 40), table(["cat"] * 40, [wrong] * 5 + [right] * 35)
    settings = {"metrics": ["accuracy"], "statistics": replace(RESAMPLING, n_resamples=4000)}
    alone = compare(**settings).table(this, {"a": other})
    assert alone["p_holm"][0] == alone["p_value"][0] == pytest.approx(1 / 16, abs=0.02)
    assert alone["verdict"][0].startswith("this run is better than a: ")
    three = compare(**settings).table(this, dict.fromkeys("abc", other))
    assert three["p_holm"].tolist() == pytest.approx(3 * three["p_value"])
    assert (three["difference_low"] > 0).all() and three["verdict"].str.contains("do not differ significantly").all()
    assert "adjusted by Holm over all 3 comparisons" in comparison_markdown(three, RESAMPLING, "val")


def test_rowwise_tests_stand_beside_their_metrics(random_table):
    this, other = random_table(80, seed=5, quality=1.5), random_table(80, seed=6, quality=0.5)
    rows = compare(metrics=["accuracy", "auroc", "macro_f1"]).table(this, {"old": other}).set_index("metric")
    expected = rowwise_p_values(other, this)
    assert rows.loc["accuracy", "p_mcnemar"] == expected["mcnemar"] < 1
    assert rows.loc["auroc", "p_delong"] == expected["delong"] < 1
    assert rows[["p_mcnemar", "p_delong"]].notna().sum().tolist() == [1, 1]


def test_a_set_against_a_set(random_table):
    qualities = (1.8, 2.2, 2.0)
    this = [random_table(60, seed=20 + i, quality=quality) for i, quality in enumerate(qualities)]
    other = [random_table(60, seed=30 + i, quality=0.3) for i in range(3)]
    row = compare(metrics=["macro_f1"]).table(pool(this), {"old": pool(other)}).iloc[0]
    values, baselines = ([table_metrics(table)["main"]["macro_f1"] for table in tables] for tables in (this, other))
    for prefix, value, expected in (("", "value", spread(values)), ("baseline_", "baseline_value", spread(baselines))):
        assert (row[f"{prefix}mean"], row[f"{prefix}std"]) == pytest.approx((expected.mean, expected.std))
        assert row[f"{prefix}members"] == 3
        assert row[value] == pytest.approx(expected.mean)
    paired = paired_difference(pool(other), pool(this), "macro_f1", resampling=RESAMPLING)
    assert (row["difference_low"], row["p_value"]) == (paired.difference.low, paired.p_value)
    assert "60 rows in 60 groups, 3 models each" in row["verdict"]


@pytest.mark.parametrize("single_first", [True, False])
def test_a_run_stands_in_for_every_member_of_a_set(random_table, single_first):
    single = random_table(60, seed=1, quality=0.3)
    members = pool([random_table(60, seed=20 + i, quality=2.0) for i in range(3)])
    pair = (single, members) if single_first else (members, single)
    row = compare(metrics=["accuracy"]).table(pair[0], {"old": pair[1]}).iloc[0]
    values = [table_metrics(table)["main"]["accuracy"] for table in pair]
    assert row["difference"] == pytest.approx(values[0] - values[1])
    assert (row["n"], row["n_groups"], row["members"]) == (60, 60, 1 if single_first else 3)
    copies = same_members(*pair)[0 if single_first else 1]
    assert copies["id"].tolist() == members["id"].tolist()
    assert np.unique(copies[["repetition", "member"]], axis=0).tolist() == [[0, 0], [1, 1], [2, 2]]


def test_folds_are_compared_with_the_same_folds_only(random_table):
    table = random_table(60, seed=1)
    halves = pool([table.iloc[:30], table.iloc[30:]], note="fold {}", repetition=0)
    row = compare(metrics=["accuracy"]).table(halves, {"old": halves}).iloc[0]
    assert (row["members"], row["difference"], row["n"]) == (2, 0, 60)
    with pytest.raises(ValueError, match=r"baseline old .*a run cannot be compared with folds"):
        compare().table(halves, {"old": table})


def test_sets_over_other_seeds_are_refused(random_table):
    three, two = ([random_table(20, seed=i) for i in range(n)] for n in (3, 2))
    with pytest.raises(ValueError, match="20 of 60 are only in the first"):
        compare().table(pool(two), {"old": pool(three)})


def test_files_of_a_set(seeds, runs, random_table, make_state, read_csv, tmp_path):
    state = make_state(pool([random_table(80, seed=i, quality=2.5) for i in range(3)]))
    compare([seeds("weak", 0.3), runs("single/1", 0.3)]).run(state)
    table = read_csv(state.directory, "compare")
    assert table["baseline"].unique().tolist() == ["weak/set", "single/1"]
    assert table["baseline_members"].tolist() == [3, 3, 1, 1]
    text = (state.directory / "analysis" / "compare.md").read_text()
    over = spread([table_metrics(random_table(80, seed=i, quality=2.5))["main"]["accuracy"] for i in range(3)])
    assert str(over) in text and "± is the standard deviation over 3 seeds of this run, 3 seeds of weak/set." in text
    compare(str(tmp_path / "weak" / "set")).run(state)


def test_a_set_whose_seeds_change_nothing_is_one_model_in_a_comparison(seeds, random_table, make_state, read_csv):
    tables = [random_table(80, seed=i, quality=2.5) for i in range(3)]
    state = make_state(pool(tables))
    compare(seeds("same", 0.3, alike=True), metrics=["accuracy"]).run(state)
    (row,) = read_csv(state.directory, "compare").to_dict("records")
    alone = table_metrics(random_table(80, seed=10, quality=0.3))["main"]["accuracy"]
    assert (row["n"], row["members"], row["baseline_members"], row["baseline_over"]) == (80, 3, 1, "1 seed")
    assert row["baseline_value"] == row["baseline_mean"] == pytest.approx(alone)
    assert pd.isna(pd.to_numeric(row["baseline_std"]))
    mean = np.mean([table_metrics(table)["main"]["accuracy"] for table in tables])
    assert row["difference"] == pytest.approx(mean - alone)
    assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_unlabelled_rows_are_left_out(table):
    predictions = table(["cat", "dog", None], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    assert compare().table(predictions, {"old": predictions})["n"].tolist() == [2, 2]


def test_names_are_short_where_that_tells_the_runs_apart(tmp_path):
    assert run_names([tmp_path / "x" / "1", tmp_path / "y" / "1"]) == ["x/1", "y/1"]
    twins = [tmp_path / "p" / "x" / "1", tmp_path / "q" / "x" / "1"]
    assert run_names(twins) == [str(path) for path in twins]


@pytest.mark.parametrize(
    ("key", "value"),
    [("baseline", []), ("metrics", []), ("metrics", ["acc"])],
)
def test_nonsense_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        compare(**{key: value})
