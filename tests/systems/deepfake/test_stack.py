"""The stack as a module: what it is fitted on, what it answers and what it leaves beside its run."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.systems.deepfake.stubs import CLASSES, Detector, Frames

from hallmark.checks import SettingError
from hallmark.runs.metrics import MAIN
from hallmark.runs.parents import Use
from hallmark.statistics import Resampling, table_metrics
from hallmark.systems.deepfake.stack import DeepfakeStack

MEMBERS = ["effnet", "ed", "vae"]
INPUTS = [f"{role}.image" for role in MEMBERS]


def stack(**changes: Any) -> DeepfakeStack:
    settings = {
        "classes": CLASSES, "members": MEMBERS, "rows": "meta", "stackers": ["logistic_regression"], "embedding": None,
        "strength": 1.0, "pooling": "mean", "comparison": Resampling(0.95, 100, 0),
    }  # fmt: skip
    return DeepfakeStack(**{**settings, **changes})


@pytest.fixture(scope="module")
def data() -> Frames:
    return Frames(train=60, meta=80, val=40)


def members(data: Frames) -> dict[str, Detector]:
    return {role: Detector(data.answers(quality, seed)) for seed, (role, quality) in
            enumerate({"effnet": 1.0, "ed": 0.7, "vae": 0.7}.items())}  # fmt: skip


def fit(module: DeepfakeStack, data: Frames, tmp_path) -> None:
    module.attach_parents(members(data))
    module.attach_run(tmp_path)

    def predict(split: str) -> list[Any]:
        assert split == "meta", "rows that are measured, or left to thresholds"
        return [module.predict_step(batch, 0) for batch in data.batches(split, INPUTS)]

    module.calibrate(predict, data)


def table(module: DeepfakeStack, data: Frames) -> pd.DataFrame:
    outputs = [module.predict_step(batch, 0) for batch in data.batches("val", INPUTS)]
    return module.table(outputs, data, "val")


def test_fitted_on_meta_rows_it_is_better_than_its_members(data, tmp_path) -> None:
    module = stack()
    fit(module, data, tmp_path)
    of_stack = table_metrics(table(module, data))
    assert {task: metrics["n"] for task, metrics in of_stack.items()} == {"main": 160, "video": 40}
    target = data.rows("val")["target"] == "fake"
    for member in members(data).values():
        answers = member.fake[data.rows("val")["row"]]
        assert of_stack[MAIN]["log_loss"] < -np.log(np.where(target, answers, 1 - answers)).mean()
    assert of_stack[MAIN]["auroc"] > 0.9


def test_beside_the_run_it_says_what_was_compared_and_what_is_used(data, tmp_path) -> None:
    module = stack(stackers=["logistic_regression", "embedding"], embedding="ed")
    fit(module, data, tmp_path)
    written = pd.read_csv(tmp_path / "stack.csv")
    assert written["stacker"].tolist() == ["logistic_regression", "embedding"]
    used = [*written.loc[written["is_used"], "stacker"]]
    assert module.state["stacker"] == (used[-1] if used else "mean")
    ends = ["log_loss_difference_low", "log_loss_difference", "log_loss_difference_high"]
    assert (written[ends].diff(axis=1).iloc[:, 1:] > 0).all(axis=None)


def test_from_its_stored_state_it_answers_the_same(data, tmp_path) -> None:
    module, again = stack(), stack()
    fit(module, data, tmp_path)
    again.attach_parents(members(data))
    again.attach_run(tmp_path)
    pd.testing.assert_frame_equal(table(module, data), table(again, data))


def test_out_of_fold_it_is_fitted_on_training_rows_in_their_order(data, tmp_path) -> None:
    module = stack(rows="out_of_fold", stackers=[])
    rows = data.rows("train")
    frames = {}
    for role, member in members(data).items():
        answers = member.fake[rows["row"]]
        of_frames = rows.assign(task=MAIN, probabilities=list(np.column_stack([1 - answers, answers])))
        of_videos = of_frames.iloc[:3].assign(task="video", id="x")
        frames[role] = pd.concat([of_frames, of_videos]).sample(frac=1, random_state=1)
    module.out_of_fold = frames
    fit(module, data, tmp_path)
    on_the_same = stack(stackers=[])
    on_the_same.attach_parents(members(data))
    outputs = [on_the_same.predict_step(batch, 0) for batch in data.batches("train", INPUTS)]
    expected = on_the_same.fit(lambda split: outputs, _as_meta(data))
    np.testing.assert_allclose(module.state["slopes"], expected["slopes"], rtol=1e-5)


def _as_meta(data: Frames) -> Frames:
    renamed = Frames(meta=1)
    renamed.samples = data.rows("train").assign(split="meta")
    return renamed


def test_what_it_takes_of_its_parents() -> None:
    uses = {rows: set(DeepfakeStack.parent_roles({"members": MEMBERS, "rows": rows}).values())
            for rows in ("meta", "out_of_fold")}  # fmt: skip
    assert uses == {"meta": {Use.WEIGHTS}, "out_of_fold": {Use.OUT_OF_FOLD}}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"members": ["x"]}, "members"), ({"members": ["x", "x"]}, "members"), ({"stackers": ["median"]}, "stackers"),
        ({"stackers": ["embedding"]}, "embedding"), ({"embedding": "ed"}, "embedding"), ({"strength": 0}, "strength"),
        ({"stackers": ["embedding"], "embedding": "ed", "rows": "out_of_fold"}, "rows"),
        ({"pooling": "sum"}, "pooling"),
    ],
)  # fmt: skip
def test_nonsense_names_its_key(changes, key) -> None:
    with pytest.raises(SettingError) as caught:
        stack(**changes)
    assert caught.value.key == key


def test_too_few_groups_of_a_class_are_refused_by_their_split() -> None:
    for data in (Frames(train=4), Frames(train=4, meta=2)):
        with pytest.raises(SettingError) as caught:
            stack().check_data(data)
        assert caught.value.key == "data.split.meta"
    stack().check_data(Frames(meta=4))
    stack(rows="out_of_fold").check_data(Frames(train=4))
    with pytest.raises(SettingError) as caught:
        stack(rows="out_of_fold").check_data(Frames(train=2, meta=4))
    assert caught.value.key == "data.split.train"


def test_a_member_of_other_classes_is_refused_by_its_role(data) -> None:
    with pytest.raises(SettingError) as caught:
        stack().attach_parents({**members(data), "ed": Detector(np.zeros(1), ["fake", "real"])})
    assert caught.value.key == "ed"
