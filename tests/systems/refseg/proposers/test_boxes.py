import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.engine.build import build
from hallmark.systems.refseg.proposers.boxes import BoxGrid


def test_a_grid_by_hand():
    proposals = BoxGrid(scales=[1.0, 0.5], overlap=0.0).propose(np.zeros((4, 6, 3), np.uint8))
    expected = [[0, 0, 6, 4], [0, 0, 3, 2], [3, 0, 6, 2], [0, 2, 3, 4], [3, 2, 6, 4]]
    assert proposals.boxes.tolist() == expected
    assert proposals.scores.tolist() == [1.0] * 5
    assert proposals.masks().sum(axis=(1, 2)).tolist() == [24, 6, 6, 6, 6]


def test_overlap_makes_more_boxes():
    image = np.zeros((8, 8, 3), np.uint8)
    assert len(BoxGrid(scales=[0.5], overlap=0.5).propose(image)) == 9
    assert len(BoxGrid(scales=[0.5], overlap=0.0).propose(image)) == 4


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0.05, 1), st.floats(0, 0.9))
def test_every_pixel_is_in_some_box_of_the_right_size(height, width, scale, overlap):
    proposals = BoxGrid(scales=[scale], overlap=overlap).propose(np.zeros((height, width, 3), np.uint8))
    assert proposals.masks().any(axis=0).all()
    sides = proposals.boxes[:, 2:] - proposals.boxes[:, :2]
    assert (sides == [max(1, round(scale * width)), max(1, round(scale * height))]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"scales": [], "overlap": 0}, "scales="), ({"scales": [1.5], "overlap": 0}, "scales="),
     ({"scales": [1], "overlap": 1}, "overlap=")],
)  # fmt: skip
def test_bad_grids(arguments, message):
    with pytest.raises(ValueError, match=message):
        BoxGrid(**arguments)


@pytest.mark.parametrize("profile", ["sample", "full"])
def test_boxes_are_an_option_of_every_preset(compose, profile):
    config = compose("experiment=refseg_loop", f"profile={profile}", "model/proposer=boxes")
    proposals = build(config.model.proposer).propose(np.zeros((96, 96, 3), np.uint8))
    assert 50 < len(proposals) < 200 and set(np.diff(proposals.boxes.reshape(-1, 2, 2), axis=1).ravel()) == {19, 38}
