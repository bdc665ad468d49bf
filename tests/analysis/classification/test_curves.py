from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from hallmark.analysis.classification.curves import Curves, confusion_figure, pr_roc
from hallmark.statistics import Resampling, table_metrics

CURVES = Curves(statistics=Resampling(0.9, 100, 0))


@pytest.fixture
def four(table):
    """Scores of dog 0.1 (cat), 0.4 (dog), 0.35 (cat), 0.8 (dog), and an unlabelled row."""
    shares = [[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8], [0.5, 0.5]]
    return table(["cat", "dog", "cat", "dog", None], shares)


def test_areas_by_hand(table):
    # Scores of dog, from the top: 0.9 dog, 0.7 cat, 0.6 dog, 0.2 cat.
    # 3 of the 4 pairs are in order; average precision is (1 / 1 + 2 / 3) / 2.
    shares = [[0.1, 0.9], [0.3, 0.7], [0.4, 0.6], [0.8, 0.2]]
    areas = CURVES.table(table(["dog", "cat", "dog", "cat"], shares)).set_index("class")
    assert areas.loc["dog", "auroc"] == pytest.approx(0.75)
    assert areas.loc["dog", "average_precision"] == pytest.approx(5 / 6)
    assert areas.index.tolist() == ["dog"] and areas["n"].tolist() == [4] and areas["n_positive"].tolist() == [2]
    assert (areas["auroc_low"] <= areas["auroc"]).all() and (areas["auroc"] <= areas["auroc_high"]).all()


def test_of_two_classes_the_area_is_that_of_all_other_pages(table):
    """float32 leaves the first class a probability of 1 in three of the rows."""
    shares = np.array([[1.0, 1e-9], [1.0, 1e-8], [1.0, 2e-9], [0.5, 0.5]])
    rows = table(["cat", "dog", "cat", "dog"], shares.tolist())
    assert CURVES.table(rows)["auroc"].item() == table_metrics(rows)["main"]["auroc"] == 1
    assert roc_auc_score([1, 0, 1, 0], shares[:, 0]) == 0.75


def test_a_class_without_rows_has_no_areas(table):
    classes = ["cat", "dog", "emu"]
    areas = CURVES.table(table(["cat", "dog"], [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]], classes=classes))
    emu = areas.set_index("class").loc["emu"]
    assert emu["n_positive"] == 0
    assert emu[["average_precision", "auroc", "auroc_low", "auroc_high"]].isna().all()


def test_tables_and_figures(four, make_state, read_csv, assert_drawn):
    history = pd.DataFrame({"epoch": [0, 1], "train/loss": [2.0, 1.0], "val/loss": [2.0, 1.5]})
    state = make_state(four, history=history)
    CURVES.run(state)
    assert read_csv(state.directory, "curves")["n"].tolist() == [4]
    for name in ("learning_curves", "pr_roc", "confusion"):
        assert_drawn(state.directory, name)


def test_the_record_tells_the_selected_epoch(four, make_state, monkeypatch):
    seen = []
    state = make_state(four, history=pd.DataFrame({"epoch": [0, 1], "val/loss": [2.0, 1.0]}))
    chosen = {"metric": "val/loss", "value": 1.0}
    record = SimpleNamespace(selected=chosen)
    monkeypatch.setattr("hallmark.analysis.classification.curves.Record.read", lambda directory: record)
    monkeypatch.setattr(type(state), "save_figure", lambda self, name, figure: seen.append((name, figure)))
    CURVES.run(state)
    name, figure = seen[0]
    assert name == "learning_curves"
    assert "best epoch (1)" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_single_class_and_no_history(table, make_state, assert_drawn):
    state = make_state(table(["cat", "cat"], [[0.9, 0.1], [0.2, 0.8]]))
    CURVES.run(state)
    assert_drawn(state.directory, "confusion")
    assert not (state.directory / "figures" / "learning_curves.png").exists()


def test_nothing_labelled_gives_an_empty_table(table, make_state, read_csv):
    state = make_state(table([None], [[0.5, 0.5]]))
    CURVES.run(state)
    assert read_csv(state.directory, "curves").empty
    assert not (state.directory / "figures").exists()


def test_curves_end_where_they_must(four):
    labeled = four[four["target"].notna()]
    shares = np.stack(labeled["probabilities"])
    left, right = pr_roc(np.array([0, 1, 0, 1]), shares, CURVES.table(four)).axes
    assert [line.get_label() for line in left.get_lines()] == ["dog 1.000"]
    roc = right.get_lines()[0].get_xydata()
    assert roc[0].tolist() == [0, 0] and roc[-1].tolist() == [1, 1]


def test_with_many_classes_the_worst_are_colored_and_named(random_table, make_state):
    classes = [f"class {i}" for i in range(12)]
    predictions = random_table(240, seed=0, classes=classes)
    areas = CURVES.table(predictions)
    left, _ = pr_roc(np.arange(240) % 12, np.stack(predictions["probabilities"]), areas).axes
    named = {text.get_text().rsplit(" ", 1)[0] for text in left.get_legend().get_texts()}
    assert named == set(areas.nsmallest(8, "average_precision")["class"])
    assert len(left.get_lines()) == 12


def test_the_confusion_figure_writes_counts_and_shares_of_rows():
    left, right = confusion_figure(np.array([[3, 1], [0, 0]]), ["cat", "dog"]).axes
    assert [text.get_text() for text in left.texts] == ["3", "1", "0", "0"]
    assert [text.get_text() for text in right.texts] == ["0.75", "0.25", "–", "–"]
    assert left.get_ylabel() == "target" and left.get_xlabel() == "prediction"
