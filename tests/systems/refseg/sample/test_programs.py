"""What programs mean, by hand."""

import json

import pytest

from hallmark.systems.refseg.sample.programs import anchors_of, run, the_one
from hallmark.systems.refseg.sample.scenes import SceneObject

ROW = [  # x, y in pixels: a red star, a blue star, a red circle, a blue circle
    SceneObject("red", "star", "small", 10, 50), SceneObject("blue", "star", "large", 30, 48),
    SceneObject("red", "circle", "small", 60, 10), SceneObject("blue", "circle", "small", 80, 52),
]  # fmt: skip
STARS, ALL = {"op": "filter", "shape": "star"}, {"op": "filter"}
BLUE_CIRCLE = {"op": "filter", "colour": "blue", "shape": "circle"}
RED_STAR = {"op": "filter", "colour": "red", "shape": "star"}


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (STARS, {0, 1}),
        (ALL, {0, 1, 2, 3}),
        ({"op": "filter", "colour": "green"}, set()),
        ({"op": "extreme", "to": "left", "of": ALL}, {0}),
        ({"op": "extreme", "to": "top", "of": STARS}, {0, 1}),  # 2 pixels apart
        ({"op": "extreme", "to": "bottom", "of": ALL}, {0, 1, 3}),
        ({"op": "second", "from": "left", "of": ALL}, {1}),
        ({"op": "second", "from": "right", "of": STARS}, {0}),
        ({"op": "second", "from": "top", "of": STARS}, set()),  # nobody knows the first
        ({"op": "relate", "side": "left", "of": STARS, "anchor": BLUE_CIRCLE}, {0, 1}),
        ({"op": "relate", "side": "right", "of": ALL, "anchor": RED_STAR}, {1, 2, 3}),
        ({"op": "relate", "side": "left", "of": ALL, "anchor": STARS}, set()),  # two anchors
        ({"op": "nearest", "of": STARS, "anchor": BLUE_CIRCLE}, {1}),
        ({"op": "nearest", "of": ALL, "anchor": RED_STAR}, {1}),  # not the anchor itself
        ({"op": "between", "of": ALL, "anchors": [RED_STAR, BLUE_CIRCLE]}, {1}),  # the red circle is 40 aside
        ({"op": "between", "of": ALL, "anchors": [RED_STAR, RED_STAR]}, set()),
    ],
)
def test_programs_by_hand(program, expected):
    assert run(program, ROW) == expected
    assert the_one(program, ROW) == (next(iter(expected)) if len(expected) == 1 else None)
    assert json.loads(json.dumps(program)) == program


def test_what_is_in_doubt_is_not_the_one():
    program = {"op": "relate", "side": "top", "of": ALL, "anchor": BLUE_CIRCLE}
    assert run(program, ROW) == {0, 1, 2}
    assert run(program, ROW, slack=-1) == {2}  # the stars are 2 and 4 pixels above it
    assert the_one(program, ROW) is None
    aside = [ROW[0], ROW[3], SceneObject("red", "cross", "small", 45, 50 + 0.33 * 70)]
    between = {"op": "between", "of": ALL, "anchors": [RED_STAR, BLUE_CIRCLE]}
    assert (run(between, aside, -1), run(between, aside, 1)) == (set(), {2})
    assert the_one(between, aside) is None


def test_anchors_of_a_program():
    nearest = {"op": "nearest", "of": {"op": "relate", "side": "left", "of": ALL, "anchor": RED_STAR}, "anchor": STARS}
    assert anchors_of(nearest) == [STARS, RED_STAR]
    assert anchors_of({"op": "extreme", "to": "left", "of": ALL}) == []
