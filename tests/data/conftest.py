from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def picture() -> Callable[..., Image.Image]:
    """Photograph-like pictures by seed: smooth color at several scales with a little grain."""

    def make(seed: int, size: tuple[int, int] = (200, 150)) -> Image.Image:
        rng = np.random.default_rng(seed)
        total = np.zeros((size[1], size[0], 3))
        for cells, weight in ((3, 1.0), (6, 0.6), (14, 0.3)):
            coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            total += weight * np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), float)
        total = total / 1.9 + rng.normal(0, 3, total.shape)
        return Image.fromarray(total.clip(0, 255).astype(np.uint8))

    return make
