"""Binary masks as COCO run lengths, and how much two of them overlap."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from hallmark.checks import require

_MOST = 255


class Rle(TypedDict):
    """COCO's compressed run-length encoding: column by column, background first."""

    size: list[int]  # H, W
    counts: str


def encode(masks: NDArray) -> list[Rle]:
    """Encode bool masks [N, H, W]."""
    columns = np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8)
    return [{"size": list(masks.shape[1:]), "counts": rle["counts"].decode()} for rle in coco.encode(columns)]


def decode(rles: Sequence[Rle], size: tuple[int, int]) -> NDArray:
    """Bool masks [N, H, W] of `rles`, all of `size` (H, W)."""
    if not rles:
        return np.zeros((0, *size), bool)
    return np.ascontiguousarray(coco.decode(list(rles)).transpose(2, 0, 1)).astype(bool)


def empty(size: tuple[int, int]) -> Rle:
    """The mask without a pixel."""
    return encode(np.zeros((1, *size), bool))[0]


def parse_rle(value: Mapping[str, Any]) -> Rle:
    """An RLE as files hold it: counts as text, bytes or a plain list of run lengths.

    Raises:
        ValueError: the runs do not fill the mask exactly. (pycocotools reads beyond its memory for some of these.)
    """
    height, width = (int(side) for side in value["size"])
    counts = value["counts"]
    text = counts.decode("ascii", "replace") if isinstance(counts, bytes) else counts
    runs = run_lengths(text) if isinstance(text, str) else np.asarray(text, np.int64)
    # Each run first: sums of absurd ones wrap around.
    if not len(runs) or ((runs < 0) | (runs > height * width)).any() or runs.sum() != height * width:
        raise ValueError(f"the runs of the mask add up to {runs.sum()} pixels, not to {height}×{width}")
    if isinstance(text, str):
        return {"size": [height, width], "counts": text}
    packed = coco.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
    return {"size": [height, width], "counts": packed["counts"].decode()}


def run_lengths(counts: str) -> NDArray:
    """Run lengths int64 [R] of compressed `counts`: five bits a character, lowest first, from the fourth run on as
    the difference to the run before the last (`rleFrString` of cocoapi).

    Raises:
        ValueError: not such a text.
    """
    codes = np.frombuffer(counts.encode("utf-8"), np.uint8).astype(np.int64) - 48
    last = (codes & 32) == 0
    if not len(codes) or ((codes < 0) | (codes > 63)).any() or not last[-1]:
        raise ValueError(f"not a compressed mask: {counts[:20]!r}")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    digit = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    if digit.max() > 6:
        raise ValueError(f"a run of the mask is too long to be one: {counts[:20]!r}")
    runs = np.add.reduceat((codes & 31) << (5 * digit), starts)
    runs -= np.where(codes[ends] & 16, np.left_shift(1, 5 * (digit[ends] + 1)), 0)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs


def rle_text(rle: Rle) -> str:
    """One line of JSON, as tables hold a mask."""
    return json.dumps(rle, separators=(",", ":"))


def rle_from_text(text: str) -> Rle:
    """The mask of one line of JSON; raises ValueError where it is none."""
    return parse_rle(json.loads(text))


def areas(rles: Sequence[Rle]) -> NDArray:
    """Pixels of each mask, int64 [N]."""
    counts = [np.asarray(coco.area(part), np.int64) for part in _batches(rles)]
    return np.concatenate(counts) if counts else np.zeros(0, np.int64)


def _batches(rles: Sequence[Rle]) -> Iterator[list[Rle]]:
    # pycocotools counts masks in a byte under numpy 2 and fails above 255.
    for start in range(0, len(rles), _MOST):
        yield list(rles[start : start + _MOST])


def boxes(rles: Sequence[Rle]) -> NDArray:
    """Tight boxes float64 [N, 4] as x0, y0, x1, y1 with the far edges outside; zeros for an empty mask."""
    if not rles:
        return np.zeros((0, 4))
    boxes = coco.toBbox(list(rles)).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def iou_matrix(first: Sequence[Rle], second: Sequence[Rle]) -> NDArray:
    """IoU float64 [N, M] of every mask of `first` with every one of `second`, all of one size."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    iou = np.block([
        [coco.iou(rows, columns, [0] * len(columns)) for columns in _batches(second)] for rows in _batches(first)
    ])  # fmt: skip
    return np.where(np.logical_and.outer(areas(first) == 0, areas(second) == 0), 1.0, iou)


@dataclass(frozen=True)
class Overlap:
    """Of a prediction with the truth, in pixels."""

    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """Intersection over union; 1 where both masks are empty, 0 where one is."""
        return self.intersection / self.union if self.union else 1.0


def overlap(prediction: Rle | None, truth: Rle) -> Overlap:
    """Overlap of two masks; None predicts the empty mask, as a proposer without proposals does.

    Raises:
        ValueError: masks of different sizes.
    """
    if prediction is None:
        return Overlap(0, int(areas([truth])[0]))
    if list(prediction["size"]) != list(truth["size"]):
        raise ValueError(f"a mask of {prediction['size']} pixels against one of {truth['size']}")
    pair = [prediction, truth]
    return Overlap(int(coco.area(coco.merge(pair, intersect=True))), int(coco.area(coco.merge(pair))))


def measured(prediction: Rle | None, truth: Rle) -> dict[str, float]:
    """The columns of a predictions table that statistics read of a mask: IoU, and pixels."""
    shared = overlap(prediction, truth)
    return {
        "score": shared.iou, "intersection": float(shared.intersection), "union": float(shared.union),
        "target_area": float(areas([truth])[0]),
    }  # fmt: skip


@dataclass(frozen=True)
class Proposals:
    """Masks of one image.

    Attributes:
        rles: the masks, all of `size`.
        boxes: float64 [N, 4], x0, y0, x1, y1 in pixels, far edges outside.
        scores: float64 [N], the proposer's own opinion; higher is better.
        size: H, W of the image.
    """

    rles: list[Rle]
    boxes: NDArray
    scores: NDArray
    size: tuple[int, int]

    @classmethod
    def of(cls, rles: Sequence[Rle], scores: Sequence[float] | NDArray, size: tuple[int, int]) -> "Proposals":
        """Proposals with the tight boxes of their masks."""
        require(len(rles) == len(scores), "scores", len(scores), f"one for each of {len(rles)} masks")
        return cls(list(rles), boxes(rles), np.asarray(scores, np.float64), size)

    def __len__(self) -> int:
        return len(self.rles)

    def masks(self) -> NDArray:
        """Bool [N, H, W]."""
        return decode(self.rles, self.size)

    def best(self, truth: Rle) -> tuple[int | None, float]:
        """The proposal nearest to `truth` and its IoU: what a perfect ranker would reach.

        Nothing proposed counts as the empty mask.
        """
        if not self.rles:
            return None, overlap(None, truth).iou
        iou = iou_matrix(self.rles, [truth])[:, 0]
        return int(iou.argmax()), float(iou.max())
