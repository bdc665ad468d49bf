"""One torch thread, no network, one cache of generated data for the whole session."""

import functools
import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hydra
import hypothesis
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

import postgres_server

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "offline",
    "MPLBACKEND": "Agg",
    "TOKENIZERS_PARALLELISM": "false",
}

hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")

# What is waited for most on a disk are its flushes, of which no test asks that they outlive a loss of power.
MEMORY, ENOUGH_BYTES = Path("/dev/shm"), 4 << 30
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES:
    runs_programs = not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC  # as some tests start what they have written
    if runs_programs:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

PROJECT = Path(__file__).parents[1]
REAL_DATA = PROJECT.parent / "shared" / "data"


def pytest_configure() -> None:
    """Ctrl-C works in what tests start, also where whoever started the tests in the background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long first, so that no worker ends with it alone."""
    items.sort(key=lambda test: test.get_closest_marker("e2e") is None)


def pytest_collection_finish() -> None:
    """What the imports have made stays, so no collection of garbage has to look through it."""
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


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
    HydraConfig.instance().cfg = None  # so that no command takes what another one was started with for its own


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


@functools.cache
def _composed(command: str, overrides: tuple[str, ...], *, hydra_too: bool) -> DictConfig:
    import hallmark.engine.config  # noqa: F401 - what configurations refer to, after the threads are set above

    with hydra.initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        return hydra.compose(command, list(overrides), return_hydra_config=hydra_too)


@pytest.fixture(scope="session")
def compose() -> Callable[..., DictConfig]:
    """A function from overrides, as a user types them, to the configuration of a command."""
    return lambda *overrides, command="train": _composed(command, overrides, hydra_too=False).copy()


@pytest.fixture
def typed() -> Callable[..., DictConfig]:
    """A function from overrides to the configuration of a command, composed as under `hydra.main`."""

    def typed(*overrides: str, command: str = "sweep") -> DictConfig:
        config = _composed(command, overrides, hydra_too=True).copy()
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return config

    return typed


@pytest.fixture
def blank_figures(monkeypatch) -> None:
    """Figures are written, and are blank."""
    import blank  # after the threads are set above

    monkeypatch.setattr(blank.PaperFigure, "savefig", blank.savefig)


_SMALL = {
    "characters": ["data.sample.characters=[Aoi,Mika,Yuzu]", "data.sample.pictures=20", "data.batch_size=8"],
    "deepfake": [
        "data.sample.train=12",
        "data.sample.val=6",
        "data.sample.calibration=10",
        "data.sample.meta=6",
        "data.sample.test=4",
        "data.sample.frames=2",
        "data.batch_size=8",
    ],
    "digits": [],
    "sentiment": ["data.sample.rows=120", "data.sample.unlabelled=20"],
    "refseg.data": ["data.sample.val=12", "data.batch_size=4"],
    "refseg.training": ["data.sample.train=60", "data.split.val=0.25"],
    "touch": ["data.sample.subjects=12", "data.sample.recordings=4", "data.sample.unlabelled=2"],
}


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Overrides that make any preset of the sentiment system, in the sample profile, a matter of a second."""
    return [*_SMALL["sentiment"], "callbacks.progress=null"]


@pytest.fixture(scope="session")
def small_of(compose) -> Callable[[str], list[str]]:
    """A function from the name of a preset to overrides that make it a matter of a second."""

    def small_of(preset: str) -> list[str]:
        config = compose(f"experiment={preset}")
        target = config.data._target_.removeprefix("hallmark.systems.")
        (small,) = [overrides for system, overrides in _SMALL.items() if target.startswith(system)]
        # GenConViT needs an epoch more than its first stage.
        epochs = {role: 2 if role in ("ed", "vae") else 1 for role in config.parents}
        parents = [f"++parents.{role}.overrides=['trainer.max_epochs={n}']" for role, n in epochs.items()]
        return [*small, *parents, "callbacks.progress=null"]

    return small_of
