import numpy as np
import pandas as pd
import pytest

from hallmark.analysis.plots.style import PALETTE
from hallmark.analysis.plots.training_curves import history_panels, learning_curves, selected_epoch


@pytest.fixture
def history():
    return pd.DataFrame(
        {
            "epoch": [0, 1, 2, 3],
            "train/loss": [1.0, 0.8, 0.6, 0.5],
            "lr": [1e-3, 1e-3, 1e-4, 1e-4],
            "val/loss": [1.1, 0.9, np.nan, 0.95],
            "val/macro_f1": [0.3, 0.7, np.nan, 0.6],
            "never": [np.nan] * 4,
        }
    )


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def test_splits_of_a_metric_share_a_panel_and_the_learning_rate_comes_last(history):
    axes = [ax for ax in learning_curves(history).axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in axes] == ["loss", "macro F1", "learning rate"]
    assert set(lines(axes[0])) == {"training", "validation"}
    assert lines(axes[0])["validation"].get_xdata().tolist() == [0, 1, 3]


def test_the_selected_epoch_is_marked_in_every_panel(history):
    figure = learning_curves(history, {"metric": "val/macro_f1", "value": 0.7000001})
    marked = [lines(ax)["best epoch (1)"].get_xdata() for ax in figure.axes if ax.axison]
    assert len(marked) == 3 and all(list(x) == [1, 1] for x in marked)


@pytest.mark.parametrize("selected", [None, {"metric": "val/auroc", "value": 0.5}, {"metric": "never", "value": 1.0}])
def test_no_epoch_is_marked_where_the_history_cannot_tell_it(history, selected):
    assert selected_epoch(history, selected) is None


def test_the_first_of_equal_epochs_is_the_selected_one():
    history = pd.DataFrame({"epoch": [1, 2, 3], "val/accuracy": [0.5, 0.8, 0.8]})
    assert selected_epoch(history, {"metric": "val/accuracy", "value": 0.8}) == 2


@pytest.mark.parametrize("history", [pd.DataFrame(), pd.DataFrame({"epoch": [0, 1]})])
def test_a_history_without_metrics_is_refused(history):
    with pytest.raises(ValueError, match="at least one epoch and one metric"):
        learning_curves(history)


@pytest.fixture
def tasks():
    """Columns as a model of two tasks and three loss terms logs them."""
    names = [
        "train/loss", "train/action", "train/state", "train/reconstruction", "val/loss", "val/macro_f1", "lr-pg1",
        "val/action/loss", "val/action/macro_f1", "val/state/loss", "val/state/macro_f1", "val/reconstruction",
    ]  # fmt: skip
    return pd.DataFrame({"epoch": [0, 1], **{name: [index, index + 1.0] for index, name in enumerate(names)}})


def test_tasks_share_the_panel_of_a_metric_and_terms_that_of_their_losses(tasks):
    panels = history_panels(tasks)
    assert panels == {
        "training loss": ["train/loss"],
        "validation loss": ["val/loss"],
        "loss by term": [
            "train/action", "train/state", "train/reconstruction", "val/action/loss", "val/state/loss",
            "val/reconstruction",
        ],
        "macro F1": ["val/macro_f1", "val/action/macro_f1", "val/state/macro_f1"],
        "learning rate": ["lr-pg1"],
    }  # fmt: skip


def test_terms_are_told_by_the_validation_rows_alone(tasks):
    alone = tasks.drop(columns=["train/action", "train/state", "train/reconstruction"])
    assert history_panels(alone)["loss by term"] == ["val/action/loss", "val/state/loss", "val/reconstruction"]
    assert history_panels(alone)["training loss"] == ["train/loss"]
    two = alone.drop(columns="val/reconstruction")
    assert history_panels(two)["loss"] == ["train/loss", "val/loss", "val/action/loss", "val/state/loss"]


def test_a_task_keeps_its_color_in_every_panel_and_training_is_dashed(tasks):
    _, terms, _, f1, _ = [ax for ax in learning_curves(tasks).axes if ax.axison]
    colors = {label: line.get_color() for label, line in lines(terms).items()}
    assert colors["action, training"] == colors["action, validation"] == lines(f1)["action, validation"].get_color()
    assert len({colors[f"{name}, training"] for name in ("action", "state", "reconstruction")}) == 3
    assert lines(terms)["state, training"].get_linestyle() != lines(terms)["state, validation"].get_linestyle()
    assert lines(f1)["validation"].get_color() == PALETTE[1]


def test_distances_of_a_model_of_several_parts_are_no_terms():
    names = ("train/generator/loss", "train/discriminator/loss", "val/kernel_distance", "val/frechet_distance")
    panels = history_panels(pd.DataFrame({"epoch": [0], **{name: [1.0] for name in names}}))
    assert [columns for columns in panels.values() if len(columns) == 1] == [[names[2]], [names[3]]]


def test_a_metric_that_is_measured_in_training_too_is_no_term():
    history = pd.DataFrame({"epoch": [0], "train/accuracy": [0.5], "val/accuracy": [0.4], "train/loss": [1.0]})
    assert history_panels(history) == {"accuracy": ["train/accuracy", "val/accuracy"], "loss": ["train/loss"]}
