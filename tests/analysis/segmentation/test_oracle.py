import numpy as np
import pytest
from tests.analysis.segmentation.scenes import Scenes, overlaps

from hallmark.analysis.segmentation.oracle import ErrorDecomposition, oracle_figure
from hallmark.statistics import Resampling

PARTS = ["miou", "ranking_gap", "proposal_gap"]


def table_of(masks, columns=("size",)):
    return ErrorDecomposition(list(columns), statistics=Resampling(0.9, 100, 0)).table(masks).set_index("category")


@pytest.fixture
def masks():
    pairs = {"main": [(2, 4), (0, 4), (4, 5)], "oracle": [(3, 4), (2, 4), (4, 5)]}
    return overlaps(pairs, slice_size=["small", "small", "large"], slices={"slice_size": ["small", "medium", "large"]})


def test_values_by_hand(masks):
    table = table_of(masks)
    assert table.loc["all", PARTS].tolist() == pytest.approx([1.3 / 3, 0.75 / 3, 0.95 / 3])
    assert table.loc["small", PARTS].tolist() == pytest.approx([0.25, 0.375, 0.375])
    assert table.loc["large", PARTS].tolist() == pytest.approx([0.8, 0, 0.2])
    assert table.loc["all", ["recall@0.5", "recall@0.6", "recall@0.9"]].tolist() == pytest.approx([1, 2 / 3, 0])
    assert table.loc["all", ["precision@0.5", "precision@0.6"]].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert table.loc["medium", "n"] == 0 and np.isnan(table.loc["medium", "proposal_gap"])


def test_the_parts_add_up_to_1_and_the_gaps_have_intervals():
    table = table_of(Scenes(6).table, ("size", "kind"))
    some = table[table["n"] > 0]
    assert len(some) >= 6
    assert some[PARTS].sum(axis=1).tolist() == pytest.approx([1.0] * len(some))
    overall = table.loc["all"]
    for name in PARTS:
        assert overall[f"{name}_low"] < overall[name] < overall[f"{name}_high"]


def test_answers_are_matched_with_their_own_best_proposals(masks):
    turned = masks.iloc[[0, 1, 2, 5, 4, 3]]
    turned.attrs = masks.attrs
    assert table_of(turned).loc["small", PARTS].tolist() == pytest.approx([0.25, 0.375, 0.375])


def test_the_figure_stacks_the_parts_and_leaves_empty_categories_empty(masks):
    table = ErrorDecomposition(["size"], statistics=Resampling(0.9, 100, 0)).table(masks)
    left, right = oracle_figure(table).axes
    widths = np.array([[patch.get_width() for patch in container] for container in left.containers])
    assert widths.sum(axis=0).tolist() == pytest.approx([1, 1, 0, 1])
    assert widths[0].tolist() == pytest.approx([1.3 / 3, 0.25, 0, 0.8])
    texts = [text.get_text() for text in left.texts]
    assert "n = 0" in texts and "0.25" in texts and "nan" not in texts
    assert right.lines[0].get_ydata()[1] == pytest.approx(2 / 3)
