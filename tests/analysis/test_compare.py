import pytest

from hallmark.analysis.compare import Compare, compare_figure, run_names, verdict
from hallmark.runs.predictions import write_predictions
from hallmark.statistics import metric_interval, paired_difference

RESAMPLING = {"level": 0.9, "repeats": 200, "seed": 1}


def compare(baseline="base", metrics=("accuracy", "macro_f1"), **changes):
    return Compare(baseline, list(metrics), **{**RESAMPLING, **changes})


@pytest.fixture
def runs(tmp_path, random_table):
    """A function that writes predictions of some quality as a finished run and gives its directory."""

    def write(name, quality):
        predictions = random_table(80, seed=6, quality=quality)
        write_predictions(tmp_path / name / "predictions" / "val.parquet", predictions)
        return str(tmp_path / name)

    return write


def test_values_are_those_of_the_statistics(runs, random_table):
    this, other = random_table(80, seed=5, quality=3.0), random_table(80, seed=6, quality=0.2)
    found = compare().table(this, {"old": other}).set_index("metric")
    assert found.index.tolist() == ["accuracy", "macro_f1"]
    row = found.loc["accuracy"]
    own, theirs = (metric_interval(t, "accuracy", **RESAMPLING) for t in (this, other))
    paired = paired_difference(other, this, "accuracy", **RESAMPLING)
    assert (row["value"], row["value_low"], row["value_high"]) == (own.estimate, own.low, own.high)
    assert row["baseline_value"] == theirs.estimate
    assert row["difference"] == pytest.approx(own.estimate - theirs.estimate) and row["difference"] > 0
    assert (row["difference_low"], row["p_value"]) == (paired.difference.low, paired.p_value)
    assert (row["n"], row["n_groups"]) == (80, 80)
    assert row["verdict"].startswith("this run is better at the 90 % level: accuracy +")


def test_the_verdict_names_the_better_run_whichever_it_is(random_table):
    good, bad = random_table(80, seed=5, quality=3.0), random_table(80, seed=6, quality=0.2)
    worse = paired_difference(good, bad, "accuracy", **RESAMPLING)
    same = paired_difference(good, good, "accuracy", **RESAMPLING)
    assert verdict(worse, "clip/1").startswith("clip/1 is better")
    assert verdict(same, "clip/1").startswith("cannot be told apart")


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
    assert len(rows) == 6 and all(row.count("|") == 9 for row in rows)
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
    with pytest.raises(ValueError, match=r"nowhere.predictions.val\.parquet"):
        compare(str(tmp_path / "nowhere")).run(make_state(random_table(10, seed=0)))


def test_a_baseline_on_other_rows_is_named(random_table):
    with pytest.raises(ValueError, match=r"baseline old .*labelled ids"):
        compare().table(random_table(20, seed=0), {"old": random_table(24, seed=0)})


def test_a_baseline_without_the_task_is_named(random_table):
    with pytest.raises(ValueError, match="baseline old"):
        compare().table(random_table(20, seed=0), {"old": random_table(20, seed=0).assign(task="other")})


def test_unlabelled_rows_are_left_out(table):
    predictions = table(["cat", "dog", None], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    assert compare().table(predictions, {"old": predictions})["n"].tolist() == [2, 2]


def test_names_are_short_where_that_tells_the_runs_apart(tmp_path):
    assert run_names([tmp_path / "x" / "1", tmp_path / "y" / "1"]) == ["x/1", "y/1"]
    twins = [tmp_path / "p" / "x" / "1", tmp_path / "q" / "x" / "1"]
    assert run_names(twins) == [str(path) for path in twins]


@pytest.mark.parametrize(
    ("key", "value"),
    [("baseline", []), ("metrics", []), ("metrics", ["acc"]), ("level", 0), ("repeats", 3)],
)
def test_nonsense_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        compare(**{key: value})
