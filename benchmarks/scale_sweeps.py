"""What `benchmarks.scale` measures by trials: sweeps whose jobs only sleep, so that the engine's own cost shows."""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from benchmarks.fits import CONF
from hallmark.engine.search import worker
from hallmark.engine.search.launchers import Launcher, Worker
from hallmark.engine.search.sweep import sweep

SLEEP = 0.02  # seconds of a job
_STRENGTH = "model.inverse_regularisation"


class Sleepers(Launcher):
    """Workers that are copies of this process, which has imported everything, and whose jobs sleep."""

    def start(self, command: Sequence[str], log: Path) -> Worker:
        log.parent.mkdir(parents=True, exist_ok=True)
        process = multiprocessing.get_context("fork").Process(target=_work, args=(command, log))
        process.start()
        return _Sleeper(process)


class _Sleeper(Worker):
    def __init__(self, process: Any) -> None:
        self.process = process

    def exit_status(self) -> int | None:
        status: int | None = self.process.exitcode
        return status

    def stop(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def _work(command: Sequence[str], log: Path) -> None:
    watchdog, training = (f"{worker.__name__}.{name}" for name in ("exit_with_parent", "train_repeats"))
    with (
        log.open("a") as file, redirect_stdout(file), redirect_stderr(file), patch("sys.argv", command[2:]),
        patch(watchdog, lambda exit_process: None), patch(training, _sleep),
    ):  # fmt: skip
        worker.main()


def _sleep(config: Any, should_prune: Any = None) -> float:
    time.sleep(SLEEP)
    return float(config.model.inverse_regularisation) / (1 + float(config.model.inverse_regularisation))


def prepared(workers: int, trials: int, folder: Path) -> Callable[[], object]:
    """A random sweep of so many trials and workers, whose data is generated already."""
    os.environ["HALLMARK_OUTPUTS"] = str(folder)
    overrides = [
        "experiment=sentiment_tfidf", "sweep=random", f"sweep.plan.trials={trials}", f"jobs={workers}",
        f"sweep.space={{{_STRENGTH}: {{low: 0.1, high: 10.0, log: true}}}}", "data.sample.rows=120",
        "data.sample.unlabelled=0", "trusted_packages=[benchmarks]", "callbacks.progress=null",
        f"workers={{_target_: {Sleepers.__module__}.{Sleepers.__name__}}}", f"paths.outputs={folder}",
        f"paths.cache={folder}/cache",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("sweep", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    return partial(_quietly, config, folder / "sweep.log")


def _quietly(config: Any, log: Path) -> None:
    with log.open("w") as file, redirect_stdout(file):
        sweep(config)
