"""Masks from points on a grid, for networks with SAM's interface (Kirillov et al. 2023, arXiv:2304.02643, app. B)."""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.utils.amg import build_point_grid, calculate_stability_score
from torch import Tensor
from torchvision.ops import nms

from hallmark.checks import require
from hallmark.data.masks import Proposals, Rle, areas, boxes, encode
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
        points = build_point_grid(self.points_per_side) * (width, height)
        rles: list[Rle] = []
        scores: list[float] = []
        for start in range(0, len(points), self.points_per_batch):
            logits_PMhw, iou_PM = self.model.decode(embedded, points[start : start + self.points_per_batch])
            # Filtered at low resolution first: enlarging is what most of the decoder's time goes into.
            confident = iou_PM > self.min_iou
            if not confident.any():
                continue
            logits_KHW, iou_K = self.model.upscale(embedded, logits_PMhw[confident]), iou_PM[confident]
            stable = calculate_stability_score(logits_KHW, 0.0, self.stability_offset) >= self.min_stability
            masks = encode((logits_KHW[stable] > 0).cpu().numpy())
            large = np.flatnonzero(areas(masks) >= self.min_area)
            rles += [masks[position] for position in large]
            scores += iou_K[stable].cpu()[large].tolist()
        best = nms(torch.from_numpy(boxes(rles)), torch.tensor(scores, dtype=torch.float64), self.max_overlap).tolist()
        chosen, chosen_scores = [rles[index] for index in best], [scores[index] for index in best]
        return Proposals.of(chosen, chosen_scores, (height, width))
