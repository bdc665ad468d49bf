from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hallmark.data.listed import Listed
from hallmark.systems.deepfake import mtcnn
from hallmark.systems.deepfake.data import DeepfakeDataModule
from hallmark.systems.deepfake.faces import FaceCrops
from hallmark.systems.deepfake.sample.world import generate

SAMPLE = {
    "train": 12, "val": 6, "calibration": 6, "meta": 3, "test": 4, "frames": 2, "image_size": 48, "checkerboard": 6.0,
    "seed": 7,
}  # fmt: skip


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """A small sample world."""
    return generate(tmp_path_factory.mktemp("deepfake") / "world", **SAMPLE)


@pytest.fixture
def deepfake(compose, tmp_path) -> Callable[..., DeepfakeDataModule]:
    """A function from arguments to the data module of the presets with these in place of theirs."""

    def module(**arguments) -> DeepfakeDataModule:
        config = dict(compose("data=deepfake", "name=test").data)
        for name in ("_target_", "sample", "split"):
            config.pop(name)
        config |= {"cache": str(tmp_path / "cache"), "seed": 0, "batch_size": 4, "sample": None}
        split = Listed(val=0.25, test=0, seed=0)
        policies = dict(config.pop("on_problem")) | arguments.pop("on_problem", {})
        named = {kind: policy for kind, policy in policies.items() if policy is not None}
        return DeepfakeDataModule(**{**config, "split": split, "on_problem": named, **arguments})

    return module


@pytest.fixture
def weights(tmp_path) -> str:
    """A folder with the files of a detector that is not read."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in mtcnn.FILES:
        (folder / name).write_bytes(b"")
    return str(folder)


@pytest.fixture
def crops(weights) -> FaceCrops:
    """Crops by a detector that takes every bright column block of a picture for a face."""
    faces = FaceCrops(weights=weights, margin=0.5, smallest=20, thresholds=[0.7, 0.8, 0.8])

    def detect(picture: Image.Image) -> np.ndarray:
        bright = np.asarray(picture.convert("L")) > 128
        starts = np.flatnonzero(np.diff(bright.any(axis=0).astype(int), prepend=0, append=0)).reshape(-1, 2)
        rows = np.flatnonzero(bright.any(axis=1))
        return np.array([[a, rows[0], b, rows[-1] + 1, 0.9] for a, b in starts], np.float32).reshape(-1, 5)

    faces.detector = detect
    return faces
