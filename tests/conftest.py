"""One torch thread, no network, one cache of generated data for the whole session."""

import os
from collections.abc import Iterator
from pathlib import Path

import hydra
import hypothesis
import pytest
from omegaconf import DictConfig

import postgres_server

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "offline",
    "MPLBACKEND": "Agg",
    "TOKENIZERS_PARALLELISM": "false",
}

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

PROJECT = Path(__file__).parents[1]
REAL_DATA = PROJECT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample worlds, decoded images and features, shared by all tests and all workers of pytest-xdist."""
    root = tmp_path_factory.getbasetemp()
    return (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "cache"


@pytest.fixture(autouse=True)
def _own_outputs(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HALLMARK_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("HALLMARK_CACHE", str(cache))
    yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; the test skips where there is none."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real data beside the project (../shared/data)")
    return REAL_DATA


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """SQLAlchemy's address of an empty PostgreSQL database, one for each worker of pytest-xdist."""
    if reason := postgres_server.missing():
        pytest.skip(reason)
    with postgres_server.server() as address:
        yield address


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def compose():
    """A function from overrides, as a user types them, to the configuration of a command."""

    def compose(*overrides: str, command: str = "train") -> DictConfig:
        with hydra.initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
            return hydra.compose(command, list(overrides))

    return compose


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Overrides that make any preset of the sample profile a matter of a second."""
    return ["data.sample.rows=120", "data.sample.unlabelled=20", "callbacks.progress=null"]
