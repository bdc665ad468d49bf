"""What the tests of sweeps share."""

from collections.abc import Sequence
from pathlib import Path

from hallmark.engine.search.jobs import Search
from hallmark.engine.search.worker import work

STRENGTH = "model.inverse_regularisation"
PRESET = "experiment=sentiment_tfidf"
THREE = ["sweep=grid", f"sweep.space={{{STRENGTH}: [1.0, 2.0, 4.0]}}"]
RANDOM = ["sweep=random", "sweep.plan.trials=3", f"sweep.space={{{STRENGTH}: {{low: 0.1, high: 10.0, log: true}}}}"]


class InProcess:
    """In the place of worker processes: the same work in this one."""

    alive = 0

    def __init__(self, directory: Path, options: Sequence[str] = ()) -> None:
        self.directory = directory
        self.trusted = [text.removeprefix("--trusted=") for text in options if text.startswith("--trusted=")]

    def died(self) -> list[Path]:
        return []

    def keep(self, wanted: int) -> None:
        if wanted:
            found = Search.load(self.directory, self.trusted)
            work(found, found.study())


def replace_training(monkeypatch, trained: list[float], error: BaseException) -> None:
    """Raise `error` in the trial of strength 2."""

    def train(config, hopeless=None) -> float:
        trained.append(config.model.inverse_regularisation)
        if trained[-1] == 2:
            raise error
        return trained[-1] / 10

    monkeypatch.setattr("hallmark.engine.search.worker.train_repeats", train)
