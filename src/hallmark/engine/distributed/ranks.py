"""The processes of one fit on several devices of this machine, or on several nodes.

Rank zero is the process of the command: it holds the run, writes it and prints. Every further rank takes part in the
fit and does nothing else. On this machine it is a process of `hallmark.engine.distributed.ddp_worker`, because
Lightning's own launcher repeats the whole command line in each process, which of a grid, a sweep or a repeat is more
than one fit. Under torchrun, which several nodes need, the processes are there: see
`hallmark.engine.distributed.torchrun`.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import FSDPStrategy, SingleDeviceStrategy
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from omegaconf import OmegaConf

from hallmark.checks import require
from hallmark.engine.config.stored import text_digest
from hallmark.engine.config.trust import NO_TRUST, Trust
from hallmark.engine.distributed.torchrun import announce_fit, started_by_torchrun
from hallmark.runs.configuration import FILE, read_text

_PATIENCE = 60  # seconds in which the loss of a rank reaches rank zero as an error; a hung collective never raises
_MOMENT = 2.0  # seconds in which a rank whose connections are closed has ended
_FAREWELL = 5
_SET_FOR_A_FIT = ("MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS", "TORCHELASTIC_USE_AGENT_STORE")


class Ranks(LightningEnvironment):
    """Tells Lightning its rank, and that the processes are not its own to start."""

    @property
    def creates_processes_externally(self) -> bool:
        return True


def first_device(devices: Any) -> Any:
    """The first of `trainer.devices`, for work that one process does alone."""
    return devices[:1] if OmegaConf.is_list(devices) else 1


def check_strategy(trainer: Trainer, module: LightningModule) -> None:
    """See that `trainer` can fit `module`.

    Raises:
        SettingError: it cannot, or would start processes of its own.
    """
    strategy, named = trainer.strategy, type(trainer.strategy).__name__
    forked = isinstance(strategy.launcher, _MultiProcessingLauncher)
    require(not forked, "trainer.strategy", named, "ddp or fsdp; processes are not started from a copy of this one")
    if started_by_torchrun():
        started = int(os.environ["WORLD_SIZE"]) / trainer.num_nodes
        expected = f"{started:g}, the processes that torchrun has started on a node"
        require(trainer.num_devices == started, "trainer.devices", trainer.num_devices, expected)
    trained = any(parameter.requires_grad for parameter in module.parameters())
    alone = isinstance(strategy, SingleDeviceStrategy)
    require(
        alone or trained, "trainer.devices", trainer.num_devices, "1; this model is solved and not trained by steps"
    )
    several = isinstance(strategy, FSDPStrategy) and not module.automatic_optimization
    require(not several, "trainer.strategy", "fsdp", "ddp; this model has several optimizers")
    held = getattr(module, "freeze_epochs", 0) if isinstance(strategy, FSDPStrategy) else 0
    require(held == 0, "model.freeze_epochs", held, "0 with FSDP, which cannot freeze an encoder for some epochs")


@contextmanager
def other_ranks(
    trainer: Trainer, directory: Path, checkpoint: Path | None, trust: Trust = NO_TRUST
) -> Iterator[None]:  # fmt: skip
    """Ranks 1 to N-1 of the fit inside the block; none of them outlives the block or this process.

    Args:
        trust: what this command trusts.

    Raises:
        RuntimeError: a rank failed; its traceback is on the error output.
    """
    if trainer.world_size == 1:
        yield
        return
    composed = text_digest(read_text(directory / FILE))  # as this process has just stored it
    if started_by_torchrun():
        with left_as_it_was():
            announce_fit(directory, composed, checkpoint, trust)
            yield
        return
    over = threading.Event()
    with left_as_it_was():
        resumed = ["--checkpoint", str(checkpoint)] if checkpoint else []
        processes = _started(trainer, [str(directory), composed, trust.text, *resumed])
        threading.Thread(target=_watch, args=(processes, over), daemon=True).start()
        try:
            yield
        except RuntimeError as error:
            # Its connections are closed a moment before the system says that it has ended.
            if failed := _failed(processes, patience=_MOMENT):
                raise RuntimeError(f"rank {failed} failed; its own error is above") from error
            raise
        finally:
            over.set()
            _end(processes)


def _started(trainer: Trainer, arguments: Sequence[str]) -> list[subprocess.Popen]:
    environment = trainer.strategy.cluster_environment  # type: ignore[attr-defined]
    meeting = {"MASTER_ADDR": environment.main_address, "MASTER_PORT": str(environment.main_port)}
    command = [sys.executable, "-m", "hallmark.engine.distributed.ddp_worker", *arguments]
    return [
        # The pipe ends when this process does, however that happens. In a group of its own Ctrl-C does not reach it.
        subprocess.Popen(
            command, env={**os.environ, **meeting, "LOCAL_RANK": str(rank)}, process_group=0,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        )
        for rank in range(1, trainer.world_size)
    ]  # fmt: skip


def _failed(processes: Sequence[subprocess.Popen], *, patience: float = 0.0) -> int | None:
    """The first rank that ended with an error, or does so within `patience` seconds."""
    last = time.monotonic() + patience
    while True:
        failed = next((rank for rank, process in enumerate(processes, 1) if process.poll()), None)
        if failed or time.monotonic() >= last:
            return failed
        time.sleep(0.01)


def _watch(processes: Sequence[subprocess.Popen], over: threading.Event) -> None:
    while not over.wait(1):
        if (failed := _failed(processes)) and not over.wait(_PATIENCE):
            print(f"error: rank {failed} failed, and the others would wait for it forever", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


def _end(processes: Sequence[subprocess.Popen]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    for process in processes:
        try:
            process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:  # worker processes of this one's loaders hold the pipe open
            process.kill()
            process.wait()


@contextmanager
def left_as_it_was() -> Iterator[None]:
    """Take back what is done to this process for a fit of several, so that the next fit starts as this one."""
    before, threads = {name: os.environ.get(name) for name in _SET_FOR_A_FIT}, torch.get_num_threads()
    try:
        yield
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ |= {name: value} if value is not None else {}
        torch.set_num_threads(threads)
