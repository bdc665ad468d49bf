"""Filtering, on a model whose logits are written by hand."""

import numpy as np
import pytest
import torch

from hallmark.systems.refseg.proposers.points import PointGrid, PointModel

SETTINGS = {
    "points_per_side": 2, "points_per_batch": 3, "min_iou": 0.5, "min_stability": 0.6, "stability_offset": 1.0,
    "max_overlap": 0.7, "min_area": 2,
}  # fmt: skip


class Written(PointModel[np.ndarray]):
    """Two masks for each point of a 2×2 grid on a 4×4 image: the quarter around it, and something worse."""

    def __init__(self, iou=((0.9, 0.4), (0.8, 0.6), (0.7, 0.55), (0.6, 0.1)), level=5.0, doubt=0.0):
        self.iou, self.level, self.doubt = torch.tensor(iou), level, doubt
        self.embedded, self.batches, self.upscaled = 0, [], 0

    def settings(self):
        return {"kind": "written"}

    def embed(self, image):
        self.embedded += 1
        return image

    def decode(self, embedded, points):
        self.batches.append(len(points))
        cells = [(int(y // 2), int(x // 2)) for x, y in points]
        logits = torch.full((len(points), 2, 4, 4), -self.level)
        for index, (row, column) in enumerate(cells):
            logits[index, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = self.level
            logits[index, 1, 2 * row, 2 * column : 2 * column + 2] = 0.5  # never stable
            logits[index, 0, 3 - 3 * row, 3 - 3 * column] = self.doubt - self.level * (not self.doubt)
        return logits, torch.stack([self.iou[2 * row + column] for row, column in cells])

    def upscale(self, embedded, logits):
        self.upscaled += len(logits)
        return logits


IMAGE = np.zeros((4, 4, 3), np.uint8)


def test_points_are_decoded_in_batches_of_one_embedding():
    model = Written()
    proposals = PointGrid(model, **SETTINGS).propose(IMAGE)
    assert (model.embedded, model.batches) == (1, [3, 1])
    assert proposals.scores.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6])  # best first
    assert proposals.boxes.tolist() == [[0, 0, 2, 2], [2, 0, 4, 2], [0, 2, 2, 4], [2, 2, 4, 4]]
    assert proposals.masks()[1].nonzero()[0].tolist() == [0, 0, 1, 1]
    assert model.upscaled == 6  # those with a predicted IoU above a half


@pytest.mark.parametrize(
    ("changed", "scores"),
    [
        ({"min_iou": 0.75}, [0.9, 0.8]),
        ({"min_iou": 0.95}, []),
        ({"min_stability": 0.0, "min_iou": 0.5, "min_area": 2}, [0.9, 0.8, 0.7, 0.6, 0.6, 0.55]),
        ({"min_stability": 0.0, "min_area": 3}, [0.9, 0.8, 0.7, 0.6]),
        ({"min_area": 5}, []),
        ({"points_per_side": 1}, [0.6]),
    ],
)
def test_each_filter(changed, scores):
    proposals = PointGrid(Written(), **SETTINGS | changed).propose(IMAGE)
    assert sorted(proposals.scores, reverse=True) == pytest.approx(scores)


def test_of_masks_that_overlap_the_best_stays():
    several = Written(iou=((0.9, 0.4), (0.8, 0.6), (0.7, 0.55), (0.95, 0.1)), doubt=5.0)
    # With a far corner inside, every mask has the box of the whole image.
    assert PointGrid(several, **SETTINGS).propose(IMAGE).scores.tolist() == pytest.approx([0.95])
    assert len(PointGrid(several, **SETTINGS | {"max_overlap": 1.0}).propose(IMAGE)) == 4


def test_settings_are_what_the_masks_depend_on():
    base = PointGrid(Written(), **SETTINGS).settings()
    assert PointGrid(Written(), **SETTINGS | {"points_per_batch": 1}).settings() == base
    for name, value in {"points_per_side": 3, "min_iou": 0.1, "min_area": 7, "max_overlap": 0.1}.items():
        assert PointGrid(Written(), **SETTINGS | {name: value}).settings() != base


@pytest.mark.parametrize(
    ("name", "value"),
    [("points_per_side", 0), ("points_per_batch", 0), ("min_iou", 1.1), ("min_stability", -1), ("max_overlap", 2),
     ("stability_offset", 0), ("min_area", 0)],
)  # fmt: skip
def test_bad_settings(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}"):
        PointGrid(Written(), **SETTINGS | {name: value})
