"""The box arithmetic of MTCNN, with seeded random weights, against loops over single boxes."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hallmark.systems.deepfake.mtcnn import FILES, Mtcnn, output_network, proposal_network, refinement_network

SMALLEST, THRESHOLDS = 19.0, (0.8, 0.4, 0.4)
Box = tuple[float, ...]  # left, top, right, bottom, score, and the corrections of the four ends


@pytest.fixture(scope="module")
def networks() -> list[torch.nn.Module]:
    """Networks that find faces anywhere, and move boxes by some tenths of their sides."""
    generator = torch.Generator().manual_seed(0)
    seeded = []
    for network in (proposal_network(), refinement_network(), output_network()):
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                fan = parameter[0].numel()
                scale = {"conv4_2": 0.15, "dense5_2": 0.15, "dense6_2": 0.15}.get(name.partition(".")[0], 2.0)
                parameter.data = scale * torch.randn(parameter.shape, generator=generator) / math.sqrt(fan)
            else:
                torch.nn.init.constant_(parameter, 0.25 if "prelu" in name else 0.0)
        seeded.append(network.eval().requires_grad_(False))
    return seeded


@pytest.fixture(scope="module")
def detector(networks, tmp_path_factory) -> Mtcnn:
    folder: Path = tmp_path_factory.mktemp("mtcnn")
    for network, name in zip(networks, FILES, strict=True):
        torch.save(network.state_dict(), folder / name)
    return Mtcnn(folder, smallest=SMALLEST, thresholds=THRESHOLDS)


def smaller(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Each pixel is the mean of all that it lies upon, wholly or in part."""
    h, w = picture.shape[:2]
    pixels = np.empty((height, width, 3), np.float32)
    for y, x in product(range(height), range(width)):
        rows = slice(y * h // height, math.ceil((y + 1) * h / height))
        columns = slice(x * w // width, math.ceil((x + 1) * w / width))
        pixels[y, x] = picture[rows, columns].reshape(-1, 3).mean(axis=0)
    return pixels


def ask(network: torch.nn.Module, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, corrections = network(torch.from_numpy((picture - 127.5) / 128).permute(2, 0, 1)[None].float())
    return scores[0].numpy(), corrections[0].numpy()


def overlap(box: Box, other: Box, *, of_smaller: bool) -> float:
    """Intersection over union, or over the smaller of two; ends are pixels that belong to a box."""
    areas = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, other)]
    width = min(box[2], other[2]) - max(box[0], other[0]) + 1
    height = min(box[3], other[3]) - max(box[1], other[1]) + 1
    shared = max(width, 0) * max(height, 0)
    return shared / (min(areas) if of_smaller else sum(areas) - shared)


def suppress(boxes: list[Box], most: float, *, of_smaller: bool = False) -> list[Box]:
    chosen: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box[4]):
        if all(overlap(box, other, of_smaller=of_smaller) <= most for other in chosen):
            chosen.append(box)
    return chosen


def corrected(box: Box, inclusive: int) -> Box:
    width, height = box[2] - box[0] + inclusive, box[3] - box[1] + inclusive
    moved = [end + share * side for end, share, side in zip(box[:4], box[5:], (width, height) * 2, strict=True)]
    return (*moved, box[4])


def reference(networks: list[torch.nn.Module], picture: np.ndarray) -> tuple[list[Box], int]:
    """Boxes with their probabilities, and how many crops were clipped at a border."""
    height, width = picture.shape[:2]
    proposals: list[Box] = []
    scale = 12 / SMALLEST
    while min(height, width) * scale >= 12:
        scores, corrections = ask(networks[0], smaller(picture, int(height * scale + 1), int(width * scale + 1)))
        of_scale = [
            (*(math.floor((2 * p + 1) / scale) for p in (x, y)), *(math.floor((2 * p + 12) / scale) for p in (x, y)),
             *map(float, (scores[y, x], *corrections[:, y, x])))
            for y, x in product(*map(range, scores.shape)) if scores[y, x] >= THRESHOLDS[0]
        ]  # fmt: skip
        proposals += suppress(of_scale, 0.5)
        scale *= 0.709
    boxes, clipped = [corrected(box, 0) for box in suppress(proposals, 0.7)], 0
    for network, size, threshold in zip(networks[1:], (24, 48), THRESHOLDS[1:], strict=True):
        likely = []
        for left, top, right, bottom, _ in boxes:
            side = max(right - left, bottom - top)
            corner = ((left + right - side) / 2, (top + bottom - side) / 2)
            square = (*corner, corner[0] + side, corner[1] + side)
            ends = [math.trunc(end) for end in square]
            low = [max(end - 1, 0) for end in ends[:2]]
            high = [min(ends[2], width), min(ends[3], height)]
            clipped += min(ends) < 1 or ends[2] > width or ends[3] > height
            if high[0] > low[0] and high[1] > low[1]:
                score, moves = ask(network, smaller(picture[low[1] : high[1], low[0] : high[0]], size, size))
                if score > threshold:
                    likely.append((*square, *map(float, (score, *moves))))
        if size == 24:
            boxes = [corrected(box, 1) for box in suppress(likely, 0.7)]
        else:
            boxes = suppress([corrected(box, 1) for box in likely], 0.7, of_smaller=True)
    return boxes, clipped


@pytest.mark.parametrize("size", [(56, 44), (40, 64)])
def test_boxes_are_those_of_loops_over_single_boxes(detector, networks, size):
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    picture = coarse.resize(size, Image.Resampling.BICUBIC)
    expected, clipped = reference(networks, np.asarray(picture, np.float32))
    assert clipped > 10 and len(expected) > 10
    np.testing.assert_allclose(detector(picture), np.array(expected), rtol=1e-3, atol=1e-2)


def test_a_picture_smaller_than_a_face_has_none(detector):
    assert detector(Image.new("RGB", (19, 40), "gray")).shape == (0, 5)
