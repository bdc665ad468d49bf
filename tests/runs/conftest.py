from collections.abc import Callable
from typing import Any

import pytest

from hallmark.runs.record import Provenance, Record, RunState


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    def make(**changes: Any) -> Record:
        fields: dict[str, Any] = {
            "name": "clip_final",
            "run_id": "0123abcd",
            "state": RunState.RUNNING,
            "provenance": Provenance("d" * 32, {"data/splits.py": "aa", "learning/optim.py": "bb"}),
            "seed": 1,
            "command": ["python", "train.py", "experiment=clip_final"],
            "started": "2026-01-01T00:00:00+00:00",
            "git": {"commit": None, "dirty": None},
            "versions": {"torch": "2"},
            "device": {"device": "cpu"},
            "splits": {"train": {"n": 3}},
            "leakage": {},
        }
        return Record(**{**fields, **changes})

    return make
