import math
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from hallmark.analysis.multitask.task_table import TaskTable, mean_rank, relative_gain
from hallmark.analysis.multitask.task_views import SINGLE, task_figure, task_texts
from hallmark.statistics import Resampling, all_intervals

SETTINGS = Resampling(0.9, 80, 5)
CLASSES = ["cat", "dog"]
JOBS = {"action": "only_action", "state": "only_state"}


def compared(**changes):
    return TaskTable(**{"single": JOBS, "metrics": ["accuracy"], "statistics": SETTINGS, **changes})


def joined(*parts):
    both = pd.concat(parts, ignore_index=True)
    both.attrs = {"classes": dict.fromkeys(both["task"].unique(), CLASSES), "slices": {}}
    return both


@pytest.fixture
def rows(table):
    """A function from a task and how many of 20 rows (10 groups) are wrong, the first ones, to their predictions."""

    def rows(task, wrong, sure=0.8):
        target = CLASSES * 10
        shares = [
            [p, 1 - p] if name == "cat" else [1 - p, p]
            for name, p in zip(target, [1 - sure if i < wrong else sure for i in range(20)], strict=True)
        ]
        return table(target, shares, groups=[f"g{i // 2}" for i in range(20)], task=task)

    return rows


@pytest.fixture
def jobs(rows):
    """Accuracies of action and state: single-task 0.5 and 0.8, joint 0.6 and 0.72 less, as good, worse."""
    return {
        "only_action": rows("action", 10),
        "only_state": rows("state", 4),
        "mixed": joined(rows("action", 8), rows("state", 6)),
        "worse": joined(rows("action", 12), rows("state", 6)),
    }


@pytest.fixture
def random_jobs(random_table):
    """Sets of three seeds with 60 rows in 6 groups: two single-task ones and two joint ones."""

    def task(name, seed, quality):
        frame = random_table(60, seed=seed, quality=quality)
        frame = frame.assign(task=name, group=[f"g{i % 6}" for i in range(60)])
        frame.attrs = {"classes": {name: CLASSES}, "slices": {}}
        return frame

    def seeds(first, quality, *names):
        parts = [
            task(name, 10 * first + 3 * index + t, quality).assign(
                repetition=index, member=index, id=lambda predictions, index=index: predictions["id"] + f"@seed {index}"
            )
            for t, name in enumerate(names)
            for index in range(3)
        ]
        return joined(*parts)

    return {
        "only_action": seeds(1, 1.0, "action"),
        "joint": seeds(2, 1.6, "action", "state"),
        "only_state": seeds(3, 1.2, "state"),
        "other": seeds(4, 0.8, "state", "action"),
    }


def test_delta_m_and_ranks_by_hand(jobs):
    table = compared().table(jobs).set_index("method")
    assert list(table.index) == [SINGLE, "mixed", "worse"]
    assert table["action/accuracy"].tolist() == pytest.approx([0.5, 0.6, 0.4])
    assert table["state/accuracy"].tolist() == pytest.approx([0.8, 0.7, 0.7])
    assert table["delta_m"].tolist() == pytest.approx([0, (20 - 12.5) / 2, (-20 - 12.5) / 2])
    assert table["mean_rank"].tolist() == pytest.approx([(2 + 1) / 2, (1 + 2.5) / 2, (3 + 2.5) / 2])
    assert table.loc[SINGLE, ["delta_m_low", "delta_m_high"]].isna().all()  # it is the reference itself


def test_the_sign_follows_the_direction_of_the_metric():
    scores = np.array([[[0.5], [0.2]], [[0.6], [0.3]]])
    lower = np.array([False, True])
    assert relative_gain(scores, lower)[:, 0].tolist() == pytest.approx([0, (20 - 50) / 2])
    assert mean_rank(scores, lower)[:, 0].tolist() == [1.5, 1.5]
    assert np.isnan(relative_gain(scores * [[[0], [1]]], lower)).all()


def test_a_method_equal_to_the_single_task_models_gains_nothing_and_has_no_interval(jobs):
    jobs["same"] = joined(jobs["only_action"], jobs["only_state"])
    same = compared(metrics=["accuracy", "brier"]).table(jobs).set_index("method").loc["same"]
    assert same["delta_m"] == 0 and math.isnan(same["delta_m_low"])


def test_every_interval_is_that_of_the_metric_alone(random_jobs):
    table = compared(metrics=["macro_f1", "auroc"]).table(random_jobs).set_index("method")
    for method, job in ((SINGLE, "only_action"), ("joint", "joint"), ("other", "other")):
        frame = random_jobs[job]
        for metric in ("macro_f1", "auroc"):
            expected = all_intervals(frame[frame["task"] == "action"], [metric], resampling=SETTINGS)[metric]
            interval = table.loc[method, [f"action/{metric}{end}" for end in ("", "_low", "_high")]]
            assert interval.tolist() == pytest.approx([expected.estimate, expected.low, expected.high])


