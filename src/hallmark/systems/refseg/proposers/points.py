"""Masks from points on a grid, for networks with SAM's interface (Kirillov et al. 2023, arXiv:2304.02643, app. B)."""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hallmark.checks import require
from hallmark.systems.refseg.masks import Proposals, Rle, areas, boxes, encode, nms
from hallmark.systems.refseg.proposers.base import Proposer

Embedded = TypeVar("Embedded")


class PointModel(ABC, Generic[Embedded]):
    """SAM's interface: an image is embedded once, then points are decoded in batches.

    Logits above 0 are inside of a mask.

    Attributes:
        trained_on: the generated data that the weights were trained on; None for all others.
    """

    trained_on: str | None = None

    @abstractmethod
    def embed(self, image: NDArray) -> Embedded:
        """What `decode` needs to know of an image, uint8 [H, W, 3]."""

    @abstractmethod
    def decode(self, embedded: Embedded, points: NDArray) -> tuple[Tensor, Tensor]:
        """For points [P, 2] (x, y in pixels) logits of several masks each, [P, M, h, w] at the decoder's own
        resolution, and their predicted IoU [P, M]."""

    @abstractmethod
    def upscale(self, embedded: Embedded, logits: Tensor) -> Tensor:
        """Logits [K, h, w] at the resolution of the image, [K, H, W]."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the masks depend on, weights included, in plain containers."""


class PointGrid(Proposer):
    """SAM's automatic mask generation on any `PointModel`, with the published values of SAM as the usual choice.

    Args:
        model: decodes points.
        points_per_side: of the grid over the image; SAM 32.
        points_per_batch: decoded at a time; changes memory and time only. SAM 64.
        min_iou: least predicted IoU; SAM 0.88.
        min_stability: least IoU of the masks cut at +`stability_offset` and −`stability_offset`; SAM 0.95 at 1.0.
        max_overlap: of two boxes with a greater IoU the one with the lower predicted IoU goes; SAM 0.7.
        min_area: least pixels of a mask.
    """

    def __init__(
        self, model: PointModel, *, points_per_side: int, points_per_batch: int, min_iou: float, min_stability: float,
        stability_offset: float, max_overlap: float, min_area: int,
    ) -> None:  # fmt: skip
        require(points_per_side >= 1, "points_per_side", points_per_side, "at least 1")
        require(points_per_batch >= 1, "points_per_batch", points_per_batch, "at least 1")
        for name, share in {"min_iou": min_iou, "min_stability": min_stability, "max_overlap": max_overlap}.items():
            require(0 <= share <= 1, name, share, "from 0 to 1")
        require(stability_offset > 0, "stability_offset", stability_offset, "above 0")
        require(min_area >= 1, "min_area", min_area, "at least 1 pixel")
        self.model, self.points_per_side, self.points_per_batch = model, points_per_side, points_per_batch
        self.min_iou, self.min_stability, self.stability_offset = min_iou, min_stability, stability_offset
        self.max_overlap, self.min_area = max_overlap, min_area
        self.trained_on = model.trained_on

    def settings(self) -> dict[str, Any]:
        names = ("points_per_side", "min_iou", "min_stability", "stability_offset", "max_overlap", "min_area")
        return {"kind": "points", **{name: getattr(self, name) for name in names}, "model": self.model.settings()}

    @torch.inference_mode()
    def propose(self, image: NDArray) -> Proposals:
        height, width = image.shape[:2]
        embedded = self.model.embed(image)
        points = point_grid(self.points_per_side) * (width, height)
        rles: list[Rle] = []
        scores: list[float] = []
        for start in range(0, len(points), self.points_per_batch):
            found, their_scores = self._decoded(embedded, points[start : start + self.points_per_batch])
            rles += found
            scores += their_scores
        kept = nms(boxes(rles), np.array(scores), self.max_overlap)
        return Proposals.of([rles[place] for place in kept], [scores[place] for place in kept], (height, width))

    def _decoded(self, embedded: Any, points: NDArray) -> tuple[list[Rle], list[float]]:
        logits_PMhw, iou_PM = self.model.decode(embedded, points)
        # Filtered at low resolution first: enlarging is what most of the decoder's time goes into.
        logits_Khw, iou_K = logits_PMhw.flatten(0, 1), iou_PM.flatten()
        keep = iou_K > self.min_iou
        if not keep.any():
            return [], []
        logits_KHW, iou_K = self.model.upscale(embedded, logits_Khw[keep]), iou_K[keep]
        keep = stability(logits_KHW, self.stability_offset) >= self.min_stability
        rles = encode((logits_KHW[keep] > 0).cpu().numpy())
        large = areas(rles) >= self.min_area
        scores = iou_K[keep].cpu().tolist()
        return [r for r, own in zip(rles, large, strict=True) if own], [
            s for s, own in zip(scores, large, strict=True) if own
        ]


def point_grid(per_side: int) -> NDArray:
    """Centres (x, y) of `per_side`² equal cells of the unit square, row by row, [N, 2]."""
    line = (np.arange(per_side) + 0.5) / per_side
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def stability(logits: Tensor, offset: float) -> Tensor:
    """IoU of each mask [K, H, W] cut at `offset` with itself cut at −`offset`, [K]; 0 where nothing is inside."""
    inner = (logits > offset).flatten(1).sum(1)
    outer = (logits > -offset).flatten(1).sum(1)
    return inner / outer.clamp(min=1)
