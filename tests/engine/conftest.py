"""Runs on a small world: made in process, opened again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hallmark.engine.evaluate import evaluate as evaluate_config
from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.runs.run import Run
from hallmark.systems.sentiment.sample import generate


@pytest.fixture
def fit(compose, small) -> Callable[..., Run]:
    """A function from overrides to the run that they make; nothing is drawn on the terminal while it fits."""

    def fit(*overrides: str) -> Run:
        config = compose(*small, *overrides)
        train(config)
        return Job.of(config).run

    return fit


@pytest.fixture
def run_of(compose, small) -> Callable[..., Run]:
    """A function from overrides to their run as it lies on disk, whatever became of it."""
    return lambda *overrides: Job.of(compose(*small, *overrides)).run


@pytest.fixture
def evaluate(compose) -> Callable[..., None]:
    """A function from a run and overrides to its evaluation."""
    return lambda run, *overrides: evaluate_config(compose(f"run={run.directory}", *overrides, command="evaluate"))


@pytest.fixture
def corpus(tmp_path) -> Path:
    """A folder in the layout of a real corpus, of this test alone."""
    return generate(tmp_path / "corpus", rows=120, unlabelled=20, seed=7, label_noise=0.05, image_size=32)


@pytest.fixture(scope="session")
def files() -> Callable[[Run], dict[str, tuple[int, bytes]]]:
    """A function from a run to the time and content of each of its files."""

    def files(run: Run) -> dict[str, tuple[int, bytes]]:
        paths = [path for path in run.directory.rglob("*") if path.is_file() and path.name != ".lock"]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(paths)}

    return files
