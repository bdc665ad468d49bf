import logging
import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from hallmark.analysis.figures import (
    PALETTE,
    history_panels,
    house_style,
    learning_curves,
    new_figure,
    printable,
    readable,
    selected_epoch,
)


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


def test_printable_drops_what_no_font_has_and_tidies_spaces():
    assert printable("so\n good\U0001fae8 \ue000 x") == "so good x"
    assert printable("\U000f1234") == "\\U000f1234"
    assert printable("") == ""


def test_readable_writes_abbreviations_as_readers_know_them():
    assert [readable(name) for name in ("macro_f1", "auroc", "text_length")] == [
        "macro F1",
        "AUROC",
        "text length",
    ]


def test_the_style_holds_while_saving_and_leaves_no_trace(tmp_path):
    before = dict(mpl.rcParams)
    with house_style():
        figure = new_figure(2, 3)
        ax = figure.subplots()
        ax.plot([0, 1])
        ax.set_title("costs $5 and $6 \U0001f602")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "plain.png")
    assert dict(mpl.rcParams) == before
    assert ax.xaxis.get_major_ticks()[0].label1.get_fontsize() == 8
    assert not ax.spines["top"].get_visible()


def test_a_pdf_is_written_without_a_word_of_its_fonts(tmp_path, caplog):
    with caplog.at_level(logging.INFO), house_style():
        figure = new_figure(2)
        figure.text(0.5, 0.5, "words")
        figure.savefig(tmp_path / "figure.pdf")
    assert not caplog.records


def test_colours_differ_in_lightness_or_hue_enough_to_tell_apart():
    colours = np.array([to_rgb(name) for name in PALETTE])
    distance = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    assert distance[~np.eye(len(PALETTE), dtype=bool)].min() > 0.25


@pytest.fixture
def tasks():
    """Columns as a model of two tasks and three loss terms logs them."""
    names = [
        "train/loss", "train/action", "train/state", "train/reconstruction", "val/loss", "val/macro_f1", "lr-pg1",
        "val/action/loss", "val/action/macro_f1", "val/state/loss", "val/state/macro_f1", "val/reconstruction",
    ]  # fmt: skip
    return pd.DataFrame({"epoch": [0, 1], **{name: [place, place + 1.0] for place, name in enumerate(names)}})


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


def test_a_task_keeps_its_colour_in_every_panel_and_training_is_dashed(tasks):
    _, terms, _, f1, _ = [ax for ax in learning_curves(tasks).axes if ax.axison]
    colours = {label: line.get_color() for label, line in lines(terms).items()}
    assert colours["action, training"] == colours["action, validation"] == lines(f1)["action, validation"].get_color()
    assert len({colours[f"{name}, training"] for name in ("action", "state", "reconstruction")}) == 3
    assert lines(terms)["state, training"].get_linestyle() != lines(terms)["state, validation"].get_linestyle()
    assert lines(f1)["validation"].get_color() == PALETTE[1]


def test_a_metric_that_is_measured_in_training_too_is_no_term():
    history = pd.DataFrame({"epoch": [0], "train/accuracy": [0.5], "val/accuracy": [0.4], "train/loss": [1.0]})
    assert history_panels(history) == {"accuracy": ["train/accuracy", "val/accuracy"], "loss": ["train/loss"]}
