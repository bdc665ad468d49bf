"""Step seeds, history, a graceful stop: what a fit repeats, leaves behind and ends by."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pandas as pd
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor
from torch.optim import Optimizer

from hallmark.checks import Interrupted
from hallmark.storage.files import write_csv
from hallmark.storage.seeds import fold_in


class StepSeeds(Callback):
    """Seeds torch before every training step from (seed, epoch, batch, rank).

    Dropout is then a function of the place in the training, so that resuming needs no generator state.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        step = batch_idx * trainer.world_size + trainer.global_rank
        seed = fold_in(self.seed, trainer.current_epoch, step)
        if module.device.type == "cpu":  # torch would note a call for GPUs as well, with a traceback, at every step
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)


class History(Callback):
    """`history.csv`: one row an epoch with every metric that it logged and the learning rate.

    `lr` is the rate of the last step that the epoch took, the highest over the optimizer's groups; of several
    optimizers `lr_generator` and so on, by the names that the module gives them, or by their numbers. (After that step
    a schedule has already set the rate of the next one.) Of an optimizer that took no step an epoch has neither a
    rate nor a loss.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._rates: dict[int, float] = {}  # of the last step of each optimizer in this epoch
        self._before: dict[str, Tensor] = {}  # what Lightning still knows of earlier epochs

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._before = dict(trainer.callback_metrics)

    def on_before_optimizer_step(self, trainer: Trainer, module: LightningModule, optimizer: Optimizer) -> None:
        if not optimizer.param_groups:  # Lightning's stand-in for a module that is not trained by steps
            return
        (number,) = (number for number, candidate in enumerate(trainer.optimizers) if candidate is optimizer)
        self._rates[number] = max(float(group["lr"]) for group in optimizer.param_groups)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        metrics = {
            name: value.item() for name, value in sorted(trainer.callback_metrics.items())
            if value is not self._before.get(name)
        }  # fmt: skip
        names = getattr(module, "optimizer_names", []) or list(range(len(trainer.optimizers)))
        several = len(trainer.optimizers) > 1
        rates = {f"lr_{names[number]}" if several else "lr": rate for number, rate in sorted(self._rates.items())}
        self.rows.append({"epoch": trainer.current_epoch, **metrics, **rates})
        self._rates = {}
        if trainer.is_global_zero:
            write_csv(self.path, pd.DataFrame(self.rows))

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "rates": self._rates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
        self._rates = dict(state_dict.get("rates", {}))  # checkpoints of earlier versions have none


class StayStopped(Callback):
    """A fit that had stopped early and was killed before its predictions trains no further epoch when resumed.

    Lightning restores the patience counter, but not the decision.
    """

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        stoppers = [callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping)]  # type: ignore[attr-defined]
        if any(stopper.wait_count >= stopper.patience for stopper in stoppers):
            trainer.should_stop = True


class _Handlers:
    """Handlers of signals that stand for a while in the place of others."""

    def __init__(self) -> None:
        self.before: dict[int, Any] = {}

    def place(self, numbers: Sequence[int], handler: Callable[[int, FrameType | None], None]) -> None:
        for number in numbers:
            self.before[number] = signal.signal(number, handler)

    def restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}


class GracefulStop(Callback):
    """On SIGTERM or Ctrl-C: finish the optimizer's step, write `last.ckpt`, leave with `Interrupted`.

    So on SIGUSR2, by which clusters announce the end of a job's time, where a launcher listens for it: its handler,
    which queues the job again, is called once the checkpoint is written.

    A signal to one of several processes stops them all after the same step. A second Ctrl-C stops at once. At the
    end of an epoch the checkpoint callbacks write, not this one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._received: str | None = None
        self._handlers = _Handlers()

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        launcher = [signal.SIGUSR2] if callable(signal.getsignal(signal.SIGUSR2)) else []
        self._handlers.place([signal.SIGTERM, signal.SIGINT, *launcher], self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = signal.Signals(number).name

    def ask(self, why: str) -> None:
        """Stop as for a signal."""
        self._received = why

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Only after a step of the optimizer: gradients that are still being summed up are in no checkpoint.
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        within = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if stepped and within and self._agreed(trainer):
            trainer.save_checkpoint(self.path)
            self._leave(f"stopped after step {trainer.global_step}")

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self._agreed(trainer):
            self._leave(f"stopped after epoch {trainer.current_epoch}")

    def _leave(self, where: str) -> NoReturn:
        interrupted = Interrupted(f"{self._received}: {where}")
        if self._received != signal.SIGUSR2.name:
            raise interrupted
        try:
            self._handlers.before[signal.SIGUSR2](signal.SIGUSR2, None)
        except (SystemExit, Exception) as end:  # queued again, or not any more; the run can go on in either case
            raise interrupted from end
        raise interrupted

    def _agreed(self, trainer: Trainer) -> bool:
        """Whether any process was told to stop; every process asks at the same places."""
        if trainer.world_size == 1:  # nobody to ask, and a GPU would be waited for
            return self._received is not None
        stops = trainer.strategy.reduce_boolean_decision(self._received is not None, all=False)
        if stops and self._received is None:
            self._received = "signal to another process"
        return stops

    # Before Lightning restores its own: the other way round its dead handler would stay, and the model with it.

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._handlers.restore()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self._handlers.restore()


class PredictionStop(Callback):
    """On SIGTERM or Ctrl-C: leave a prediction with `Interrupted`, at once since there is no state to save.

    (Within a prediction Lightning never looks at a SIGTERM, and at Ctrl-C it ends the process.)
    """

    def __init__(self) -> None:
        self._handlers = _Handlers()

    def on_predict_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._handlers.place([signal.SIGTERM, signal.SIGINT], self._leave)

    def _leave(self, number: int, frame: FrameType | None) -> NoReturn:
        raise Interrupted(f"{signal.Signals(number).name}: stopped within a prediction")

    def on_predict_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._handlers.restore()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self._handlers.restore()


class PruningCallback(Callback):
    """Stops a fit after an epoch for which `should_prune` says so, unless it was the last one.

    Optuna's callback for Lightning raises in the middle of the fit; this one leaves a checkpoint first, so that the
    same settings can be trained to their end later.

    Args:
        metric: the value that is reported.
        should_prune: from the epoch and its value to whether to stop; asked by rank zero alone.
        stop: through which all ranks stop together.
    """

    def __init__(self, metric: str, should_prune: Callable[[int, float], bool], stop: GracefulStop) -> None:
        self.metric, self.should_prune, self.stop = metric, should_prune, stop

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        value = trainer.callback_metrics[self.metric].item()
        if trainer.is_global_zero and self.should_prune(trainer.current_epoch, value):
            self.stop.ask("pruned")
