import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.systems.characters.faces import NAMES as ROLES
from tests.systems.characters.faces import pictures
from tests.systems.characters.test_module import write_checkpoint

from hallmark.data.splits import Holdout
from hallmark.systems.characters import OnlineLearningSystem
from hallmark.systems.characters.data import CharactersDataModule
from hallmark.systems.characters.described import DescribedCharactersDataModule
from hallmark.systems.characters.generator.data import GeneratorDataModule
from hallmark.systems.characters.sample.world import generate

NAMES = ["Aoi", "Ren", "小夜", "はるか"]
SAMPLE = {"characters": NAMES, "unknown": ["Emi"], "pictures": 12, "image_size": 32, "seed": 7}


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """A small sample world."""
    return generate(tmp_path_factory.mktemp("characters") / "world", **SAMPLE)


@pytest.fixture
def characters(compose, tmp_path) -> Callable[..., CharactersDataModule]:
    """A function from arguments to the data module of the presets with these in place of theirs."""
    return _builder(CharactersDataModule, compose("data=characters", "name=test"), tmp_path)


@pytest.fixture
def described(compose, tmp_path) -> Callable[..., DescribedCharactersDataModule]:
    """As `characters`, with descriptions."""
    return _builder(DescribedCharactersDataModule, compose("data=characters_described", "name=test"), tmp_path)


@pytest.fixture
def to_be_drawn(compose, tmp_path) -> Callable[..., GeneratorDataModule]:
    """As `characters`, for a generator."""
    return _builder(GeneratorDataModule, compose("experiment=characters_generator"), tmp_path)


def _builder(built: type, composed, tmp_path: Path) -> Callable:
    def module(**arguments):
        config = dict(composed.data)
        for name in ("_target_", "sample", "split", "classes", "augment"):
            config.pop(name)
        config |= {"cache": str(tmp_path / "cache"), "seed": 0, "batch_size": 4, "sample": None, "augment": None}
        split = Holdout(val=0.25, test=0.25, seed=0, calibration=0.0, meta=0.0)
        policies = dict(config.pop("on_problem")) | arguments.pop("on_problem", {})
        return built(**{**config, "split": split, "on_problem": policies, **arguments})

    return module


@pytest.fixture(scope="session")
def faces(tmp_path_factory) -> Path:
    """Pictures of four characters and of one more, at a size at which random features tell them apart."""
    arguments = {"characters": ROLES, "unknown": ["Emi"], "pictures": 10, "image_size": 32, "seed": 7}
    folder = generate(tmp_path_factory.mktemp("faces") / "world", **arguments)
    return Path(shutil.copytree(folder / "characters", folder.parent / "all")).parent


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A checkpoint of a classifier with random weights."""
    return write_checkpoint(tmp_path_factory.mktemp("model") / "best.ckpt", seed=0)


@pytest.fixture
def system(model, faces, tmp_path) -> OnlineLearningSystem:
    """Four roles of five pictures each."""
    system = OnlineLearningSystem(model, tmp_path / "roles.db")
    for name in ROLES:
        system.add_new_role(name, pictures(faces, name, range(2, 7)))
    return system
