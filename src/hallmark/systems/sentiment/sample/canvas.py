"""A supersampled drawing surface, and the few color helpers that the scenes share."""

import colorsys
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

SUPERSAMPLING = 3
INK = (34, 28, 34)

Color = tuple[int, ...]
Point = tuple[float, float]


def hsv(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def blend(first: Color, second: Color, weight: float) -> Color:
    return tuple(round(a + (b - a) * weight) for a, b in zip(first, second, strict=True))


def by_mood(mood: float, low: Color, middle: Color, high: Color) -> Color:
    """The color at `mood` in [-1, 1] on the line low - middle - high."""
    return blend(middle, high if mood > 0 else low, abs(mood))


def daylight(mood: float, color: Color) -> Color:
    """`color` in the light of the mood: full, washed out, or sunk into the dark."""
    return by_mood(mood, blend(color, (24, 26, 38), 0.65), blend(color, (128, 130, 134), 0.5), color)


def vary(rng: np.random.Generator, color: Color, amount: int = 16) -> Color:
    shift = rng.integers(-amount, amount + 1, size=3)
    return tuple(min(255, max(0, int(part + step))) for part, step in zip(color, shift, strict=True))


class Canvas:
    """An RGB surface in units of its short side: origin at the top left, x to the right, y down."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.scale = SUPERSAMPLING * min(size)
        self.width, self.height = size[0] / min(size), size[1] / min(size)
        self.image = Image.new("RGB", (SUPERSAMPLING * size[0], SUPERSAMPLING * size[1]))
        self._draw = ImageDraw.Draw(self.image, "RGBA")

    def gradient(self, top: Color, bottom: Color) -> None:
        self.image.paste(top, (0, 0, *self.image.size))
        self.image.paste(bottom, (0, 0), Image.linear_gradient("L").resize(self.image.size))

    def _box(self, x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        s = self.scale
        return (x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        self._draw.ellipse(self._box(x, y, rx, ry), fill=fill)

    def ring(self, x: float, y: float, radius: float, color: Color, width: float) -> None:
        self._draw.ellipse(self._box(x, y, radius, radius), outline=color, width=round(width * self.scale))

    def chord(self, x: float, y: float, rx: float, ry: float, degrees: Point, fill: Color) -> None:
        self._draw.chord(self._box(x, y, rx, ry), *degrees, fill=fill)

    def rectangle(self, left: float, top: float, right: float, bottom: float, fill: Color) -> None:
        self._draw.rectangle([v * self.scale for v in (left, top, right, bottom)], fill=fill)

    def polygon(self, points: Sequence[Point], fill: Color) -> None:
        self._draw.polygon([(x * self.scale, y * self.scale) for x, y in points], fill=fill)

    def line(self, points: Sequence[Point], fill: Color, width: float) -> None:
        scaled = [(x * self.scale, y * self.scale) for x, y in points]
        self._draw.line(scaled, fill=fill, width=max(1, round(width * self.scale)), joint="curve")

    def petal(self, x: float, y: float, angle: float, length: float, fill: Color) -> None:
        """A leaf shape that starts at (x, y) and points along `angle` (radians, 0 to the right)."""
        tip = (x + length * math.cos(angle), y + length * math.sin(angle))
        bulge = 0.5 * length
        sides = [
            (x + 0.55 * length * math.cos(angle) + turn * bulge * 0.55 * math.sin(angle),
             y + 0.55 * length * math.sin(angle) - turn * bulge * 0.55 * math.cos(angle))
            for turn in (1, -1)
        ]  # fmt: skip
        outline = bezier((x, y), _through((x, y), sides[0], tip), tip)
        self.polygon([*outline, *bezier(tip, _through((x, y), sides[1], tip), (x, y))], fill)


def _through(start: Point, middle: Point, end: Point) -> Point:
    """The control point with which a quadratic curve passes `middle` half way."""
    x, y = (2 * m - (s + e) / 2 for s, m, e in zip(start, middle, end, strict=True))
    return x, y


def bezier(start: Point, control: Point, end: Point, steps: int = 12) -> list[Point]:
    """Points on the quadratic Bezier curve from `start` to `end`, both included."""
    return [
        (
            (1 - t) ** 2 * start[0] + 2 * t * (1 - t) * control[0] + t**2 * end[0],
            (1 - t) ** 2 * start[1] + 2 * t * (1 - t) * control[1] + t**2 * end[1],
        )
        for t in (i / steps for i in range(steps + 1))
    ]


def backdrop(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    """A wall of any hue; the mood only leans on how bright and how saturated it is."""
    hue = rng.random()
    saturation = float(np.clip(0.38 + 0.16 * mood + rng.normal(0, 0.1), 0.05, 0.9))
    value = float(np.clip(0.68 + 0.16 * mood + rng.normal(0, 0.1), 0.2, 1))
    canvas.gradient(hsv(hue, saturation, value), hsv(hue + 0.05, saturation, 0.8 * value))
