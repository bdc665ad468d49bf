"""Faces in a picture by three networks in a cascade (MTCNN; Zhang et al. 2016, arXiv:1604.02878)."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from hallmark.learning.encoders.weights import load_exactly, read_state_dict

FILES = ("pnet.pt", "rnet.pt", "onet.pt")
"""State dicts of the networks, as the package facenet-pytorch brings them."""

_CELL, _STRIDE, _SHRINK = 12, 2, 0.709  # pixels that P-Net sees, its stride, the step of the pyramid


class _CaffeFlatten(nn.Module):
    """[B, C, H, W] → [B, W · H · C], the order in which the weights were trained."""

    def forward(self, features: Tensor) -> Tensor:
        return features.permute(0, 3, 2, 1).flatten(1)


class _Network(nn.Module):
    """Layers in a row, then heads on the last: the first gives face or not, the second the box's correction."""

    def __init__(self, layers: Mapping[str, nn.Module], heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, layer in {**layers, **heads}.items():
            self.add_module(name, layer)
        self._layers, self._heads = list(layers), list(heads)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Probability of a face [B, ...] and the box's correction [B, 4, ...] in shares of its sides."""
        features = pixels
        for name in self._layers:
            features = self.get_submodule(name)(features)
        logits, correction = (self.get_submodule(name)(features) for name in self._heads[:2])
        return logits.softmax(dim=1)[:, 1], correction


def _convolutions(*layers: tuple[int, int, int, int]) -> OrderedDict[str, nn.Module]:
    """Convolutions with PReLU by their input and output channels, kernel and the pooling after them, 0 for none."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (channels, width, kernel, pool) in enumerate(layers, start=1):
        modules[f"conv{number}"] = nn.Conv2d(channels, width, kernel)
        modules[f"prelu{number}"] = nn.PReLU(width)
        if pool:
            modules[f"pool{number}"] = nn.MaxPool2d(pool, 2, ceil_mode=True)
    return modules


def proposal_network() -> _Network:
    """P-Net: fully convolutional, 12 pixels a cell."""
    layers = _convolutions((3, 10, 3, 2), (10, 16, 3, 0), (16, 32, 3, 0))
    return _Network(layers, {"conv4_1": nn.Conv2d(32, 2, 1), "conv4_2": nn.Conv2d(32, 4, 1)})


def refinement_network() -> _Network:
    """R-Net: pictures of 24 pixels."""
    layers = _convolutions((3, 28, 3, 3), (28, 48, 3, 3), (48, 64, 2, 0))
    layers |= {"flatten": _CaffeFlatten(), "dense4": nn.Linear(576, 128), "prelu4": nn.PReLU(128)}
    return _Network(layers, {"dense5_1": nn.Linear(128, 2), "dense5_2": nn.Linear(128, 4)})


def output_network() -> _Network:
    """O-Net: pictures of 48 pixels; its third head gives landmarks, which are not used."""
    layers = _convolutions((3, 32, 3, 3), (32, 64, 3, 3), (64, 64, 3, 2), (64, 128, 2, 0))
    layers |= {"flatten": _CaffeFlatten(), "dense5": nn.Linear(1152, 256), "prelu5": nn.PReLU(256)}
    heads = {f"dense6_{number}": nn.Linear(256, size) for number, size in enumerate((2, 4, 10), start=1)}
    return _Network(layers, heads)


class Mtcnn:
    """Finds faces.

    Args:
        folder: with the state dicts `FILES`.
        smallest: pixels of the smallest face that is looked for.
        thresholds: least probabilities of the three networks.

    Raises:
        UserError: a file is damaged, holds more than tensors, or is of another network.
    """

    def __init__(self, folder: Path, *, smallest: float, thresholds: tuple[float, float, float]) -> None:
        self.smallest, self.thresholds = smallest, thresholds
        self._networks = (proposal_network(), refinement_network(), output_network())
        for network, name in zip(self._networks, FILES, strict=True):
            load_exactly(network.load_state_dict, read_state_dict(folder / name), folder / name)
            network.eval().requires_grad_(False)

    @torch.inference_mode()
    def __call__(self, picture: Image.Image) -> NDArray:
        """float32 [F, 5]: left, top, right and bottom in pixels, and probability; the most probable first."""
        pixels = torch.from_numpy(np.array(picture, np.float32).transpose(2, 0, 1))[None]
        boxes = self._propose(pixels)
        for network, size, threshold in zip(self._networks[1:], (24, 48), self.thresholds[1:], strict=True):
            boxes, crops = _crops(pixels, _squares(boxes), size)
            if not len(boxes):
                return np.empty((0, 5), np.float32)
            parts = [network(part) for part in _scaled(crops).split(512)]
            scores, corrections = (torch.cat(column) for column in zip(*parts, strict=True))
            likely = scores > threshold
            scored = torch.cat([boxes[likely, :4], scores[likely, None]], dim=1)
            corrected = _corrected(scored, corrections[likely], 1)
            # A small box within a large one is suppressed at the end.
            last = network is self._networks[-1]
            boxes = corrected[_suppress(corrected, 0.7, of="smaller") if last else _suppress(scored, 0.7)]
        return boxes.numpy()

    def _propose(self, pixels: Tensor) -> Tensor:
        """Boxes [K, 5] that P-Net finds in a pyramid of scales."""
        height, width = pixels.shape[2:]
        scale, candidates = _CELL / self.smallest, [torch.empty(0, 9)]
        while min(height, width) * scale >= _CELL:
            size = (int(height * scale + 1), int(width * scale + 1))
            scores, corrections = self._networks[0](_scaled(interpolate(pixels, size=size, mode="area")))
            y, x = torch.nonzero(scores[0] >= self.thresholds[0], as_tuple=True)
            corner = torch.stack([x, y], dim=1).float() * _STRIDE
            ends = [((corner + 1) / scale).floor(), ((corner + _CELL) / scale).floor()]
            boxes = torch.cat([*ends, scores[0, y, x][:, None], corrections[0, :, y, x].T], dim=1)
            candidates.append(boxes[_suppress(boxes[:, :5], 0.5)])
            scale *= _SHRINK
        boxes = torch.cat(candidates)
        boxes = boxes[_suppress(boxes[:, :5], 0.7)]
        return _corrected(boxes[:, :5], boxes[:, 5:], 0)


def _scaled(pixels: Tensor) -> Tensor:
    return (pixels - 127.5) / 128


def _corrected(boxes: Tensor, corrections: Tensor, inclusive: int) -> Tensor:
    """Boxes [K, 5] with their ends moved by shares of the sides, which count `inclusive` pixels more."""
    sides = (boxes[:, 2:4] - boxes[:, :2] + inclusive).repeat(1, 2)
    return torch.cat([boxes[:, :4] + corrections * sides, boxes[:, 4:]], dim=1)


def _squares(boxes: Tensor) -> Tensor:
    """Boxes [K, 5] made square about their centers, of the longer side."""
    center, side = (boxes[:, :2] + boxes[:, 2:4]) / 2, (boxes[:, 2:4] - boxes[:, :2]).amax(dim=1, keepdim=True)
    return torch.cat([center - side / 2, center + side / 2, boxes[:, 4:]], dim=1)


def _crops(pixels: Tensor, boxes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The boxes that lie in the picture, and what is in them, [K, 3, size, size]."""
    height, width = pixels.shape[2:]
    ends = boxes[:, :4].trunc().int()
    low = (ends[:, :2] - 1).clamp(min=0)
    high = torch.minimum(ends[:, 2:], torch.tensor([width, height], dtype=torch.int))
    inside = (high > low).all(dim=1)
    spans = torch.cat([low, high], dim=1)[inside].tolist()
    crops = [
        interpolate(pixels[:, :, top:bottom, left:right], size=(size, size), mode="area")
        for left, top, right, bottom in spans
    ]
    return boxes[inside], torch.cat([torch.empty(0, 3, size, size), *crops])


def _suppress(boxes: Tensor, most: float, *, of: str = "union") -> Tensor:
    """Positions of the boxes [K, 5] that no more probable one overlaps by more than `most` of their union, or of the
    smaller of two; the most probable first."""
    left, top, right, bottom, score = boxes.unbind(dim=1)
    area = (right - left + 1) * (bottom - top + 1)
    order, chosen = score.argsort(descending=True, stable=True), []
    while len(order):
        best, order = order[0], order[1:]
        chosen.append(best)
        width = torch.minimum(right[best], right[order]) - torch.maximum(left[best], left[order]) + 1
        height = torch.minimum(bottom[best], bottom[order]) - torch.maximum(top[best], top[order]) + 1
        shared = width.clamp(min=0) * height.clamp(min=0)
        least = torch.minimum(area[best], area[order]) if of == "smaller" else area[best] + area[order] - shared
        order = order[shared / least <= most]
    return torch.stack(chosen) if chosen else torch.empty(0, dtype=torch.int64)
