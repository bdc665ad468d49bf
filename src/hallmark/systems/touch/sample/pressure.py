"""Frames of a pressure sensor under a hand."""

import numpy as np
from numpy.typing import NDArray

FRAME_RATE = 4.0
SIZE = 16


def draw_frames(rng: np.random.Generator, *, action: str, tempo: float, seconds: float) -> NDArray:
    """uint8 [N, 16, 16] at 4 Hz: where and how hard the hand touches."""
    time = np.arange(round(seconds * FRAME_RATE)) / FRAME_RATE
    phase = tempo * time + rng.uniform(0, 4)
    center, strength = rng.uniform(5, 10, 2), rng.uniform(0.35, 0.9)
    force, shifts = _contact(action, phase, rng)
    spots = [_spot(center + shift, rng.uniform(1.3, 2.2)) for shift in shifts]
    pressure = strength * force[:, None, None] * np.maximum.reduce(spots)
    noisy = pressure + 0.07 * np.abs(rng.standard_normal(pressure.shape)) * rng.uniform(0.5, 1.5)
    return (255 * noisy.clip(0, 1)).astype(np.uint8)


def _contact(action: str, phase: NDArray, rng: np.random.Generator) -> tuple[NDArray, list[NDArray]]:
    """Force [N], and the way [N, 2] of every finger from the place of the hand."""
    still = np.zeros((len(phase), 2))
    angle = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])
    match action:
        case "stroke":
            way = 4 * np.sin(2 * np.pi * 0.35 * phase)[:, None] * direction
            return 0.7 + 0.2 * np.sin(2 * np.pi * 0.7 * phase), [way]
        case "tap":
            return np.where(rng.random(len(phase)) < 0.45, rng.uniform(0.4, 1, len(phase)), 0.05), [still]
        case "pinch":
            gap = (1.5 + 1.5 * np.abs(np.sin(2 * np.pi * 0.33 * phase)))[:, None] * direction
            return np.full(len(phase), 0.7), [gap, -gap]
        case "press":
            cycle = (phase % 3.2) / 3.2
            return np.clip(4 * cycle, 0.1, 1) * np.where(cycle < 0.75, 1, 0.15), [still]
    return np.full(len(phase), 0.06), [still]


def _spot(centers: NDArray, width: float) -> NDArray:
    """[N, 16, 16]: a soft disc about each of the `centers` [N, 2]."""
    pixel = np.arange(SIZE)
    row = np.exp(-((pixel - centers[:, :1]) ** 2) / (2 * width**2))
    column = np.exp(-((pixel - centers[:, 1:]) ** 2) / (2 * width**2))
    return row[:, :, None] * column[:, None, :]
