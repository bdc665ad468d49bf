"""Scenes of the sample world: a few flat shapes that may hide parts of each other, and exactly what is seen of each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hallmark.systems.refseg.sample.lexicon import COLOURS, SHAPES, SIZES

SIDE = 96
FEWEST, MOST = 3, 7
_RADII = {"small": (7.0, 9.5), "large": (14.0, 19.0)}  # of the circle of equal area, in pixels
_HUGE = 30.0  # a large object may grow to this where there are few
_LEAST_VISIBLE = 0.55  # share of an object that others leave
_FARTHEST_OUT = 0.35  # of its radius may an object's center be to the border
_TRIES = 30
_NOISE = 5.0


@dataclass(frozen=True)
class SceneObject:
    """An object: its attributes, and its center x, y in pixels (of what is seen of it)."""

    colour: str
    shape: str
    size: str
    x: float
    y: float


@dataclass(frozen=True)
class GeneratedScene:
    """An image uint8 [96, 96, 3], its objects from back to front, and their visible masks bool [N, 96, 96]."""

    image: NDArray
    objects: tuple[SceneObject, ...]
    masks: NDArray


_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE] + 0.5


def inside(shape: str, u: NDArray, v: NDArray) -> NDArray:
    """Signed distances, roughly, to the edge of a shape of area π around the origin; negative inside."""
    if shape == "circle":
        return np.hypot(u, v) - 1
    if shape == "square":
        return np.maximum(abs(u), abs(v)) - 0.886
    if shape == "diamond":  # narrow, so that no turn makes it a square
        return (abs(u) / 0.66 + abs(v) - 1.54) * 0.55
    if shape == "cross":
        long, short = 1.19, 0.4
        return np.minimum(
            np.maximum(abs(u) - long, abs(v) - short), np.maximum(abs(u) - short, abs(v) - long)
        )  # fmt: skip
    if shape == "triangle":
        return np.maximum(0.866 * abs(u) + 0.5 * v, -v) - 0.778
    assert shape == "star", shape
    # Five rays: fold the plane into one half of one, whose edge is a line.
    outer, inner = 1.61, 0.664
    angle = np.abs((np.arctan2(u, -v) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    radius = np.hypot(u, v)
    along, across = radius * np.cos(angle), radius * np.sin(angle)
    tip, notch = np.array([outer, 0.0]), inner * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)])
    edge = (notch - tip) / np.linalg.norm(notch - tip)
    return -(edge[1] * (tip[0] - along) + edge[0] * across)


def draw_scene(rng: np.random.Generator) -> GeneratedScene:
    """A scene of 3 to 7 objects, each of which is seen for the most part."""
    while True:  # some draws leave too little room
        image, attributes, masks = _draw(rng)
        if len(masks) >= FEWEST:
            break
    noisy = image + _NOISE * rng.standard_normal(image.shape, dtype=np.float32)
    centers = [(float(_COLUMNS[mask].mean()), float(_ROWS[mask].mean())) for mask in masks]
    objects = tuple(SceneObject(*attribute, x, y) for attribute, (x, y) in zip(attributes, centers, strict=True))
    return GeneratedScene(noisy.clip(0, 255).astype(np.uint8), objects, masks)


def _draw(rng: np.random.Generator) -> tuple[NDArray, list[tuple[str, str, str]], NDArray]:
    """Image float32 [96, 96, 3], and of the objects that found room colour, shape and size, and visible masks."""
    count = int(rng.integers(FEWEST, MOST + 1))
    image, masks = _background(rng), np.zeros((count, SIDE, SIDE), bool)
    drawn: list[tuple[str, str, str]] = []
    full: list[int] = []
    # Few colors and shapes a scene, or there would be nothing to tell apart by place.
    colors = rng.choice(list(COLOURS), size=int(rng.integers(2, 5)), replace=False)
    shapes = rng.choice(SHAPES, size=int(rng.integers(2, 4)), replace=False)
    attributes = rng.choice(colors, count), rng.choice(shapes, count), rng.choice(SIZES, count)
    for colour, shape, size in zip(*(values.tolist() for values in attributes), strict=True):
        placed = _place(rng, shape, size, count, masks[: len(drawn)], full)
        if placed is None:
            continue
        window, alpha = placed
        tint = (np.array(COLOURS[colour]) * rng.uniform(0.85, 1.08) + rng.normal(0, 7, 3)).clip(0, 255)
        image[window] += alpha[..., None] * (tint.astype(np.float32) - image[window])
        masks[(slice(len(drawn)), *window)] &= alpha <= 0.5
        masks[(len(drawn), *window)] = alpha > 0.5
        drawn.append((colour, shape, size))
        full.append(int((alpha > 0.5).sum()))
    return image, drawn, masks[: len(drawn)]


def _place(
    rng: np.random.Generator, shape: str, size: str, count: int, masks: NDArray, full: list[int]
) -> tuple[tuple[slice, slice], NDArray] | None:
    """Where in the image a new object in front comes, and its opacity there; None where there is no room."""
    low, high = _RADII[size]
    if size == "large" and count <= 4:
        high = _HUGE
    visible = masks.sum(axis=(1, 2))
    for attempt in range(_TRIES):
        radius = low + (high - low) * rng.random() * (1 - attempt / _TRIES)
        x, y = rng.uniform(_FARTHEST_OUT * radius, SIDE - _FARTHEST_OUT * radius, 2)
        window, alpha = _opacity(shape, x, y, radius, angle=rng.uniform(-0.3, 0.3))
        mask = alpha > 0.5
        left = visible - (masks[(slice(None), *window)] & mask).sum(axis=(1, 2))
        if (left >= _LEAST_VISIBLE * np.array(full)).all() and mask.sum() >= 1.6 * radius**2:
            return window, alpha
    return None


def _opacity(shape: str, x: float, y: float, radius: float, angle: float) -> tuple[tuple[slice, slice], NDArray]:
    reach = 1.8 * radius + 1
    window = (slice(max(0, int(y - reach)), int(y + reach) + 1), slice(max(0, int(x - reach)), int(x + reach) + 1))
    dx, dy = (_COLUMNS[window] - x) / radius, (_ROWS[window] - y) / radius
    cosine, sine = np.cos(angle), np.sin(angle)
    distance = inside(shape, cosine * dx + sine * dy, cosine * dy - sine * dx)
    return window, (0.5 - radius * distance).clip(0, 1).astype(np.float32)


def _background(rng: np.random.Generator) -> NDArray:
    # Grayish, with a slope and a soft stain: no colour of an object.
    base = rng.uniform(70, 200) + rng.uniform(-14, 14, 3)
    slope = rng.uniform(-0.35, 0.35, 2)
    plane = slope[0] * (_COLUMNS - SIDE / 2) + slope[1] * (_ROWS - SIDE / 2)
    x, y, width = *rng.uniform(0, SIDE, 2), rng.uniform(12, 40)
    stain = rng.uniform(-28, 28) * np.exp(-((_COLUMNS - x) ** 2 + (_ROWS - y) ** 2) / (2 * width**2))
    return (base + (plane + stain)[..., None]).astype(np.float32)
