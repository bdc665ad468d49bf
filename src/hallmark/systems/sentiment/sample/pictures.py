"""From a scene and a mood to the bytes of a JPEG file."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from hallmark.data.images import encoded
from hallmark.systems.sentiment.sample import faces, surroundings
from hallmark.systems.sentiment.sample.canvas import INK, SUPERSAMPLING, Canvas, hsv

_SCENES = (
    faces.selfie, faces.friends, faces.dog, faces.cat, surroundings.city, surroundings.mountains, surroundings.sea,
    surroundings.sunflower, surroundings.tulips, surroundings.gig, surroundings.painting,
)  # fmt: skip
DRAW: dict[str, Callable[[Canvas, np.random.Generator, float], None]] = {draw.__name__: draw for draw in _SCENES}
MOODS = {"negative": (-1.0, -0.5), "neutral": (-0.12, 0.12), "positive": (0.5, 1.0)}
SQUARE_SHARE = 0.6
JPEG_QUALITY = 90


def _caption(canvas: Canvas, rng: np.random.Generator) -> None:
    top = 0.0 if rng.random() < 0.5 else canvas.height - 0.13
    canvas.rectangle(0, top, canvas.width, top + 0.13, (250, 250, 250))
    x = 0.06
    while x < canvas.width - 0.1:
        word = rng.uniform(0.04, 0.16)
        canvas.line([(x, top + 0.065), (min(x + word, canvas.width - 0.04), top + 0.065)], INK, 0.04)
        x += word + 0.05


def _frame(canvas: Canvas, rng: np.random.Generator) -> None:
    width, color = rng.uniform(0.02, 0.05), hsv(rng.random(), rng.uniform(0, 0.6), rng.uniform(0.1, 1))
    canvas.rectangle(0, 0, canvas.width, width, color)
    canvas.rectangle(0, canvas.height - width, canvas.width, canvas.height, color)
    canvas.rectangle(0, 0, width, canvas.height, color)
    canvas.rectangle(canvas.width - width, 0, canvas.width, canvas.height, color)


def _stickers(canvas: Canvas, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(2, 6)):
        x, y, r = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height), rng.uniform(0.02, 0.05)
        canvas.ellipse(x, y, r, r, hsv(rng.random(), rng.uniform(0.3, 1), rng.uniform(0.3, 1)))


def _photograph(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The drawing as a camera would have it: brightness, contrast and tint vary, and the sensor is noisy."""
    pixels = np.asarray(image, dtype=np.float32)
    gain, tint = rng.uniform(0.85, 1.1), rng.normal(0, 6, size=3).astype(np.float32)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(2, 7))
    pixels = (pixels - 128) * np.float32(gain) + 128 + tint + np.float32(rng.normal(0, 8)) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def render(rng: np.random.Generator, *, scene: str, cue: str, image_size: int) -> bytes:
    """A JPEG file of `scene` whose mood shows `cue`; its short side has `image_size` pixels."""
    size = (image_size, image_size)
    if rng.random() >= SQUARE_SHARE:
        long = image_size * 4 // 3
        size = (long, image_size) if rng.random() < 0.5 else (image_size, long)
    canvas = Canvas(size)
    DRAW[scene](canvas, rng, rng.uniform(*MOODS[cue]))
    for share, add in ((0.3, _stickers), (0.15, _caption), (0.2, _frame)):
        if rng.random() < share:
            add(canvas, rng)
    photograph = _photograph(canvas.image.reduce(SUPERSAMPLING), rng)
    return encoded(photograph, "JPEG", quality=JPEG_QUALITY)
