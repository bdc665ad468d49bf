"""What a finished fit leaves in its process: nothing, or a grid would grow and not be stopped."""

import gc
import signal
import weakref

import pytest

from hallmark.engine import setup

pytestmark = pytest.mark.e2e


def test_a_fit_frees_its_module_and_gives_the_signals_back(fit, monkeypatch: pytest.MonkeyPatch) -> None:
    modules: list[weakref.ref] = []
    build = setup.build_module
    monkeypatch.setattr(
        setup, "build_module", lambda *of: (modules.append(weakref.ref(module := build(*of))), module)[1]
    )
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    fit("experiment=clip_probe", "debug=fast")

    gc.collect()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    assert [reference() for reference in modules] == [None]
