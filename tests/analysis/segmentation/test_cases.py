import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from tests.analysis.segmentation.scenes import Scenes, overlaps

from hallmark.analysis.plots.style import wrapped
from hallmark.analysis.segmentation.case_pages import Case, case_page, drawn
from hallmark.analysis.segmentation.cases import Cases, paired_answers
from hallmark.data.masks import encode


def cases(per_kind=2, own=10, least=0.02):
    return Cases(per_kind, own, least=least)


def chosen_of(analysis, table):
    rows = analysis.chosen(paired_answers(table))
    return {kind: kind_rows["id"].tolist() for kind, kind_rows in rows.groupby("kind", sort=False)}


@pytest.fixture
def masks():
    """IoU after minus before: 0.3, 0.5, 0.4, -0.2, -0.6, 0, 0.01, unknown; the first three are of one image and b."""
    before = [(1, 10), (0, 10), (0, 10), (5, 10), (8, 10), (2, 10), (50, 100), (None, None)]
    after = [(4, 10), (5, 10), (4, 10), (3, 10), (2, 10), (2, 10), (51, 100), (None, None)]
    return overlaps({"main": after, "one_shot": before}, groups=["a", "a", "b", "c", "d", "e", "f", "own"])


def test_the_greatest_changes_are_chosen_an_image_at_a_time(masks):
    assert chosen_of(cases(), masks) == {
        "improved": ["e1", "e2"], "degraded": ["e4", "e3"], "unchanged": ["e5", "e6"], "own": ["e7"],
    }  # fmt: skip
    assert chosen_of(cases(per_kind=3), masks)["improved"] == ["e1", "e2", "e0"]


def test_sizes_take_turns_so_that_one_kind_of_object_does_not_fill_the_page():
    sizes = ["no target", "no target", "no target", "small"]
    table = overlaps(
        {"main": [(0, 0), (0, 0), (0, 0), (6, 10)], "one_shot": [(0, 5), (0, 5), (0, 5), (0, 10)]}, slice_size=sizes
    )
    chosen = Cases(2, 1, least=0.02).chosen(paired_answers(table))
    assert chosen["id"].tolist() == ["e0", "e3"]


def test_the_change_that_does_not_count_is_a_setting(masks):
    assert chosen_of(cases(least=0.35), masks)["improved"] == ["e1", "e2"]
    assert chosen_of(cases(least=0.45), masks)["improved"] == ["e1"]
    assert "improved" in chosen_of(cases(least=0), masks) and "e6" in chosen_of(cases(5, least=0), masks)["improved"]


def test_of_equal_changes_the_first_by_id_is_chosen_whatever_the_order_of_the_table():
    table = overlaps({"main": [(5, 10)] * 4, "one_shot": [(1, 10)] * 4})
    turned = table.iloc[::-1]
    turned.attrs = table.attrs
    assert chosen_of(cases(), table) == chosen_of(cases(), turned) == {"improved": ["e0", "e1"]}


def test_the_unchanged_come_evenly_from_worst_to_best():
    pairs = [(k, 10) for k in (7, 1, 9, 5, 3)]
    table = overlaps({"main": pairs, "one_shot": pairs})
    assert chosen_of(cases(3), table) == {"unchanged": ["e1", "e3", "e2"]}
    assert chosen_of(cases(9), table) == {"unchanged": ["e1", "e4", "e3", "e0", "e2"]}


def test_differences_are_loop_minus_one_shot(masks):
    answers = paired_answers(masks).set_index("id")
    assert answers.loc["e1", ["one_shot", "loop", "difference"]].tolist() == pytest.approx([0, 0.5, 0.5])
    assert np.isnan(answers.loc["e7", "difference"])


def test_of_a_set_of_repeats_the_first_run_is_drawn(masks):
    parts = [masks.assign(id=masks["id"] + f"@seed {k}", repetition=k, member=k) for k in (3, 1)]
    both = pd.concat(parts, ignore_index=True)
    both.attrs = masks.attrs
    assert chosen_of(cases(), both) == chosen_of(cases(), masks)


def test_pages_of_every_kind(make_state, read_csv, assert_drawn):
    scenes = Scenes(3)
    state = make_state(scenes.table, data=scenes)
    cases(per_kind=1).run(state)
    for kind in ("improved", "degraded", "unchanged"):
        assert_drawn(state.directory, f"cases_{kind}")
    table = read_csv(state.directory, "cases")
    assert table["kind"].tolist() == ["improved", "degraded", "unchanged"]
    assert (table[table["kind"] == "improved"]["id"].str[-1] == "1").all()
    assert (table[table["kind"] == "degraded"]["id"].str[-1] == "2").all()


def test_own_pictures_are_drawn_without_a_truth(make_state, read_csv, assert_drawn):
    scenes = Scenes(1, truth=False)
    state = make_state(scenes.table, data=scenes)
    cases(per_kind=1, own=2).run(state)
    assert_drawn(state.directory, "cases_own_1")
    assert_drawn(state.directory, "cases_own_2")
    assert read_csv(state.directory, "cases")["kind"].tolist() == ["own"] * 2


