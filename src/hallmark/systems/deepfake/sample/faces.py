"""Faces in front of a background, drawn for many frames at once.

Lengths are in half widths of a frame, with the origin in its center, x to the right and y down. Edges are soft over a
pixel, which takes the place of rendering at twice the size and averaging.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SKIN = np.array([(255, 224, 196), (241, 194, 150), (224, 172, 125), (183, 125, 84), (129, 84, 52)], np.float32)
_HAIR = np.array([(40, 28, 24), (92, 58, 34), (196, 150, 78), (150, 70, 44), (130, 128, 134)], np.float32)
_IRIS = np.array([(70, 44, 28), (60, 100, 140), (70, 110, 70), (110, 80, 40)], np.float32)
_LIPS, _INK, _WHITE = (np.array(color, np.float32) for color in ((172, 76, 80), (34, 26, 30), (244, 242, 238)))

IDENTITY_SIZE, SCENE_SIZE = 18, 20  # random numbers that an identity and a scene are made of
SKIN = 4  # those of an identity that come first: the color of its skin


@dataclass(frozen=True)
class Identities:
    """Who is drawn: uniform numbers [N, IDENTITY_SIZE] in [0, 1)."""

    draws: NDArray

    def between(self, position: int, low: float, high: float) -> NDArray:
        """[N, 1, 1], uniform between `low` and `high`."""
        return (low + (high - low) * self.draws[:, position, None, None]).astype(np.float32)

    def color(self, position: int, palette: NDArray, spread: float) -> NDArray:
        """[N, 1, 1, 3], near a color of `palette`; uses four numbers."""
        base = palette[(self.draws[:, position] * len(palette)).astype(int)]
        shift = spread * (2 * self.draws[:, position + 1 : position + 4] - 1)
        return np.clip(base + shift, 8, 250).astype(np.float32)[:, None, None]


class Scenes:
    """Where and how: background, clothes, light and pose of frames [N].

    Args:
        draws: uniform numbers [N, SCENE_SIZE], equal for the frames of a video.
        poses: normal numbers [N, 5] of each frame: shift in x and y, scale, turn and opening of the mouth.
        size: pixels of a side.
    """

    def __init__(self, draws: NDArray, poses: NDArray, size: int) -> None:
        self.draws, self.size = draws, size
        axis = ((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32)
        self.x, self.y = np.meshgrid(axis, axis)
        self.soft = 2 / size
        x0, y0 = 0.08 * poses[:, 0], 0.05 * poses[:, 1] + 0.02
        scale, angle = 0.62 * (1 + 0.05 * poses[:, 2]), 0.08 * poses[:, 3]
        scale *= 0.92 + 0.16 * draws[:, 0]
        dx, dy = self.x - x0[:, None, None], self.y - y0[:, None, None]
        cos, sin = (f(angle)[:, None, None] for f in (np.cos, np.sin))
        self.scale = scale[:, None, None].astype(np.float32)
        self.u = ((cos * dx + sin * dy) / self.scale).astype(np.float32)  # in units of the face's half height
        self.v = ((cos * dy - sin * dx) / self.scale).astype(np.float32)
        self.mouth = np.clip(0.5 + 0.5 * poses[:, 4], 0, 1).astype(np.float32)[:, None, None]

    def uniform(self, position: int, low: float, high: float) -> NDArray:
        """[N, 1, 1], uniform between `low` and `high`."""
        return (low + (high - low) * self.draws[:, position, None, None]).astype(np.float32)

    def ellipse(self, x: NDArray | float, y: NDArray | float, rx: NDArray | float, ry: NDArray | float) -> NDArray:
        """Coverage [N, S, S] in [0, 1] of an ellipse in the face's own coordinates."""
        radius = np.sqrt(((self.u - x) / rx) ** 2 + ((self.v - y) / ry) ** 2)
        smallest = np.minimum(rx, ry) * self.scale
        return np.clip(0.5 + (1 - radius) * smallest / self.soft, 0, 1)

    def background(self) -> NDArray:
        """Pixels [N, S, S, 3] in gray levels: two colors, a pattern of stripes, and clothes below."""
        first, second, cloth = (40 + 180 * self.draws[:, k : k + 3, None, None] for k in (1, 4, 7))
        turn, along = self.uniform(10, 0, np.pi), self.uniform(11, 0, 6.3)
        across = np.cos(turn) * self.x + np.sin(turn) * self.y
        weight = np.clip(0.5 + 0.5 * across, 0, 1)[:, None]
        pixels = first * (1 - weight) + second * weight
        # From broad bands to the finest pattern that the frame can hold.
        frequency = np.pi * self.size / 2 * 2.0 ** -self.uniform(12, 0.2, 4)
        pixels += (self.uniform(13, 0, 22) * np.sin(frequency * across + along))[:, None]
        shoulders = self.ellipse(0, 1.95, 1.35, 0.95)[:, None]
        weave = self.uniform(14, 0, 14) * np.sin(self.uniform(15, 8, 0.9 * np.pi * self.size / 2) * (self.x - self.y))
        pixels = pixels * (1 - shoulders) + (cloth + weave[:, None]) * shoulders
        return np.moveaxis(pixels, 1, 3).astype(np.float32)


def paint(pixels: NDArray, coverage: NDArray, color: NDArray) -> None:
    """Lay `color` ([3] or [N, 1, 1, 3] or pixels) over `pixels` [N, S, S, 3] where `coverage` [N, S, S] says."""
    pixels += coverage[..., None] * (color - pixels)


def draw_faces(pixels: NDArray, people: Identities, scenes: Scenes) -> None:
    """Draw heads over `pixels` [N, S, S, 3]: hair, neck, face and features, and hair over the forehead."""
    between, oval = people.between, scenes.ellipse
    skin, hair, iris = people.color(0, _SKIN, 14), people.color(4, _HAIR, 12), people.color(8, _IRIS, 12)
    width, part = between(12, 0.66, 0.84), between(13, 0.0, 1.0)
    long = (part > 0.5).astype(np.float32)
    paint(pixels, long * oval(0, 0.3, width + 0.18, 1.3), hair)
    paint(pixels, oval(0, 1.05, 0.34, 0.6), 0.86 * skin)
    paint(pixels, oval(0, -0.18, width + 0.12, 0.98), hair)
    light = scenes.uniform(16, -0.18, 0.18) * scenes.u + scenes.uniform(17, -0.12, 0.06) * scenes.v
    paint(pixels, oval(0, 0.06, width, 0.96), skin * (1 + light[..., None]))
    apart, height = between(14, 0.27, 0.37), between(15, -0.14, 0.0)
    eye, lips = between(16, 0.095, 0.14), between(17, 0.2, 0.33)
    for side in (-1, 1):
        x = side * apart
        paint(pixels, oval(x, height, eye * 1.25, eye * 0.85), _WHITE)
        paint(pixels, oval(x, height, eye * 0.66, eye * 0.66), iris)
        paint(pixels, oval(x, height, eye * 0.3, eye * 0.3), _INK)
        paint(pixels, oval(x, height - 1.9 * eye, eye * 1.5, 0.045), 0.8 * hair)
    paint(pixels, 0.5 * oval(0.03, 0.26, 0.05, 0.16), 0.72 * skin)
    paint(pixels, oval(0, 0.56, lips, 0.07 + 0.07 * scenes.mouth), (_LIPS + skin) / 2)
    paint(pixels, oval(0, 0.56, 0.7 * lips, 0.005 + 0.08 * scenes.mouth), _INK)
    paint(pixels, oval(0, -0.92, 0.9 * width + 0.08, 0.44), hair)
