"""What the tests of sweeps share."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import text

from hallmark.engine.search.jobs import Search
from hallmark.engine.search.launchers import Launcher
from hallmark.engine.search.study import SweepStudy
from hallmark.engine.search.worker import work

STRENGTH = "model.inverse_regularisation"
PRESET = "experiment=sentiment_tfidf"
THREE = ["sweep=grid", f"sweep.space={{{STRENGTH}: [1.0, 2.0, 4.0]}}"]
RANDOM = ["sweep=random", "sweep.plan.trials=3", f"sweep.space={{{STRENGTH}: {{low: 0.1, high: 10.0, log: true}}}}"]


class InProcess:
    """In the place of a pool: the same work in this process."""

    alive = 0
    names: frozenset[str] = frozenset()

    def __init__(self, launcher: Launcher, directory: Path, size: int, options: Sequence[str] = ()) -> None:
        self.directory = directory
        self.trusted = [text.removeprefix("--trusted=") for text in options if text.startswith("--trusted=")]

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def crashed(self) -> list[tuple[str, Path]]:
        return []

    def cancel_queued(self) -> None:
        return None

    def keep(self, wanted: int) -> None:
        if wanted:
            search = Search.load(self.directory, self.trusted)
            work(search, search.study())


def silence(study: SweepStudy, seconds: float) -> None:
    """Put every heartbeat `seconds` further into the past, as a machine leaves it that is gone."""
    ago = f"-{seconds} seconds"
    engine = study.storage._backend.engine
    with engine.begin() as connection:
        connection.execute(text("UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, :ago)"), {"ago": ago})


def replace_training(monkeypatch, trained: list[float], error: BaseException) -> None:
    """Raise `error` in the trial of strength 2."""

    def train(config, should_prune=None) -> float:
        trained.append(config.model.inverse_regularisation)
        if trained[-1] == 2:
            raise error
        return trained[-1] / 10

    monkeypatch.setattr("hallmark.engine.search.worker.train_repeats", train)
