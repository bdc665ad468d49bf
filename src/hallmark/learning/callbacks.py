"""Callbacks that every fit has: step seeds, history, a graceful stop."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from hallmark.checks import Interrupted
from hallmark.storage.files import write_csv
from hallmark.storage.seeds import fold_in


class StepSeeds(Callback):
    """Seeds torch before every training step from (seed, epoch, batch).

    Dropout is then a function of the place in the training, so that resuming needs no generator state.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(fold_in(self.seed, trainer.current_epoch, batch_idx))


class History(Callback):
    """`history.csv`: one row an epoch with every logged metric and the learning rate."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        metrics = {name: value.item() for name, value in sorted(trainer.callback_metrics.items())}
        rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
        self.rows.append({"epoch": trainer.current_epoch, **metrics, **({"lr": max(rates)} if rates else {})})
        write_csv(self.path, pd.DataFrame(self.rows))

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])


class StayStopped(Callback):
    """A fit that had stopped early and was killed before its predictions trains no further epoch when resumed.

    Lightning restores the patience counter, but not the decision.
    """

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        stoppers = [callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping)]  # type: ignore[attr-defined]
        if any(stopper.wait_count >= stopper.patience for stopper in stoppers):
            trainer.should_stop = True


class GracefulStop(Callback):
    """On SIGTERM or Ctrl-C: finish the step, write `last.ckpt`, leave with `Interrupted`.

    A second Ctrl-C stops at once. At the end of an epoch the checkpoint callbacks write, not this one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._received: str | None = None
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = signal.Signals(number).name

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if self._received and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            trainer.save_checkpoint(self.path)
            raise Interrupted(f"{self._received}: stopped after step {trainer.global_step}")

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self._received:
            raise Interrupted(f"{self._received}: stopped after epoch {trainer.current_epoch}")

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        # Before Lightning restores its own: the other way round its dead handler would stay, and the model with it.
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
