"""One torch thread, no network, one cache of generated data for the whole session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "offline",
    "MPLBACKEND": "Agg",
    "TOKENIZERS_PARALLELISM": "false",
}

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


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
