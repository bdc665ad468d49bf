"""Runs on a small world: made in process, opened again."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock
from omegaconf import OmegaConf
from tests.engine.releasing import NAME, git, seal_under
from tests.engine.sweeping import PRESET, InProcess

from hallmark.engine.evaluate import evaluate as evaluate_config
from hallmark.engine.job import Job
from hallmark.engine.repeats import train_repeats
from hallmark.engine.search.jobs import Search
from hallmark.engine.search.study import SweepStudy
from hallmark.engine.search.sweep import sweep
from hallmark.engine.train import train
from hallmark.runs.repeats import RepeatSet
from hallmark.runs.run import Run, RunDirectory
from hallmark.storage.files import write_text
from hallmark.systems.sentiment.sample.world import generate


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, which `make` fills in the worker of pytest-xdist that needs it first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    finished = folder.with_suffix(".finished")
    with FileLock(folder.with_suffix(".lock")):
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder


@pytest.fixture(autouse=True)
def _blank(blank_figures) -> None:
    """Nothing here looks at a figure."""


@pytest.fixture
def no_report(monkeypatch) -> None:
    """Without the intervals on the terminal, which would take most of a small fit."""
    monkeypatch.setattr("hallmark.engine.train.print_result", lambda *_: [])


@pytest.fixture
def fit(compose, small) -> Callable[..., Run]:
    """A function from overrides to the run that they make; nothing is drawn on the terminal while it fits."""

    def fit(*overrides: str) -> Run:
        config = compose(*small, *overrides)
        train(config)
        return Job.of(config).run

    return fit


@pytest.fixture
def fitted(compose, small, cache, tmp_path) -> Callable[..., Run]:
    """As `fit`, for tests of what follows a fit: equal overrides are fitted once, and each test gets a copy.

    Parents are named in them by their places in this test, and have to be as they were fitted.
    """

    def make(overrides: tuple[str, ...], folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HALLMARK_OUTPUTS", str(folder))
            train(compose(*small, *overrides))

    def fitted(*overrides: str) -> Run:
        job = Job.of(compose(*small, *overrides))
        settings = repr((small, overrides, job.id)).replace(str(tmp_path), "")
        name = hashlib.sha256(settings.encode()).hexdigest()
        folder = made_once(cache.parent / "fitted" / name, partial(make, overrides))
        (path,) = folder.glob("*/*/record.json")
        shutil.copytree(path.parent, job.directory)
        record = job.run.record
        for role, parent in job.parents.items():
            record.parents[role]["source"] = parent.source
        record.write(job.directory)
        write_text(job.directory / "config.yaml", OmegaConf.to_yaml(job.config))  # the places are this test's own
        seal_under(job.directory, Path(job.config.paths.seals))
        return job.run

    return fitted


@pytest.fixture
def run_of(compose, small) -> Callable[..., Run | RunDirectory]:
    """A function from overrides to their run as it lies on disk, or the place where it was not begun."""

    def run_of(*overrides: str) -> Run | RunDirectory:
        folder = RunDirectory(Job.of(compose(*small, *overrides)).directory)
        return Run(folder.directory) if folder.read_record() is not None else folder

    return run_of


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


@pytest.fixture(scope="session")
def _trained_set(compose, small, cache) -> Path:
    """A clone with one commit, and a set of two folds trained in it."""

    def make(folder: Path) -> None:
        (folder / "clone").mkdir()
        git(folder / "clone", "init", "-q")
        git(folder / "clone", "commit", "-q", "--allow-empty", "-m", "first")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder / "clone")
            places = [f"paths.outputs={folder / 'outputs'}", f"paths.cache={cache}"]
            train_repeats(compose(f"experiment={NAME}", *small, *places, "repeat=folds:2"))

    return made_once(cache.parent / "trained_set", make)


@pytest.fixture
def place(_trained_set, tmp_path, monkeypatch) -> Path:
    """A clone, which is the working folder, and outputs with a set of two folds that is ready to be released."""
    shutil.copytree(_trained_set, tmp_path, dirs_exist_ok=True)
    for run in (tmp_path / "outputs" / NAME).glob("*/record.json"):
        seal_under(run.parent, tmp_path / "outputs" / "seals")
    monkeypatch.chdir(tmp_path / "clone")
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "a@b")
    return tmp_path


@pytest.fixture
def repeats(place) -> RepeatSet:
    (file,) = (place / "outputs" / NAME).glob("*/repeats.json")
    return RepeatSet(file.parent)


@pytest.fixture
def runs(repeats) -> list[Run]:
    return [member.run for member in repeats.members]


@pytest.fixture
def swept(compose, small, monkeypatch) -> Callable[..., SweepStudy]:
    """A function from overrides to the study of their sweep, carried out in this process."""

    monkeypatch.setattr("hallmark.engine.search.sweep.Pool", InProcess)
    monkeypatch.setattr("hallmark.engine.search.sweep._POLL_SECONDS", 0)
    monkeypatch.setattr("hallmark.engine.search.summary._figures", lambda *_: None)  # they take longest

    def swept(*overrides: str, preset: Sequence[str] = (PRESET, *small)) -> SweepStudy:
        config = compose(*preset, *overrides, command="sweep")
        sweep(config)
        config.rerun = False
        return Search.of(config).study()

    return swept


@pytest.fixture
def trained(monkeypatch) -> list[float]:
    """The strengths that were trained, in their order; the value of a trial is a tenth of its strength."""
    strengths: list[float] = []

    def train(config, should_prune=None) -> float:
        strengths.append(config.model.inverse_regularisation)
        return strengths[-1] / 10

    monkeypatch.setattr("hallmark.engine.search.worker.train_repeats", train)
    return strengths
