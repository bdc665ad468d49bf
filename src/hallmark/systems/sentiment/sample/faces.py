"""Scenes with a face: people and pets. Each is a function of (canvas, rng, mood), mood in [-1, 1]."""

import math
from collections.abc import Callable

import numpy as np

from hallmark.systems.sentiment.sample import canvas as paint
from hallmark.systems.sentiment.sample.canvas import INK, Canvas, Color, Point

SKIN = ((255, 224, 196), (241, 194, 150), (224, 172, 125), (183, 125, 84), (129, 84, 52), (255, 214, 90))
HAIR = ((40, 28, 24), (92, 58, 34), (196, 150, 78), (170, 66, 38), (120, 120, 128), (214, 92, 150), (64, 92, 170))
FUR = ((196, 140, 84), (120, 80, 52), (232, 214, 180), (88, 84, 90), (222, 160, 70), (240, 236, 230))
TEAR = (96, 178, 246)

_Ears = Callable[[Canvas, float, Point, float, Color, Color], None]


def _mouth(canvas: Canvas, mood: float, x: float, y: float, half_width: float) -> None:
    depth = 0.85 * half_width * mood
    corners = ((x - half_width, y - depth / 2), (x + half_width, y - depth / 2))
    curve = paint.bezier(corners[0], (x, y + 1.5 * depth), corners[1])
    if mood > 0.6:
        canvas.polygon(curve, (150, 36, 48))
        canvas.line(corners, (255, 255, 255), 0.22 * half_width)
    canvas.line(curve, (110, 30, 40) if mood > 0.6 else INK, 0.2 * half_width)


def _eyes(canvas: Canvas, rng: np.random.Generator, mood: float, x: float, y: float, size: float) -> None:
    look = rng.uniform(-0.25, 0.25) * size
    worried = rng.random() < 0.5
    for side in (-1, 1):
        center = x + side * 2.2 * size
        if mood > 0.75:
            foot = y + 0.4 * size
            arch = paint.bezier((center - size, foot), (center, y - 1.6 * size), (center + size, foot))
            canvas.line(arch, INK, 0.45 * size)
        else:
            canvas.ellipse(center, y, size, 1.1 * size, (252, 252, 252))
            lower = 0.3 * size if mood < -0.3 else 0
            canvas.ellipse(center + look, y + lower, 0.55 * size, 0.65 * size, INK)
        # Sad brows rise towards the nose, angry ones fall; both are negative.
        tilt = size * min(mood, 0) * (1.1 if worried else -1.1)
        lift = y - (1.9 + 0.5 * max(mood, 0)) * size
        inner, outer = (center - side * size, lift + tilt), (center + side * size, lift - tilt)
        canvas.line([inner, outer], INK, 0.4 * size)


def _tears(canvas: Canvas, x: float, y: float, size: float) -> None:
    canvas.ellipse(x, y, 0.6 * size, 0.8 * size, TEAR)
    shoulder = y - 0.3 * size
    canvas.polygon([(x - 0.5 * size, shoulder), (x, y - 1.8 * size), (x + 0.5 * size, shoulder)], TEAR)


def _heart(canvas: Canvas, rng: np.random.Generator) -> None:
    x, y = rng.uniform(0.06, canvas.width - 0.06), rng.uniform(0.06, 0.3)
    size, color = rng.uniform(0.02, 0.045), paint.vary(rng, (236, 60, 96), 24)
    for side in (-1, 1):
        canvas.ellipse(x + side * 0.5 * size, y, 0.56 * size, 0.56 * size, color)
    canvas.polygon([(x - size, y + 0.2 * size), (x + size, y + 0.2 * size), (x, y + 1.4 * size)], color)


def _person(canvas: Canvas, rng: np.random.Generator, mood: float, center: Point, r: float) -> None:
    x, y = center
    skin, hair = paint.vary(rng, SKIN[rng.integers(len(SKIN))], 8), paint.vary(rng, HAIR[rng.integers(len(HAIR))], 10)
    if rng.random() < 0.5:
        canvas.ellipse(x, y + 0.2 * r, 1.08 * r, 1.3 * r, hair)
    canvas.ellipse(x, y + 1.9 * r, 1.15 * r, 0.95 * r, paint.hsv(rng.random(), 0.5, 0.7))
    canvas.rectangle(x - 0.26 * r, y + 0.7 * r, x + 0.26 * r, y + 1.2 * r, paint.blend(skin, INK, 0.12))
    canvas.ellipse(x, y - 0.1 * r, 0.96 * r, 1.05 * r, hair)
    canvas.ellipse(x, y + 0.08 * r, 0.84 * r, r, skin)
    canvas.chord(x, y - 0.25 * r, 0.86 * r, 0.82 * r, (190, 350), hair)
    _eyes(canvas, rng, mood, x, y, 0.17 * r)
    if mood > 0.3:
        for side in (-1, 1):
            canvas.ellipse(x + side * 0.52 * r, y + 0.38 * r, 0.15 * r, 0.1 * r, (240, 110, 110, 120))
    if mood < -0.3 and rng.random() < 0.6:
        _tears(canvas, x + rng.choice((-0.4, 0.4)) * r, y + 0.45 * r, 0.14 * r)
    canvas.line([(x, y + 0.12 * r), (x - 0.06 * r, y + 0.3 * r)], paint.blend(skin, INK, 0.35), 0.06 * r)
    _mouth(canvas, mood, x, y + 0.62 * r, 0.4 * r)
    if rng.random() < 0.2:
        for side in (-1, 1):
            canvas.ring(x + side * 0.37 * r, y, 0.3 * r, INK, 0.06 * r)


