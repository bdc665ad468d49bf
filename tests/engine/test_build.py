"""Objects are built of the kind that the constructor around them asks for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pytest
from omegaconf import OmegaConf
from torch import nn

from hallmark.checks import SettingError
from hallmark.data.splits import Holdout, SplitPlan
from hallmark.engine.build import build, check_types
from hallmark.learning.module import TrainableModule
from hallmark.learning.optim import Optimizer

OPTIMIZER = {"_target_": "hallmark.learning.optim.Optimizer", "lr": 0.1, "lr_scale": 1.0, "head_lr": 0.1,
             "weight_decay": 0.0, "schedule": "constant", "warmup": 0.0}  # fmt: skip
HOLDOUT = {"_target_": "hallmark.data.splits.Holdout", "val": 0.1, "test": 0.1, "seed": 0}
CALLED = {"_target_": "hallmark.data.augment.LightAugment", "crop": 0.5, "flip": 0.5, "color": 0.0}


class Other(Protocol):
    def another(self) -> None: ...


KINDS = {
    "a class": (HOLDOUT, Holdout, Optimizer),
    "a protocol": (HOLDOUT, SplitPlan, Other),
    "one of several": (HOLDOUT, Optimizer | Holdout | None, Optimizer | None),
    "a function": (CALLED, Callable[[Any, int], Any], str),
    "what is not called": (HOLDOUT, Holdout, Callable[[Any, int], Any]),
    "what makes one": ({**HOLDOUT, "_partial_": True}, Callable[[], Holdout], Callable[[], Optimizer]),
    "one and what makes one": (HOLDOUT, Holdout, Callable[[], Holdout]),
    "what makes one and one": ({**HOLDOUT, "_partial_": True}, Callable[..., SplitPlan], Holdout),
    "a plain value": (HOLDOUT, object, int | str | None),
}


@pytest.mark.parametrize(("node", "right", "wrong"), KINDS.values(), ids=KINDS)
def test_what_is_asked_for_and_what_is_not(node, right, wrong):
    config = OmegaConf.create({"part": node})
    build(config.part, right)
    with pytest.raises(SettingError) as caught:
        build(config.part, wrong)
    assert caught.value.key == "part._target_" and caught.value.value == node["_target_"]


class Parts:
    """Stands for a class of Hallmark."""

    def __init__(
        self, *, listed: Sequence[Holdout], named: Mapping[str, Holdout | None], options: Mapping[str, Any],
        either: Holdout | str, untyped: Any,
    ) -> None:  # fmt: skip
        self.parts = [listed, named, options, either, untyped]


Parts.__module__ = "hallmark.parts"


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        ("listed", [HOLDOUT], None), ("listed", [HOLDOUT, OPTIMIZER], "listed[1]"), ("listed", HOLDOUT, "listed"),
        ("named", {"a": HOLDOUT}, None), ("named", {"a": OPTIMIZER}, "named.a"),
        ("named", {"a": [HOLDOUT]}, "named.a[0]"),
        ("options", {"a": 1}, None), ("options", {"a": HOLDOUT}, "options.a"), ("options", {"a": [{"b": HOLDOUT}]},
        "options.a[0].b"), ("either", HOLDOUT, None), ("either", OPTIMIZER, "either"), ("untyped", HOLDOUT, "untyped"),
    ],
)  # fmt: skip
def test_parts_of_a_class(monkeypatch, name, value, refused):
    monkeypatch.setattr("hallmark.data.splits.Parts", Parts, raising=False)
    config = OmegaConf.create({"_target_": "hallmark.data.splits.Parts", name: value})
    if refused is None:
        check_types(config)
        return
    with pytest.raises(SettingError) as caught:
        check_types(config)
    assert caught.value.key == f"{refused}._target_"


@pytest.mark.parametrize("extra", [{"_args_": [1]}, {"_args_": []}, {"_recursive_": False}, {"_recursive_": True}])
def test_keys_by_which_arguments_are_not_what_they_look_like(extra):
    config = OmegaConf.create({"part": {**HOLDOUT, **extra}})
    with pytest.raises(SettingError) as caught:
        build(config.part, Holdout)
    assert caught.value.key == f"part.{next(iter(extra))}"


def test_arguments_of_a_base_class_are_known():
    config = OmegaConf.create(
        {"_target_": "hallmark.systems.refseg.training.proposer.PromptDataModule", "split": OPTIMIZER}
    )
    with pytest.raises(SettingError) as caught:
        check_types(config)
    assert caught.value.key == "split._target_"


def test_an_argument_that_a_class_does_not_have_is_named_with_the_nearest():
    for value in (0.1, HOLDOUT):
        config = OmegaConf.create({"optimizer": {**OPTIMIZER, "weight_decoy": value}})
        with pytest.raises(SettingError, match="did you mean weight_decay") as caught:
            check_types(config)
        assert caught.value.key == "optimizer.weight_decoy"


class Hiding(TrainableModule):
    """A model that keeps `attribute` under `name`."""

    def __init__(self, *, name: str, attribute: Any) -> None:
        super().__init__(encoders={}, head=nn.Identity(), optimizer=None, freeze_epochs=0)
        setattr(self, name, attribute)

    inputs = validation_metrics = None  # type: ignore[assignment]

    def predict_step(self, batch: Any, batch_idx: int) -> None: ...


@pytest.mark.parametrize(("name", "attribute"), [("log_train_loss", nn.MSELoss()), ("table", 5)])
def test_an_attribute_with_the_name_of_a_method_of_a_base_is_refused(monkeypatch, name, attribute):
    monkeypatch.setattr("hallmark.learning.module.Hiding", Hiding, raising=False)
    monkeypatch.setattr(Hiding, "__module__", "hallmark.learning.module")
    node = OmegaConf.create({"_target_": "hallmark.learning.module.Hiding"})
    assert build(node, name="loss_function", attribute=attribute).loss_function is attribute
    with pytest.raises(ValueError, match=f"attribute {name} has the name of a method of "):
        build(node, name=name, attribute=attribute)
