import numpy as np
import pandas as pd
import pytest

from hallmark.checks import SettingError
from hallmark.systems.characters.incremental import study, summary
from hallmark.systems.characters.methods import METHODS

NAMES = np.array(["a", "b", "c", "d", "e", "f"])


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal classes that lie apart."""
    means = 4 * np.random.default_rng(0).normal(size=(len(NAMES), 8))
    noise = np.random.default_rng(seed).normal(size=(len(NAMES), n, 8))
    return (means[:, None] + noise).reshape(-1, 8).astype(np.float32), np.repeat(NAMES, n)


@pytest.fixture(scope="module")
def stages() -> pd.DataFrame:
    return study(drawn(1, 20), drawn(2, 20), stages=[2, 2, 2], orders=2, seed=0)


def test_every_method_is_measured_after_every_stage(stages):
    assert set(METHODS) < set(stages["method"])
    assert (stages.groupby(["method", "order"]).size() == 3).all()
    after = stages.groupby("stage")[["old", "forgetting", "unknown"]].count()
    assert after.loc[0, "old"] == after.loc[0, "forgetting"] == after.loc[2, "unknown"] == 0
    assert after.loc[2, "old"] == after.loc[0, "unknown"] == len(stages) / 3


def test_methods_keep_what_a_fine_tuned_head_forgets(stages):
    results = summary(stages).groupby("method").mean()
    for method in (*METHODS, "joint logistic regression"):
        assert results.loc[method, "final"] > 0.9 and results.loc[method, "forgetting"] < 0.1
    head = results.loc["fine-tuned head"]
    assert head["forgetting"] > 0.3 and head["old"] < head["new"]
    assert head["final"] < results.loc["head with exemplars", "final"]


def test_measures_are_those_of_their_formulas(stages):
    rows = stages[(stages["method"] == "fine-tuned head") & (stages["order"] == 1)]
    first, second, last = (row for _, row in rows.iterrows())
    # Stages are of equal size, so that accuracies are means over them: a is the first's after each, b the second's.
    a = [first["accuracy"], second["old"]]
    b = [second["new"]]
    lost = last["forgetting"]
    of_old = [max(a) + b[0] - 2 * last["old"]]  # (max a − a₃ + b₂ − b₃) with a₃ + b₃ = 2 · old
    assert lost == pytest.approx(of_old[0] / 2)
    assert last["accuracy"] == pytest.approx((last["new"] + 2 * last["old"]) / 3)
    result = summary(stages).loc[("fine-tuned head", 1)]
    assert result["average"] == pytest.approx(rows["accuracy"].mean()) and result["final"] == last["accuracy"]


def test_stages_that_are_not_all_classes_are_refused():
    with pytest.raises(SettingError) as refused:
        study(drawn(1, 3), drawn(2, 3), stages=[2, 2], orders=1, seed=0)
    assert refused.value.key == "stages"