def selfie(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    paint.backdrop(canvas, rng, mood)
    x, y = canvas.width / 2 + rng.uniform(-0.1, 0.1), canvas.height / 2 + rng.uniform(-0.08, 0.02)
    _person(canvas, rng, mood, (x, y), rng.uniform(0.32, 0.42))


def friends(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    paint.backdrop(canvas, rng, mood)
    for side in (-1, 1):
        x = canvas.width * (0.5 + side * rng.uniform(0.22, 0.25))
        y = canvas.height / 2 + rng.uniform(-0.1, 0.06)
        _person(canvas, rng, mood, (x, y), rng.uniform(0.23, 0.26) * min(canvas.width, 1.15))


def _pet(canvas: Canvas, rng: np.random.Generator, mood: float, ears: _Ears, muzzle: float) -> None:
    paint.backdrop(canvas, rng, mood)
    grass = paint.daylight(mood, paint.vary(rng, (118, 184, 84), 28))
    canvas.rectangle(0, canvas.height - rng.uniform(0.15, 0.3), canvas.width, canvas.height, grass)
    x, y = canvas.width / 2 + rng.uniform(-0.12, 0.12), canvas.height / 2 + rng.uniform(-0.08, 0.04)
    r, fur = rng.uniform(0.27, 0.34), paint.vary(rng, FUR[rng.integers(len(FUR))], 12)
    dark, pale = paint.blend(fur, INK, 0.35), paint.blend(fur, (255, 255, 255), 0.55)
    canvas.ellipse(x, y + 1.5 * r, 0.9 * r, r, paint.blend(fur, INK, 0.12))
    ears(canvas, mood, (x, y), r, fur, dark)
    canvas.ellipse(x, y + 0.46 * r, muzzle * r, 0.8 * muzzle * r, pale)
    _eyes(canvas, rng, mood, x, y - 0.18 * r, 0.16 * r)
    if mood > 0.3:
        canvas.ellipse(x, y + 0.82 * r, 0.17 * r, 0.26 * r, (240, 96, 116))
    _mouth(canvas, 0.6 * mood, x, y + 0.6 * r, 0.62 * muzzle * r)
    canvas.ellipse(x, y + 0.2 * r, 0.28 * muzzle * r, 0.2 * muzzle * r, INK)
    if mood > 0.3:
        for _ in range(rng.integers(0, 4)):
            _heart(canvas, rng)
    if mood < -0.3 and rng.random() < 0.7:
        _tears(canvas, x + rng.choice((-0.38, 0.38)) * r, y + 0.2 * r, 0.13 * r)


def _dog_ears(canvas: Canvas, mood: float, at: Point, r: float, fur: Color, dark: Color) -> None:
    x, y = at
    canvas.ellipse(x, y, r, 0.95 * r, fur)
    for side in (-1, 1):
        angle = math.pi / 2 - side * (0.75 + 0.5 * mood)
        canvas.petal(x + side * 0.6 * r, y - 0.72 * r, angle, 1.25 * r, dark)


def _cat_ears(canvas: Canvas, mood: float, at: Point, r: float, fur: Color, dark: Color) -> None:
    x, y = at
    for side in (-1, 1):
        tip = (x + side * (0.85 - 0.15 * mood) * r, y - (1.15 + 0.25 * mood) * r)
        canvas.polygon([(x + side * 0.95 * r, y - 0.1 * r), tip, (x + side * 0.2 * r, y - 0.8 * r)], dark)
    canvas.ellipse(x, y, 1.05 * r, 0.92 * r, fur)
    for side in (-1, 1):
        for rise in (-0.08, 0.08, 0.24):
            end = (x + side * 1.35 * r, y + (0.3 + 1.6 * rise) * r)
            canvas.line([(x + side * 0.4 * r, y + 0.35 * r), end], paint.blend(dark, INK, 0.5), 0.012)


def dog(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    _pet(canvas, rng, mood, _dog_ears, 0.6)


def cat(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    _pet(canvas, rng, mood, _cat_ears, 0.44)
