import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from hallmark.data import masks
from hallmark.data.masks import Overlap, Proposals, overlap, parse_rle

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))
MASKS = SHAPES.flatmap(lambda shape: arrays(bool, shape))
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))


def rle(*rows: str) -> masks.Rle:
    """A mask from rows of `#` and `.`."""
    return masks.encode(np.array([[character == "#" for character in row] for row in rows])[None])[0]


SQUARE = rle("##..", "##..", "....")
SHIFTED = rle(".##.", ".##.", "....")
ALL = rle("####", "####", "####")
NONE = rle("....", "....", "....")


def test_a_mask_written_by_hand():
    assert SQUARE["size"] == [3, 4]
    assert masks.run_lengths(SQUARE["counts"]).tolist() == [0, 2, 1, 2, 7]  # column by column
    assert parse_rle({"size": [3, 4], "counts": [0, 2, 1, 2, 7]}) == SQUARE
    assert masks.areas([SQUARE, ALL, NONE]).tolist() == [4, 12, 0]
    assert masks.boxes([SHIFTED, ALL, NONE]).tolist() == [[1, 0, 3, 2], [0, 0, 4, 3], [0, 0, 0, 0]]


@given(MASKS)
def test_run_lengths_are_those_of_pycocotools(mask):
    reference = coco.encode(np.asfortranarray(mask, np.uint8))
    [encoded] = masks.encode(mask[None])
    assert encoded == {"size": list(mask.shape), "counts": reference["counts"].decode()}
    assert json.loads(json.dumps(encoded)) == parse_rle(reference) == parse_rle(encoded) == encoded
    assert masks.rle_from_text(masks.rle_text(encoded)) == encoded
    runs = masks.run_lengths(encoded["counts"])
    plain = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(mask.shape, order="F")
    assert (plain == mask).all()
    assert (masks.decode([encoded, encoded], mask.shape) == mask).all()
    assert parse_rle({"size": mask.shape, "counts": runs}) == encoded


@pytest.mark.parametrize("size", [(1000, 900), (480, 640)])
def test_long_runs(size):
    mask = np.zeros(size, bool)
    mask[3 : size[0] - 5, 400:] = True
    [encoded] = masks.encode(mask[None])
    assert parse_rle(encoded) == encoded
    assert masks.run_lengths(encoded["counts"]).sum() == mask.size


@pytest.mark.parametrize(
    "counts",
    ["", "o", "PPPP", "00000zzzzzz", "\x00", "é", b"\xff\xff", SQUARE["counts"][:-1], SQUARE["counts"] + "1", [3, 4],
     [], [-1, 13], "ooooooooo0"],
)  # fmt: skip
def test_damaged_runs_are_refused(counts):
    with pytest.raises(ValueError, match="mask"):
        parse_rle({"size": [3, 4], "counts": counts})


@pytest.mark.parametrize(
    ("prediction", "truth", "expected", "iou"),
    [
        (SQUARE, SHIFTED, Overlap(2, 6), 1 / 3),
        (SQUARE, SQUARE, Overlap(4, 4), 1),
        (SQUARE, ALL, Overlap(4, 12), 1 / 3),
        (NONE, SQUARE, Overlap(0, 4), 0),
        (None, SQUARE, Overlap(0, 4), 0),
        (SQUARE, NONE, Overlap(0, 4), 0),
        (NONE, NONE, Overlap(0, 0), 1),
        (None, NONE, Overlap(0, 0), 1),
    ],
)
def test_overlap(prediction, truth, expected, iou):
    measured = overlap(prediction, truth)
    assert measured == expected
    assert measured.iou == pytest.approx(iou)
    if prediction is not None:
        assert masks.iou_matrix([prediction, ALL], [truth])[0, 0] == pytest.approx(iou)


def test_masks_of_different_sizes_do_not_overlap():
    with pytest.raises(ValueError, match=r"\[3, 4\] pixels against one of \[1, 2\]"):
        overlap(SQUARE, rle("##"))


@given(PAIRS)
def test_iou_invariants(pair):
    first, second = masks.encode(np.stack(pair))
    forward, backward = overlap(first, second), overlap(second, first)
    assert forward == backward
    assert 0 <= forward.iou <= 1
    assert (forward.iou == 1) == (first == second)
    assert (forward.intersection, forward.union) == ((pair[0] & pair[1]).sum(), (pair[0] | pair[1]).sum())
    assert masks.iou_matrix([first], [second])[0, 0] == pytest.approx(forward.iou)
    flipped = masks.encode(np.stack(pair)[:, ::-1, ::-1])
    assert overlap(*flipped).iou == forward.iou


def test_more_masks_than_a_byte_counts():
    many = np.zeros((600, 5, 130), bool)
    many.reshape(600, -1)[np.arange(600), np.arange(600)] = True
    many[:, 4, 120:] = True
    rles = masks.encode(many)
    assert masks.areas(rles).tolist() == [11] * 600
    ious = masks.iou_matrix(rles, rles[:300])
    assert ious.shape == (600, 300)
    assert (ious[:300] == np.where(np.eye(300), 1, 10 / 12)).all() and np.allclose(ious[300:], 10 / 12)
    assert Proposals.of(rles, np.ones(600), (5, 130)).best(rles[555]) == (555, 1.0)


def test_proposals_and_their_oracle():
    proposals = Proposals.of([SQUARE, ALL], [0.9, 0.8], (3, 4))
    assert len(proposals) == 2
    assert proposals.boxes.tolist() == [[0, 0, 2, 2], [0, 0, 4, 3]]
    assert proposals.masks().sum(axis=(1, 2)).tolist() == [4, 12]
    assert proposals.best(ALL) == (1, 1.0)
    assert proposals.best(NONE)[1] == 0


def test_no_proposals():
    nothing = Proposals.of([], [], (3, 4))
    assert (len(nothing), nothing.boxes.shape, nothing.masks().shape) == (0, (0, 4), (0, 3, 4))
    assert nothing.best(SQUARE) == (None, 0.0)
    assert nothing.best(NONE) == (None, 1.0)
    with pytest.raises(ValueError, match="scores=1: expected one for each of 0 masks"):
        Proposals.of([], [0.5], (3, 4))
