from collections.abc import Callable
from pathlib import Path

import pytest

from hallmark.data.listed import Listed
from hallmark.systems.deepfake.data import DeepfakeDataModule
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
