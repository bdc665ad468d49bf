import pytest
from tests.analysis.segmentation.scenes import overlaps

from hallmark.analysis.segmentation.size_buckets import SizeBuckets, size_figure
from hallmark.statistics import Resampling

SIZES = ["no target", "small", "medium", "large"]


@pytest.fixture
def table():
    pairs = {"one_shot": [(0, 4), (2, 4), (0, 5), (0, 0)], "main": [(4, 4), (2, 4), (1, 5), (0, 2)]}
    masks = overlaps(
        pairs, groups=["a", "a", "b", "c"], slice_size=["small", "small", "large", "no target"],
        slice_kind=["x", "y", "x", "y"], target_area=[4, 4, 5, 0], slices={"slice_size": SIZES},
    )  # fmt: skip
    return SizeBuckets(["size"], statistics=Resampling(0.9, 100, 0)).table(masks)


def test_values_by_hand(table):
    main = table[table["task"] == "main"].set_index("category")
    assert main.index.tolist() == ["all", *SIZES]
    assert main["n"].tolist() == [4, 1, 2, 0, 1]
    assert main["n_groups"].tolist() == [3, 1, 1, 0, 1]
    assert main["n_no_target"].tolist() == [1, 1, 0, 0, 0]
    assert main.loc["all", ["miou", "target_miou", "no_target_accuracy"]].tolist() == pytest.approx([0.425, 1.7 / 3, 0])
    assert main.loc["small", ["miou", "oiou", "p@0.5", "p@0.6"]].tolist() == pytest.approx([0.75, 6 / 8, 1.0, 0.5])
    assert main.loc["large", ["miou", "oiou", "p@0.5"]].tolist() == pytest.approx([0.2, 0.2, 0])
    assert main.loc["no target", "miou"] == 0
    one_shot = table[table["task"] == "one_shot"].set_index("category")
    assert one_shot.loc["no target", ["miou", "oiou", "p@0.9"]].tolist() == [1, 1, 1]
    assert one_shot.loc["small", "oiou"] == pytest.approx(2 / 8)


def test_an_empty_category_has_no_values_and_one_image_no_interval(table):
    empty = table[table["category"] == "medium"]
    assert empty.drop(columns=["task", "slice", "category", "n", "n_no_target", "n_groups"]).isna().all(axis=None)
    assert table[table["category"] == "small"]["miou_low"].isna().all()
    assert (table["n_groups"] < 4).all() and table["miou_low"].isna().all()


def test_the_figure_says_n_of_every_category(table):
    axes = size_figure(table).axes
    assert [ax.get_xlabel() for ax in axes[-3:]] == ["mIoU", "oIoU", "P@0.5"]
    assert [text.get_text() for ax in axes for text in ax.texts] == ["n = 4", "n = 1", "n = 2", "n = 0", "n = 1"]
    assert [label.get_text() for label in axes[3].get_yticklabels()] == SIZES


def test_null_takes_every_slice_column():
    masks = overlaps({"main": [(1, 2)]}, slice_size=["small"], slice_kind=["x"])
    buckets = SizeBuckets(None, statistics=Resampling(0.9, 100, 0)).table(masks)
    assert buckets["slice"].tolist() == ["all", "size", "kind"]
