import logging
import warnings

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb

from hallmark.analysis.plots.style import PALETTE, drawable, house_style, new_figure


def test_printable_drops_what_no_font_has_and_tidies_spaces():
    assert drawable("so\n good\U0001fae8 \ue000 x") == "so good x"
    assert drawable("\U000f1234") == "\\U000f1234"
    assert drawable("") == ""


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


def test_colors_differ_in_lightness_or_hue_enough_to_tell_apart():
    colors = np.array([to_rgb(name) for name in PALETTE])
    distance = np.linalg.norm(colors[:, None] - colors[None], axis=2)
    assert distance[~np.eye(len(PALETTE), dtype=bool)].min() > 0.25
