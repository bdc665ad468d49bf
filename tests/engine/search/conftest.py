"""Searches on a small preset, and trainings that cost nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import hydra
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from hallmark.engine.search.jobs import Search
from hallmark.engine.search.study import SweepStudy


@pytest.fixture
def typed(project, small) -> Iterator[Callable[..., DictConfig]]:
    """A function from overrides to the configuration of `sweep.py`, composed as under `hydra.main`."""

    def typed(*overrides: str) -> DictConfig:
        typed = ["experiment=sentiment_tfidf", *small, *overrides]
        with hydra.initialize_config_dir(str(project / "conf"), version_base="1.3"):
            config = hydra.compose("sweep", typed, return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return config

    yield typed
    HydraConfig.instance().cfg = None


@pytest.fixture
def search(typed) -> Callable[..., Search]:
    """A function from overrides to the search that they describe."""
    return lambda *overrides: Search.of(typed(*overrides))


@pytest.fixture
def begin() -> Callable[[Search], SweepStudy]:
    """A function from a search to its study with what a new sweep writes into it."""

    def begin(search: Search) -> SweepStudy:
        study = search.study()
        study.describe({**search.description(), "command": ["sweep.py"]})
        study.fill()
        return study

    return begin


@pytest.fixture
def training(monkeypatch) -> Callable[[Callable[..., float]], None]:
    """A function that puts another one in the place of the training of a trial."""

    def training(function: Callable[..., Any]) -> None:
        monkeypatch.setattr("hallmark.engine.search.worker.train_repeats", function)

    return training
