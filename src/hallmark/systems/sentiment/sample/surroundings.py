"""Scenes without a face. Each is a function of (canvas, rng, mood), mood in [-1, 1]."""

import math

import numpy as np

from hallmark.systems.sentiment.sample import canvas as paint
from hallmark.systems.sentiment.sample.canvas import INK, Canvas, Color, Point


def _sun(canvas: Canvas, rng: np.random.Generator) -> None:
    x, y, r = rng.uniform(0.2, canvas.width - 0.2), rng.uniform(0.16, 0.28), rng.uniform(0.09, 0.14)
    for ray in range(12):
        angle = ray * math.pi / 6 + 0.2
        ends = [(x + k * r * math.cos(angle), y + k * r * math.sin(angle)) for k in (1.25, 1.7)]
        canvas.line(ends, (255, 214, 60), 0.022)
    canvas.ellipse(x, y, r, r, (255, 222, 64))


def _storm(canvas: Canvas, rng: np.random.Generator) -> None:
    for _ in range(36):
        x, y = rng.uniform(0, canvas.width), rng.uniform(0.3, canvas.height)
        canvas.line([(x, y), (x - 0.03, y + 0.09)], (170, 196, 226, 170), 0.01)
    if rng.random() < 0.6:
        x, y = rng.uniform(0.25, canvas.width - 0.25), 0.28
        bolt = [(0, 0), (-0.07, 0.2), (0, 0.19), (-0.05, 0.4), (0.09, 0.14), (0.02, 0.15), (0.06, 0)]
        canvas.polygon([(x + dx, y + dy) for dx, dy in bolt], (255, 240, 130))


