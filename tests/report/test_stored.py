"""What a report shows of loss weights and robustness, and of several tasks."""

import numpy as np
import pandas as pd
import pytest
from tests.report.conftest import CLASSES, predictions
from tests.report.reading import sections, table

from hallmark.report.content import Charts, Paragraph, SampleCards, Table
from hallmark.report.gather import gather
from hallmark.runs.predictions import write_predictions
from hallmark.storage.files import write_csv


def charts(section) -> list[str]:
    return [chart.name for block in section.blocks if isinstance(block, Charts) for chart in block.charts]


@pytest.fixture
def trace():
    columns = {f"{kind}/{term}": [1.0, 2.0] for kind in ("weight", "loss") for term in ("action", "state")}
    return pd.DataFrame({"epoch": [0, 0], "step": [0, 1], **columns})


@pytest.fixture
def measured():
    """A function from a split to `robustness.csv` of it."""

    def measured(split: str) -> pd.DataFrame:
        return pd.DataFrame({
            "task": "main", "metric": "macro_f1", "perturbation": ["clean", "noise"], "strength": [0, 3],
            "value": [0.8, 0.6], "value_low": [0.7, 0.5], "value_high": [0.9, 0.7], "drop": [np.nan, 0.2],
            "drop_low": [np.nan, 0.1], "drop_high": [np.nan, 0.3], "n": 48, "n_groups": 24, "split": split,
            "confidence_level": 0.95,
        })  # fmt: skip

    return measured


@pytest.fixture
def run_of_tasks(make_run):
    """A function from a name and the selecting metric to a run of two tasks on the same rows, the second one worse."""
    first, second = predictions().assign(task="action"), predictions(seed=1, quality=0.5).assign(task="state")
    both = pd.concat([first, second], ignore_index=True).drop(columns="slice_emoji")
    both.attrs = {"classes": dict.fromkeys(("action", "state"), CLASSES), "slices": {}}

    def run_of_tasks(name, metric):
        run = make_run(name, selected={"metric": metric, "value": 0.5})
        write_predictions(run.directory / "predictions" / "val.parquet", both)
        return run

    return run_of_tasks


def test_loss_weights_stand_after_the_learning_curves(make_run, trace):
    run = make_run(rich=True)
    assert "Loss weights" not in sections(gather([run.directory]))
    write_csv(run.directory / "loss_weights.csv", trace)
    titles = list(by_title := sections(gather([run.directory])))
    assert titles.index("Loss weights") == titles.index("Learning curves") + 1
    assert charts(by_title["Loss weights"]) == ["loss-weights"]


def test_one_loss_term_has_no_weight_to_show(make_run, trace):
    run = make_run(rich=True)
    weight = next(str(name) for name in trace if str(name).startswith("weight/"))
    columns = ["epoch", "step", weight, weight.replace("weight/", "loss/")]
    write_csv(run.directory / "loss_weights.csv", trace[[name for name in columns if name in trace]])
    assert "Loss weights" not in sections(gather([run.directory]))


def test_loss_weights_of_a_set_need_every_run(make_set, trace):
    repeats = make_set(seeds=2)
    runs = [member.run.directory for member in repeats.members]
    write_csv(runs[0] / "loss_weights.csv", trace)
    assert "Loss weights" not in sections(gather([repeats.directory]))
    write_csv(runs[1] / "loss_weights.csv", trace)
    assert "Loss weights" in sections(gather([repeats.directory]))


def test_robustness_is_shown_with_its_numbers(make_run, measured):
    run = make_run()
    write_csv(run.directory / "analysis" / "robustness.csv", measured("val"))
    section = sections(gather([run.directory]))["Robustness on validation"]
    assert table(section).rows == [
        ["clean", "0", "0.800 [0.700, 0.900]", "–"],
        ["noise", "3", "0.600 [0.500, 0.700]", "+0.200 [+0.100, +0.300]"],
    ]
    assert charts(section) == ["robustness"]


def test_robustness_on_test_is_shown_only_where_the_seal_was_opened(make_run, measured, open_test_split):
    run = make_run(measured=("val", "test"))
    write_csv(run.directory / "analysis" / "robustness.csv", measured("test"))
    assert "Robustness on test" not in sections(gather([run.directory]))
    open_test_split(run)
    assert "Robustness on test" in sections(gather([run.directory]))


@pytest.mark.parametrize(
    ("metric", "tasks"), [("val/state/macro_f1", ["state"]), ("val/macro_f1", ["action", "state"])]
)
def test_the_value_of_the_selecting_task_leads_or_that_of_each_where_their_mean_selected(run_of_tasks, metric, tasks):
    run = run_of_tasks("one", metric)
    report = gather([run.directory])
    for task in ("action", "state"):
        assert (f"a validation macro F1 of {task} of 0." in report.summary[0]) == (task in tasks)
    led = [highlight.name for highlight in report.highlights if "macro F1" in highlight.name]
    assert led == [f"one: validation macro F1 of {task}" for task in tasks]


def test_results_with_one_task_in_common_are_compared_on_it(run_of_tasks, make_run):
    single = predictions(seed=3).assign(task="action").drop(columns="slice_emoji")
    single.attrs = {"classes": {"action": CLASSES}, "slices": {}}
    alone = make_run("alone")
    write_predictions(alone.directory / "predictions" / "val.parquet", single)
    joint, third = (run_of_tasks(name, "val/macro_f1") for name in ("joint", "third"))
    report = gather([joint.directory, alone.directory, third.directory])
    section = sections(report)["Comparison on validation"]
    heads = [block.columns[0] for block in section.blocks if isinstance(block, Table)]
    assert heads[:4] == [
        f"{metric} of {task}: row − column" for task in ("action", "state") for metric in ("macro F1", "accuracy")
    ]
    texts = [block.text for block in section.blocks if isinstance(block, Paragraph)]
    assert "alone does not predict state, which joint is thus not compared on." in texts


def test_bad_cases_of_several_tasks_name_the_task(run_of_tasks):
    (cases,) = sections(gather([run_of_tasks("one", "val/macro_f1").directory]))["Bad cases"].blocks
    assert isinstance(cases, SampleCards)
    named = [case.note.partition(", ")[0] for case in cases.cases]
    assert named.count("action") == named.count("state") == 6


def test_a_group_does_not_fill_the_bad_cases(make_run):
    frame = predictions(quality=-3.0).assign(group=["A"] * 24 + [f"g{i}" for i in range(24)])
    run = make_run()
    write_predictions(run.directory / "predictions" / "val.parquet", frame)
    (cases,) = sections(gather([run.directory]))["Bad cases"].blocks
    of_one = set(frame.loc[frame["group"] == "A", "id"])
    assert sum(case.id in of_one for case in cases.cases) == 1
