"""Searches on a small preset, and trainings that cost nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from hallmark.engine.search.jobs import Search
from hallmark.engine.search.study import SweepStudy


@pytest.fixture
def search_of(typed, small) -> Callable[..., Search]:
    """A function from overrides to the search that they describe."""
    return lambda *overrides: Search.of(typed("experiment=sentiment_tfidf", *small, *overrides))


@pytest.fixture
def begin() -> Callable[[Search], SweepStudy]:
    """A function from a search to its study with what a new sweep writes into it."""

    def begin(search: Search) -> SweepStudy:
        study = search.study()
        study.describe({**search.description(), "command": ["sweep.py"]})
        study.enqueue_pending()
        return study

    return begin


@pytest.fixture
def training(monkeypatch) -> Callable[[Callable[..., float]], None]:
    """A function that puts another one in the place of the training of a trial."""

    def training(function: Callable[..., Any]) -> None:
        monkeypatch.setattr("hallmark.engine.search.worker.train_repeats", function)

    return training