def case(**changes):
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:5] = True
    rle = encode(mask[None])[0]
    standard = {
        "picture": np.full((6, 8, 3), 90, np.uint8), "proposals": mask[None], "sentence": "the thing", "image": "a.jpg",
        "queries": ["the thing"], "stop": "confident", "one_shot": rle, "loop": rle, "truth": rle, "iou": (0.25, 1.0),
    }  # fmt: skip
    return Case(**{**standard, **changes})


def words(figure):
    return [text.get_text() for text in figure.axes[-1].texts]


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes if ax.images]


def test_a_page_has_five_panels_a_case_and_four_where_no_truth_is_known():
    assert titles(case_page([case()])) == [
        "picture",
        "1 proposal",
        "one-shot  IoU 0.25",
        "loop  IoU 1.00",
        "ground truth",
    ]
    without_truth = case(truth=None, iou=(np.nan, np.nan))
    assert titles(case_page([without_truth])) == ["picture", "1 proposal", "one-shot", "loop"]
    assert len(titles(case_page([case(), without_truth]))) == 10


def test_the_query_history_is_told():
    page = case_page([case(queries=["the thing", "the red thing", "the red circle"], stop="max_iter")])
    assert words(page) == ["“the thing”", "→ 1: “the red thing”", "→ 2: “the red circle”", "stopped: max iter; a.jpg"]
    assert words(case_page([case()]))[-1] == "not rewritten, stopped: confident; a.jpg"
    long = case_page([case(queries=[f"query {k}" for k in range(9)])])
    assert len(words(long)) == 6 and "4 more queries" in words(long)[-1]


def test_a_warning_stands_on_the_page_and_in_the_table(make_state, read_csv):
    assert words(case_page([case(warning="only shapes are known")]))[1:2] == ["Warning: only shapes are known"]
    scenes = Scenes(1, truth=False)
    scenes.table["info_warning"] = "only shapes are known"
    state = make_state(scenes.table, data=scenes)
    cases(per_kind=1, own=2).run(state)
    assert read_csv(state.directory, "cases")["warning"].tolist() == ["only shapes are known"] * 2


@pytest.mark.parametrize(
    "text",
    [
        "$\\frac{1}{$ and ${oc.env:HOME}",
        "<script>alert(1)</script>",
        "😂🚲 \u202eabc",
        "x" * 5000,
        "many\nlines\r\n" * 99,
        "",
    ],
)
def test_words_from_outside_are_words(text, tmp_path):
    figure = case_page([case(sentence=text, queries=[text, text], image=text or "a")])
    lines = words(figure)
    assert len(lines) <= 6 and all(len(line) <= 114 and "\n" not in line and "\u202e" not in line for line in lines)
    assert not any(text.get_parse_math() for text in figure.axes[-1].texts)
    figure.savefig(tmp_path / "page.png")
    if text.startswith("$"):
        assert lines[0] == f"“{text}”"


def test_nothing_proposed_and_nothing_answered_is_said():
    page = case_page(
        [case(proposals=np.zeros((0, 6, 8), bool), one_shot=None, loop=encode(np.zeros((1, 6, 8), bool))[0])]
    )
    assert titles(page)[1] == "0 proposals"
    assert [text.get_text() for ax in page.axes if ax.images for text in ax.texts] == ["no object", "no object"]


def test_masks_are_tinted_over_a_grey_ground():
    picture = np.zeros((6, 8, 3), np.uint8) + np.array([200, 20, 20], np.uint8)
    mask = np.zeros((1, 6, 8), bool)
    mask[0, :3] = True
    page = drawn(picture, mask, ["#0072B2"])
    assert page.shape == (315, 420, 3)
    below = page[-1, 0]
    assert below[0] == below[1] == below[2]
    edge, inside = page[0, 0] / 255, page[75, 200] / 255
    assert edge == pytest.approx(to_rgb("#0072B2"), abs=0.01)
    assert inside[2] > inside[1] > inside[0] and not np.allclose(inside, edge)


def test_small_masks_lie_on_large_ones():
    masks = np.zeros((2, 6, 8), bool)
    masks[0, 2:4, 3:5] = True
    masks[1] = True
    (small, large) = (page_of[157, 210] for page_of in (
        drawn(np.zeros((6, 8, 3), np.uint8), masks[[1, 0]], ["#000000", "#FFFFFF"]),
        drawn(np.zeros((6, 8, 3), np.uint8), masks, ["#FFFFFF", "#000000"]),
    ))  # fmt: skip
    assert small.mean() > large.mean()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three four", ["one two", "three", "four"]), ("abcdefghijkl", ["abcdefgh", "ijkl"]), ("", []),
        ("左边的红色", ["左边的红", "色"]), ("one two three four five six seven", ["one two", "three", "four…"]),
        ("a" * 40, ["aaaaaaaa", "aaaaaaaa", "aaaaaaa…"]),
    ],
)  # fmt: skip
def test_words_are_wrapped_by_their_width(text, lines):
    assert wrapped(text, 8, 3) == lines


def test_queries_are_read_from_the_table():
    scenes = Scenes(1)
    row = paired_answers(scenes.table).iloc[0]
    assert json.loads(row["queries"])[0] == row["sentence"]


@pytest.mark.parametrize(("key", "value"), [("per_kind", 0), ("own", -1), ("least", 1.5)])
def test_nonsense_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        cases(**{key: value})
