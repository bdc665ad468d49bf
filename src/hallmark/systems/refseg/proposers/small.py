"""A network with SAM's interface for the sample world: less than 200,000 weights, trained in minutes on a CPU."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from hallmark.checks import SettingError
from hallmark.features.store import weights_digest
from hallmark.learning.device import chosen_device
from hallmark.learning.encoders.weights import load_exactly, local_path, read_state_dict, trained_on
from hallmark.systems.refseg.proposers.points import PointModel

SIDE, LOW = 96, 48  # pixels of the input, and of the masks it decodes
MASKS = 3
_FREQUENCIES = 4


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class SmallSam(nn.Module):
    """Image embedding once, then several masks and their predicted IoU for each point.

    Shapes: N images, P points of each, M masks of a point, C channels.

    A mask's logit at a pixel is the product of the pixel's embedding and a vector that a small network makes from what
    lies under the point, as in SAM's mask decoder. Embeddings hold coordinates and their squares, so that such a
    product can tell near from far.
    """

    def __init__(self, *, channels: int = 24, width: int = 40, depth: int = 56, hidden: int = 96) -> None:
        super().__init__()
        self.fine = _block(3, channels, 2)
        self.middle = nn.Sequential(_block(channels, width, 2), _block(width, width))
        self.coarse = nn.Sequential(_block(width, depth, 2), _block(depth, depth), _block(depth, depth))
        self.lift = nn.Conv2d(depth, width, 1)
        self.merge = _block(width, width)
        self.lift_fine = nn.Conv2d(width, channels, 1)
        self.embed = nn.Sequential(_block(channels, channels), nn.Conv2d(channels, channels, 3, padding=1))
        under = channels + 2 * width + 2 + 4 * _FREQUENCIES
        self.hyper = nn.Sequential(
            nn.Linear(under, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, MASKS * (channels + 4)),
        )  # fmt: skip
        self.iou = nn.Sequential(nn.Linear(under + MASKS * 2, hidden), nn.ReLU(), nn.Linear(hidden, MASKS))
        self.register_buffer("place", _coordinates(), persistent=False)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images uint8 [N, 3, 96, 96] to pixel embeddings [N, C+4, 48, 48] and two maps [N, ·, 24, 24]."""
        fine = self.fine(images.float() / 127.5 - 1)
        middle = self.middle(fine)
        lifted = F.interpolate(self.lift(self.coarse(middle)), scale_factor=2.0, mode="bilinear", align_corners=False)
        merged = self.merge(middle + lifted)
        raised = F.interpolate(self.lift_fine(merged), scale_factor=2.0, mode="bilinear", align_corners=False)
        pixels = self.embed(fine + raised)
        coordinates = self.place.expand(len(images), -1, -1, -1)  # type: ignore[operator]
        return torch.cat([pixels, coordinates], 1), merged, lifted

    def decode(self, maps: tuple[Tensor, Tensor, Tensor], points: Tensor) -> tuple[Tensor, Tensor]:
        """Points [N, P, 2] (x, y in 0 … 1) to logits [N, P, M, 48, 48] and predicted IoU [N, P, M] in 0 … 1."""
        pixels_NCHW = maps[0]
        under_NPC = torch.cat([*(sample_maps(level, points) for level in (pixels_NCHW[:, :-4], *maps[1:])),
                               2 * points - 1, _waves(points)], -1)  # fmt: skip
        # The last four weights belong to the coordinates: a mask can end at a distance from its point.
        weights = self.hyper(under_NPC).unflatten(-1, (MASKS, -1))
        logits = torch.einsum("npmc,nchw->npmhw", weights, pixels_NCHW)
        # What the masks themselves tell of their quality: a doubtful edge, or nothing at all.
        iou = self.iou(torch.cat([under_NPC, *_size_and_stability(logits.detach())], -1)).sigmoid()
        return logits, iou


def _coordinates() -> Tensor:
    """x, y, x² + y² and 1 of every low-resolution pixel, [4, 48, 48]; x and y in −1 … 1."""
    line = (torch.arange(LOW) + 0.5) / LOW * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y, x**2 + y**2, torch.ones_like(x)]) * 4


def sample_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Values [N, P, C] of maps [N, C, h, w] at points [N, P, 2] in 0 … 1, bilinear."""
    sampled = F.grid_sample(maps, 2 * points[:, None] - 1, padding_mode="border", align_corners=False)
    return sampled[:, :, 0].transpose(1, 2)


def _size_and_stability(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Share of the pixels inside of each mask, and its IoU when cut at 1 with itself cut at −1, [N, P, M] both."""
    inner, middle, outer = ((logits > cut).sum((-2, -1)).float() for cut in (1, 0, -1))
    return middle / LOW**2, inner / outer.clamp(min=1)


def _waves(points: Tensor) -> Tensor:
    angles = (points[..., None] * (torch.pi * 2.0 ** torch.arange(_FREQUENCIES, device=points.device))).flatten(-2)
    return torch.cat([angles.sin(), angles.cos()], -1)


@dataclass(frozen=True)
class SmallEmbedding:
    maps: tuple[Tensor, Tensor, Tensor]
    size: tuple[int, int]


class SmallModel(PointModel[SmallEmbedding]):
    """`SmallSam` as a `PointModel`; images of another size are resized to 96×96 for it.

    Args:
        weights: safetensors file of a trained `SmallSam`, or `package:<package>/<path>` of one inside a package.
        device: where it runs; `auto` for a GPU if there is one.
    """

    def __init__(self, *, weights: str, device: str) -> None:
        path = local_path(weights)
        if path is None:
            raise SettingError("weights", weights, "a safetensors file")
        self.path, self.device = path, chosen_device(device)
        self.trained_on = trained_on(path)

    @cached_property
    def network(self) -> SmallSam:
        network = SmallSam()
        load_exactly(network.load_state_dict, read_state_dict(self.path), self.path)
        return network.to(self.device).eval()

    def settings(self) -> dict[str, Any]:
        return {"kind": "small", "weights": weights_digest(self.network)}

    def embed(self, image: NDArray) -> SmallEmbedding:
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].to(self.device)
        if pixels.shape[-2:] != (SIDE, SIDE):
            pixels = F.interpolate(pixels.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
        return SmallEmbedding(self.network.encode(pixels), (image.shape[0], image.shape[1]))

    def decode(self, embedded: SmallEmbedding, points: NDArray) -> tuple[Tensor, Tensor]:
        height, width = embedded.size
        shares = torch.as_tensor(points / (width, height), dtype=torch.float32, device=self.device)
        logits, iou = self.network.decode(embedded.maps, shares[None])
        return logits[0], iou[0]

    def upscale(self, embedded: SmallEmbedding, logits: Tensor) -> Tensor:
        return F.interpolate(logits[:, None], embedded.size, mode="bilinear", align_corners=False)[:, 0]
