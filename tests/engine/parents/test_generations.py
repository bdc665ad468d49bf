"""Parents of parents: what a member was fitted or selected on counts for everything that is made with it."""

import pandas as pd
import pytest
from tests.engine.cascading import RUNS, TYPED, write_preset

from hallmark.data.leakage import LeakageError
from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.runs.record import RunState
from hallmark.runs.run import Run

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report")]

MEMBER = ("experiment=digits_classifier", "data.classes=['0','1','2']", "data.split.calibration=0.2",
          "data.split.meta=0.2", "model.width=2", "trainer.max_epochs=1")  # fmt: skip
STACK = "parents.stack.overrides=['model.rows=meta','model.members=[narrow,plain]','~parents.wide',{}]"
GIVEN = "'parents.narrow={}','parents.plain={}'"


@pytest.fixture
def cascade(typed, tmp_path):
    """A function from overrides to the configuration of the cascade."""
    search = f"hydra.searchpath=['file://{write_preset(tmp_path / 'conf')}']"
    return lambda *overrides: typed(search, *TYPED, *overrides, command="train")


def kinds_of(error: LeakageError) -> set[tuple[str, str, str]]:
    columns = ["kind", "first_split", "second_split"]
    return set(error.findings[columns].itertuples(index=False, name=None))


def test_each_generation_is_fitted_on_rows_of_its_own(cascade, tmp_path):
    config = cascade()
    train(config)
    run = Job.of(config).run
    runs_of = {
        name: [Run(path.parent) for path in (tmp_path / "outputs").glob(f"{name}/*/record.json")] for name in RUNS
    }
    assert {name: len(runs) for name, runs in runs_of.items()} == RUNS
    read = {name: sorted(runs[0].record.fitted_on) for name, runs in runs_of.items()}
    assert read == {
        "digits_classifier": ["train", "val"],
        "digits_stack": ["meta", "train", "val"],
        "cascade": ["calibration", "train", "val"],
    }
    names = ("filter", "stack", "stack/narrow", "stack/plain")
    assert {name: run.record.leakage["checks"][f"fitted by parent {name}"] for name in names} == dict.fromkeys(
        names, "clean"
    )


def test_a_member_of_another_split_stops_the_stack_that_would_be_made_of_it(cascade, fit, tmp_path):
    member = fit(*MEMBER, "data.split.seed=1")
    config = cascade(STACK.format(GIVEN.format(member.directory, member.directory)))
    with pytest.raises(LeakageError) as raised:
        train(config)
    assert {kind for kind, *_ in kinds_of(raised.value)} == {"fitted by parent narrow", "fitted by parent plain"}
    assert not (Job.of(config).directory / "record.json").exists()
    (stack,) = (tmp_path / "outputs").glob("digits_stack/*/record.json")
    assert Run(stack.parent).record.state is RunState.FAILED


def test_a_member_that_selected_on_test_rows_stops_what_is_made_of_a_stack_of_it(cascade, fit, tmp_path):
    plain = fit(*MEMBER)
    splits = pd.read_csv(plain.directory / "splits.csv", dtype=str)
    splits["split"] = splits["split"].replace({"val": "test", "test": "val"})
    splits.to_csv(tmp_path / "swapped.csv", index=False)
    swapped = [each for each in MEMBER if not each.startswith("data.split")]
    narrow = fit(*swapped, "data/split=from_file", f"data.split.path={tmp_path / 'swapped.csv'}")
    parents = (f"+parents.narrow={narrow.directory}", f"+parents.plain={plain.directory}")
    stack = fit(
        "experiment=digits_stack", *MEMBER[1:4], "model.rows=meta", "model.members=[narrow,plain]", "~parents.wide",
        *(each.removeprefix("+") for each in parents), "data.leakage=report",
    )  # fmt: skip
    assert stack.record.leakage["fitted_test"] == {"narrow": stack.record.splits["test"]["n"]}
    with pytest.raises(LeakageError) as raised:
        train(cascade(f"parents.stack={stack.directory}"))
    assert kinds_of(raised.value) == {("fitted by parent stack/narrow", "test", "val")}


def test_two_generations_are_not_fitted_on_the_same_rows(cascade):
    config = cascade("model.split=meta")
    for _ in range(2):  # nor when it is typed again
        with pytest.raises(LeakageError) as raised:
            train(config)
        assert kinds_of(raised.value) == {("fitted by parent stack", "meta", "meta")}
    assert Job.of(config).run.record.state is RunState.FAILED
