"""Boxes on a grid: what can be proposed without any network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hallmark.checks import require
from hallmark.data.masks import Proposals, encode
from hallmark.systems.refseg.proposers.base import Proposer


class BoxGrid(Proposer):
    """Full rectangles of several sizes, side by side with overlap; all with the score 1.

    Args:
        scales: sides of the boxes as shares of the image's.
        overlap: share of a box's side that the next one shares with it; more where the grid does not come out even.
    """

    def __init__(self, *, scales: Sequence[float], overlap: float) -> None:
        valid = len(scales) > 0 and all(0 < scale <= 1 for scale in scales)
        require(valid, "scales", list(scales), "shares of the image's sides in (0, 1]")
        require(0 <= overlap < 1, "overlap", overlap, "a share from 0 to below 1")
        self.scales, self.overlap = [float(scale) for scale in scales], float(overlap)

    def settings(self) -> dict[str, Any]:
        return {"kind": "boxes", "scales": self.scales, "overlap": self.overlap}

    def propose(self, image: NDArray) -> Proposals:
        height, width = image.shape[:2]
        boxes = [
            (row, column, rows, columns)
            for scale in self.scales
            for rows, columns in [(max(1, round(scale * height)), max(1, round(scale * width)))]
            for row in self._starts(height, rows)
            for column in self._starts(width, columns)
        ]
        masks = np.zeros((len(boxes), height, width), bool)
        for mask, (row, column, rows, columns) in zip(masks, boxes, strict=True):
            mask[row : row + rows, column : column + columns] = True
        return Proposals.of(encode(masks), np.ones(len(boxes)), (height, width))

    def _starts(self, length: int, side: int) -> list[int]:
        # The smallest number of boxes that reach from end to end and overlap enough.
        step = max(side * (1 - self.overlap), 1)
        count = int(np.ceil((length - side) / step)) + 1
        return np.linspace(0, length - side, count).round().astype(int).tolist()