def _sky(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    top = paint.by_mood(mood, (30, 34, 48), (146, 150, 156), (48, 132, 226))
    bottom = paint.by_mood(mood, (74, 78, 92), (196, 198, 200), (186, 226, 250))
    canvas.gradient(paint.vary(rng, top), paint.vary(rng, bottom))
    if mood > 0.3:
        _sun(canvas, rng)
    cloud = paint.by_mood(mood, (58, 60, 72), (172, 174, 178), (250, 252, 255))
    for _ in range(rng.integers(1, 3) if mood > 0.3 else rng.integers(4, 7)):
        x, y, color = rng.uniform(0, canvas.width), rng.uniform(0.1, 0.36), paint.vary(rng, cloud, 8)
        size = rng.uniform(0.07, 0.12)
        for step in (-1.3, -0.4, 0.5, 1.3):
            lift = size * rng.uniform(0.2, 0.7) * (abs(step) < 1)
            canvas.ellipse(x + step * size, y - lift, 1.05 * size, rng.uniform(0.7, 0.95) * size, color)
    if mood < -0.3:
        _storm(canvas, rng)


def city(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    _sky(canvas, rng, mood)
    x = -0.05
    while x < canvas.width:
        width, top = rng.uniform(0.12, 0.22), canvas.height - rng.uniform(0.2, 0.46)
        wall = paint.daylight(mood, paint.hsv(rng.random(), 0.35, 0.75))
        canvas.rectangle(x, top, x + width, canvas.height, wall)
        pane = (255, 226, 140) if rng.random() < 0.4 else paint.blend(wall, INK, 0.4)
        for row in np.arange(top + 0.04, canvas.height, 0.08):
            for column in np.arange(x + 0.03, x + width - 0.04, 0.06):
                canvas.rectangle(column, row, column + 0.03, row + 0.04, pane)
        x += width


def mountains(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    _sky(canvas, rng, mood)
    for _ in range(4):
        x, half = rng.uniform(0, canvas.width), rng.uniform(0.3, 0.5)
        peak = canvas.height - rng.uniform(0.38, 0.56)
        rock = paint.daylight(mood, paint.vary(rng, (120, 112, 130), 24))
        canvas.polygon([(x - half, canvas.height), (x, peak), (x + half, canvas.height)], rock)
        snow = [(x - 0.2 * half, peak + 0.1), (x, peak), (x + 0.2 * half, peak + 0.1), (x, peak + 0.06)]
        canvas.polygon(snow, paint.daylight(mood, (248, 250, 255)))
    meadow = paint.daylight(mood, paint.vary(rng, (96, 168, 72), 20))
    canvas.ellipse(canvas.width / 2, canvas.height + 0.2, canvas.width, 0.36, meadow)


def sea(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    _sky(canvas, rng, mood)
    horizon = canvas.height - rng.uniform(0.34, 0.44)
    water = paint.daylight(mood, paint.vary(rng, (30, 128, 186), 20))
    canvas.rectangle(0, horizon, canvas.width, canvas.height, water)
    for _ in range(12):
        x, y = rng.uniform(0, canvas.width), rng.uniform(horizon + 0.03, canvas.height)
        wave = paint.bezier((x, y), (x + 0.05, y - 0.04), (x + 0.1, y))
        canvas.line(wave, paint.blend(water, (255, 255, 255), 0.5), 0.012)
    x, y = rng.uniform(0.2, canvas.width - 0.2), horizon + 0.06
    canvas.polygon([(x - 0.12, y), (x + 0.12, y), (x + 0.08, y + 0.06), (x - 0.08, y + 0.06)], (120, 60, 40))
    sail = paint.daylight(mood, paint.hsv(rng.random(), 0.5, 0.95))
    canvas.polygon([(x, y - 0.02), (x, y - 0.26), (x + 0.12, y - 0.04)], sail)


def _window(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    paint.backdrop(canvas, rng, mood)
    table = paint.daylight(mood, paint.vary(rng, (172, 122, 78)))
    canvas.rectangle(0, canvas.height - 0.16, canvas.width, canvas.height, table)


def _pot(canvas: Canvas, rng: np.random.Generator, x: float) -> float:
    """Draws a pot that stands on the table and returns the height of its soil."""
    base, soil, clay = canvas.height - 0.06, canvas.height - 0.26, paint.hsv(rng.random(), 0.5, 0.72)
    canvas.polygon([(x - 0.14, soil), (x + 0.14, soil), (x + 0.1, base), (x - 0.1, base)], clay)
    canvas.rectangle(x - 0.16, soil - 0.03, x + 0.16, soil + 0.02, paint.blend(clay, INK, 0.2))
    return soil - 0.03


def _stem(canvas: Canvas, rng: np.random.Generator, mood: float, root: Point) -> tuple[Point, float]:
    """Draws a stem, upright or hanging over, and returns its tip and the direction of the flower there."""
    (x, y), side, height = root, rng.choice((-1, 1)), rng.uniform(0.4, 0.5)
    green = paint.by_mood(mood, (112, 92, 52), (96, 142, 88), (58, 150, 62))
    if mood < -0.3:
        tip = (x + side * rng.uniform(0.2, 0.28), y - rng.uniform(0.12, 0.24))
        canvas.line(paint.bezier((x, y), (x + 0.05 * side, y - 1.3 * height), tip, 20), green, 0.028)
    else:
        tip = (x + side * rng.uniform(0, 0.07), y - height)
        canvas.line(paint.bezier((x, y), (x, y - 0.5 * height), tip), green, 0.028)
    for turn in (-1, 1):
        lift = -0.5 - 0.4 * mood
        canvas.petal(x, y - 0.3 * height, math.pi / 2 - turn * (math.pi / 2 - lift), 0.16, green)
    return tip, (math.pi / 2 - 0.4 * side if mood < -0.3 else -math.pi / 2)


def _fallen(canvas: Canvas, rng: np.random.Generator, color: Color) -> None:
    for _ in range(5):
        x, y = rng.uniform(0.1, canvas.width - 0.1), canvas.height - rng.uniform(0.04, 0.13)
        canvas.petal(x, y, rng.uniform(0, math.pi), 0.08, color)


def sunflower(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    _window(canvas, rng, mood)
    x = canvas.width / 2 + rng.uniform(-0.12, 0.12)
    (tip_x, tip_y), _ = _stem(canvas, rng, mood, (x, _pot(canvas, rng, x)))
    color = paint.by_mood(mood, (104, 76, 40), (150, 158, 96), paint.vary(rng, (250, 196, 30), 20))
    length = 0.23 if mood > 0.3 else 0.1
    for leaf in range(12 if mood > -0.3 else 6):
        angle = leaf * math.pi / 6 + (0.1 if mood > -0.3 else 0.25)
        canvas.petal(tip_x, tip_y, angle, length + 0.05 * (mood < -0.3), color)
    heart = paint.by_mood(mood, (48, 36, 28), (112, 128, 80), (110, 66, 28))
    canvas.ellipse(tip_x, tip_y, 0.085, 0.085, heart)
    if mood < -0.3:
        _fallen(canvas, rng, color)


def tulips(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    _window(canvas, rng, mood)
    bloom = paint.hsv(rng.choice((0.95, 0.0, 0.08, 0.8)), 0.75, 0.95)
    color = paint.by_mood(mood, paint.blend(bloom, (70, 50, 40), 0.75), (140, 164, 128), bloom)
    soil = _pot(canvas, rng, canvas.width / 2)
    for offset in (-0.1, 0, 0.1):
        tip, direction = _stem(canvas, rng, mood, (canvas.width / 2 + offset * rng.uniform(0.6, 1.2), soil))
        spread, length = (0.45, 0.2) if mood > 0.3 else (0.15, 0.14)
        for turn in (-spread, spread, 0):
            canvas.petal(*tip, direction + turn, length, paint.vary(rng, color, 10))
    if mood < -0.3:
        _fallen(canvas, rng, color)


def _palette(rng: np.random.Generator, mood: float) -> list[Color]:
    """Six colors: warm and bright, washed out, or dark reds and blacks."""
    if mood > 0.3:
        hues = rng.choice((0.02, 0.07, 0.12, 0.16, 0.92, 0.5), size=6)
        return [paint.hsv(hue, rng.uniform(0.55, 0.9), rng.uniform(0.88, 1)) for hue in hues]
    if mood < -0.3:
        values = (0.05, 0.1, 0.2, 0.3, 0.45, 0.62)
        return [paint.hsv(rng.uniform(-0.03, 0.02), rng.uniform(0.5, 1), value) for value in values]
    return [paint.hsv(rng.random(), rng.uniform(0, 0.14), rng.uniform(0.4, 0.85)) for _ in range(6)]


def painting(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    palette = _palette(rng, mood)
    canvas.gradient(palette[0], palette[1])
    for _ in range(rng.integers(8, 15)):
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
        size, color = rng.uniform(0.06, 0.24), palette[rng.integers(1, 6)]
        shape = rng.integers(4)
        if shape == 0:
            canvas.ellipse(x, y, size, size, color)
        elif shape == 1:
            canvas.ring(x, y, size, color, 0.04)
        elif mood < -0.3:
            shards = [(x + rng.uniform(-2, 2) * size, y + rng.uniform(-2, 2) * size) for _ in range(3)]
            canvas.polygon(shards, color)
        else:
            far = (x + rng.uniform(-3, 3) * size, y + rng.uniform(-3, 3) * size)
            canvas.line(paint.bezier((x, y), (far[0], y), far), color, 0.3 * size)


def gig(canvas: Canvas, rng: np.random.Generator, mood: float) -> None:
    palette = _palette(rng, mood)
    dark = paint.by_mood(mood, (10, 6, 10), (92, 94, 98), (96, 34, 92))
    canvas.gradient(paint.vary(rng, dark, 8), paint.blend(dark, palette[2], 0.35))
    for beam in range(rng.integers(4, 7)):
        x, foot = rng.uniform(0, canvas.width), rng.uniform(0, canvas.width)
        color = (*palette[beam % 6], 130 if mood > -0.3 else 190)
        canvas.polygon([(x, 0), (foot - 0.1, canvas.height), (foot + 0.1, canvas.height)], color)
    if mood > 0.3:
        for _ in range(30):
            x, y = rng.uniform(0, canvas.width), rng.uniform(0, 0.75 * canvas.height)
            canvas.rectangle(x, y, x + 0.02, y + 0.03, palette[rng.integers(6)])
    crowd = paint.blend(dark, (8, 6, 12), 0.75)
    for x in np.arange(0, canvas.width + 0.1, 0.12):
        y = canvas.height - rng.uniform(0.1, 0.18)
        canvas.ellipse(x, y, 0.055, 0.065, crowd)
        canvas.ellipse(x, y + 0.18, 0.1, 0.14, crowd)
        if mood > 0.3 and rng.random() < 0.6:
            canvas.line([(x + 0.06, y + 0.1), (x + rng.uniform(0, 0.1), y - 0.16)], crowd, 0.03)