def test_delta_m_has_the_interval_of_its_own_resamples(random_jobs):
    """Against Δm and ranks of repeated rows, for weights of groups and of models."""
    analysis = compared(metrics=["macro_f1"])
    samples, units = analysis._aligned(analysis._methods(random_jobs))
    weights = np.random.default_rng(0).integers(1, 3, size=(5, units.n_groups, units.n_models)).astype(float)
    values = analysis._evaluate(samples)(weights)
    methods = {SINGLE: ["only_action", "only_state"], "joint": ["joint"] * 2, "other": ["other"] * 2}
    names = {f"g{i}": i for i in range(6)}

    def score(job, task, resample):
        table = random_jobs[job]
        each, shares = [], resample.mean(axis=0)
        for repetition in range(3):
            part = table[(table["task"] == task) & (table["repetition"] == repetition)]
            part = part.loc[part.index.repeat(resample[part["group"].map(names), repetition].astype(int))]
            each.append(f1_score(part["target"], part["prediction"], labels=part["target"].unique(), average="macro"))
        return np.average(each, weights=shares)

    scores = np.array([
        [[score(job, task, resample) for resample in weights] for task, job in zip(JOBS, chosen, strict=True)]
        for chosen in methods.values()
    ])  # fmt: skip
    gains = 100 * ((scores - scores[:1]) / scores[:1]).mean(axis=1)
    better = scores[:, None] < scores[None]
    ranks = (1 + better.sum(axis=1) + ((scores[:, None] == scores[None]).sum(axis=1) - 1) / 2).mean(axis=1)
    for position, method in enumerate(methods):
        assert values[f"{method}\tdelta_m"] == pytest.approx(gains[position])
        assert values[f"{method}\tmean_rank"] == pytest.approx(ranks[position])
    table = analysis.table(random_jobs).set_index("method")
    assert (table["mean_rank_low"] >= 1).all() and (table["mean_rank_high"] <= 3).all()


def test_mean_and_deviation_are_over_the_runs(random_jobs):
    table = compared(metrics=["accuracy", "macro_f1"]).table(random_jobs).set_index("method")
    frame = random_jobs["joint"]
    parts = [part for _, part in frame[frame["task"] == "state"].groupby("repetition")]
    scores = [f1_score(part["target"], part["prediction"], average="macro") for part in parts]
    row = table.loc["joint"]
    expected = (np.mean(scores), np.std(scores, ddof=1))
    assert (row["state/macro_f1_mean"], row["state/macro_f1_std"]) == pytest.approx(expected)
    assert (table["runs"] == 3).all()


def test_single_runs_have_no_deviation(jobs):
    table = compared().table(jobs)
    assert table["action/accuracy_std"].isna().all() and (table["runs"] == 1).all()
    assert task_texts(table)["action: accuracy"].iloc[0].startswith("0.500 [")


def test_groups_of_one_task_only_are_resampled_with_the_others(rows):
    """The labels of state are of other groups than those of action: each metric keeps its value."""
    state = rows("state", 4).assign(group=[f"s{i}" for i in range(20)])
    table = compared().table({"only_action": rows("action", 10), "only_state": state}).iloc[0]
    assert (table["action/accuracy"], table["state/accuracy"]) == pytest.approx((0.5, 0.8))
    assert table["state/accuracy_low"] < 0.8 < table["state/accuracy_high"]


def test_a_method_without_every_task_has_neither_delta_nor_rank(jobs, rows):
    ranks = compared().table(jobs)["mean_rank"].tolist()
    jobs["part"] = rows("action", 0)
    table = compared().table(jobs).set_index("method")
    assert table.loc["part", "action/accuracy"] == 1
    assert table.loc["part", ["delta_m", "mean_rank", "state/accuracy"]].isna().all()
    assert table["mean_rank"].dropna().tolist() == ranks


def test_other_rows_are_refused_by_the_name_of_the_job(jobs):
    jobs["worse"] = jobs["worse"].iloc[1:]
    message = "only_action (the first table) and worse (the second): the tables must have the same labelled ids"
    with pytest.raises(ValueError, match=re.escape(message)):
        compared().table(jobs)


def test_unequal_numbers_of_repetitions_are_refused(random_jobs):
    frame = random_jobs["only_state"]
    fewer = frame[frame["repetition"] < 2]
    with pytest.raises(ValueError, match=r"equally many models.*3 of only_action, 2 of only_state"):
        compared().table({"only_action": random_jobs["only_action"], "only_state": fewer})


@pytest.mark.parametrize(
    ("single", "message"),
    [
        ({"action": "onlyaction"}, r"^single\.action='onlyaction': expected one of the jobs only_action, only_state"),
        ({"state": "only_action"}, r"^single\.state='only_action': expected a job that predicts state"),
    ],
)
def test_a_single_task_job_must_be_there_with_its_task(jobs, single, message):
    with pytest.raises(ValueError, match=message):
        compared(single=single).table(jobs)


@pytest.mark.parametrize(("key", "value"), [("single", {}), ("metrics", [])])
def test_nonsense_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        compared(**{key: value})


def test_the_markdown_has_a_line_a_method(random_jobs):
    task_table = compared()
    table = task_table.table(random_jobs).assign(seconds=[90.0, 30.0, 45.0])
    lines = task_table.markdown(table).splitlines()
    assert "Split `val`" in lines[0] and "80 times (seed 5)" in lines[0]
    assert lines[2] == "| method | Δm % | mean rank | action: accuracy | state: accuracy | runs | minutes |"
    assert lines[4].startswith(f"| {SINGLE} | +0.0 | ") and lines[4].endswith("| 3 seeds | 1.5 |")
    assert re.search(r"\| 0\.\d{3} ± 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\] \|", lines[5])


def test_the_figure_has_a_panel_a_column_and_a_dot_a_method(jobs, rows):
    jobs["part"] = rows("action", 0)
    table = compared().table(jobs)
    axes = [ax for ax in task_figure(table).axes if ax.axison]
    titles = [ax.get_title(loc="left") for ax in axes]
    assert titles == ["Δm in %", "mean rank (1: best)", "action: accuracy", "state: accuracy"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == [SINGLE, "mixed", "worse", "part"]
    lines = [line for line in axes[2].lines if line.get_marker() in "os"]
    dots = {(float(x), int(y)) for line in lines for x, y in zip(*line.get_data(), strict=True)}
    assert {(round(x, 6), y) for x, y in dots} == {(0.5, 0), (0.6, 1), (0.4, 2), (1.0, 3)}
