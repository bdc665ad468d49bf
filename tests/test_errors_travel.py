"""What a user did wrong in another process is told as in this one."""

import importlib
import pickle
import pkgutil

import pandas as pd
import pytest

import hallmark
from hallmark.checks import Interrupted, Portable, SettingError
from hallmark.data.leakage import LeakageError
from hallmark.learning.encoders.weights import MissingWeightsError

FINDINGS = pd.DataFrame([("text", "1", "train", "2", "val")], columns=["kind", "first_id", "first_split", "second_id",
                                                                      "second_split"])  # fmt: skip


@pytest.mark.parametrize(
    "error",
    [
        SettingError("lr", -1, "above 0").under("optimizer"),
        LeakageError(FINDINGS),
        MissingWeightsError("clip.pt", OSError("no network")),
        Interrupted("SIGTERM: stopped after step 3"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_after_a_pickle(error):
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back).keys()) == (type(error), str(error), vars(error).keys())


def test_a_setting_keeps_its_parts():
    back = pickle.loads(pickle.dumps(SettingError("lr", -1, "above 0")))
    assert str(back.under("model")) == "model.lr=-1: expected above 0"


def test_every_error_of_the_package_can_travel():
    for module in pkgutil.walk_packages(hallmark.__path__, "hallmark."):
        if ".sample." not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kinds = [kind for kind in _below(ValueError) if kind.__module__.startswith("hallmark.")]
    assert SettingError in kinds
    assert [kind for kind in kinds if "__init__" in vars(kind) and not issubclass(kind, Portable)] == []


def _below(kind: type) -> set[type]:
    return {kind, *(descendant for child in kind.__subclasses__() for descendant in _below(child))}
