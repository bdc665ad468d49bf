from collections.abc import Callable

import pytest

from hallmark.data.module import DataModule
from hallmark.engine.build import build

SMALL = ["data.sample.train=40", "data.batch_size=8", "data.split.val=0.2", "callbacks.progress=null"]


@pytest.fixture(scope="session")
def preset(compose) -> Callable:
    """A function from the name of a preset and overrides to its configuration, with forty scenes."""
    return lambda name, *overrides: compose(f"experiment=refseg_train_{name}", *SMALL, *overrides)


@pytest.fixture
def prepared(preset) -> Callable[..., DataModule]:
    """The same to its data module, read and split."""

    def prepared(name: str, *overrides: str) -> DataModule:
        data = build(preset(name, *overrides).data)
        data.prepare()
        return data

    return prepared
