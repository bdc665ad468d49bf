"""What `SmallSam` learns from: points in scenes, the objects under them, and how well its own masks fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hallmark.data.masks import Rle, decode
from hallmark.systems.refseg.proposers.small import LOW, SIDE, SmallSam, sample_maps

_NEAR = 0.25  # of an object's box around it counts as near


@dataclass(frozen=True)
class Prompts:
    """Points of N images, P of each: x, y in 0 … 1 [N, P, 2], the masks under them bool [N, P, 96, 96], and whether
    there is an object at all [N, P]."""

    points: Tensor
    masks: Tensor
    present: Tensor


def label_map(masks: Sequence[Rle], size: tuple[int, int]) -> NDArray:
    """uint8 [H, W]: 0 for the background, k + 1 where the mask k is; of two that overlap the later one counts."""
    labels = np.zeros(size, np.uint8)
    for number, mask in enumerate(decode(masks, size), 1):
        labels[mask] = number
    return labels


def draw_prompts(rng: np.random.Generator, labels: NDArray, count: int, background: float) -> Prompts:
    """`count` points an image: a share `background` of them beside all objects, the others on objects, each object as
    likely as any other.

    Args:
        labels: int [N, 96, 96], 0 for the background, else the number of the object that is seen there.
    """
    pixels, present = zip(*(_points(rng, image_labels, count, background) for image_labels in labels), strict=True)
    rows, columns = np.divmod(np.stack(pixels), SIDE)
    images = np.arange(len(labels))[:, None]
    under = labels[images, rows, columns]
    masks = (labels[:, None] == under[..., None, None]) & (under > 0)[..., None, None]
    points = (np.stack([columns, rows], -1) + rng.random((*rows.shape, 2))) / SIDE
    return Prompts(torch.from_numpy(points).float(), torch.from_numpy(masks), torch.from_numpy(np.stack(present)))


def _points(rng: np.random.Generator, labels: NDArray, count: int, background: float) -> tuple[NDArray, NDArray]:
    flat = labels.ravel()
    objects = np.unique(flat[flat > 0])
    wanted = np.where(rng.random(count) < background, 0, rng.choice(objects, count))
    chosen = np.array([rng.choice(np.flatnonzero(flat == number)) for number in wanted])
    return chosen, wanted > 0


def small_sam_loss(
    network: SmallSam, images: Tensor, prompts: Prompts, *, samples: int, generator: torch.Generator
) -> dict[str, Tensor]:  # fmt: skip
    """Terms of the loss, as in SAM: binary cross-entropy and dice of the best of a point's masks, taken at `samples`
    points near and far from the object, and the squared error of the predicted IoU of all its masks. A point beside
    all objects has no mask to learn from; its IoU is 0.

    Args:
        images: uint8 [N, 3, 96, 96].
    """
    logits, iou = network.decode(network.encode(images), prompts.points)
    with torch.no_grad():
        inside, predicted = F.avg_pool2d(prompts.masks.float(), SIDE // LOW)[:, :, None] > 0.5, logits > 0
        shared, union = (joined.sum((-2, -1)).float() for joined in (predicted & inside, predicted | inside))
        actual = shared / union.clamp(min=1)
        at = _where_to_look(prompts, samples, generator)
        truth = sample_maps(prompts.masks.flatten(0, 1)[:, None].float(), at.flatten(0, 1))[..., 0]
    sampled = sample_maps(logits.flatten(0, 1), at.flatten(0, 1)).transpose(1, 2)  # [N·P, M, S]
    truth = truth.round()[:, None].expand_as(sampled)
    entropy = F.binary_cross_entropy_with_logits(sampled, truth, reduction="none").mean(-1)
    share = sampled.sigmoid()
    dice = 1 - (2 * (share * truth).sum(-1) + 1) / (share.sum(-1) + truth.sum(-1) + 1)
    # Only the best of a point's masks learns: a part and the whole may both be right, and one output each can say so.
    best = (entropy + dice).argmin(-1, keepdim=True)
    weight = prompts.present.flatten().float()
    total = weight.sum().clamp(min=1)
    return {
        "bce": (entropy.gather(1, best)[:, 0] * weight).sum() / total,
        "dice": (dice.gather(1, best)[:, 0] * weight).sum() / total,
        "iou": F.mse_loss(iou, actual),
    }


def _where_to_look(prompts: Prompts, samples: int, generator: torch.Generator) -> Tensor:
    """Points [N, P, S, 2] in 0 … 1: one half anywhere, the other in and around the box of the object."""
    count, points = prompts.present.shape
    drawn = torch.rand(count, points, samples, 2, generator=generator)
    line = torch.arange(SIDE) / SIDE
    boxes = []
    for axis in (2, 3):  # columns hold x
        seen = prompts.masks.any(axis)
        low = torch.where(seen, line, 2.0).amin(-1)
        high = torch.where(seen, line, -1.0).amax(-1)
        margin = _NEAR * (high - low) + 2 / SIDE
        boxes.append((low - margin, high - low + 2 * margin))
    start, extent = (torch.stack(pair, -1)[:, :, None] for pair in zip(*boxes, strict=True))
    near = start + extent * drawn[:, :, samples // 2 :]
    near = torch.where(prompts.present[..., None, None], near, drawn[:, :, samples // 2 :])
    return torch.cat([drawn[:, :, : samples // 2], near], 2).clamp(0, 1)
