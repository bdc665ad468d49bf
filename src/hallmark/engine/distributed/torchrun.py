"""A command that torchrun starts in several processes, on one node or on several.

torchrun starts and ends processes, and Lightning's `TorchElasticEnvironment` reads their ranks. Neither knows that a
command is more than one fit, and that a run has one writer: every process would lock, write and print. So rank zero
carries the command out alone. The others wait at torchrun's store for the fits that it takes them along to, and end
with its exit status.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hallmark.checks import Interrupted
from hallmark.storage.failures import traceback_text

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

    from hallmark.engine.config.trust import Trust

_POLL_SECONDS = 0.1
_PATIENCE = 10  # seconds for rank zero to say that it met the same error, or for the others to hear that it ends


def started_by_torchrun() -> bool:
    """Whether this process is one of several that torchrun has started."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1


@contextmanager
def one_command() -> Iterator[None]:
    """The block in rank zero; any other process takes part in its fits and exits here, with the same status.

    A process that torchrun did not start is rank zero, and alone.
    """
    if not started_by_torchrun():
        yield
        return
    if int(os.environ["RANK"]) > 0:
        sys.exit(_follow())
    status: Any = 1
    try:
        yield
        status = 0
    except SystemExit as end:
        status = end.code or 0
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun ends the others once one has ended with an error
        _announce({"status": status if isinstance(status, int) else 1})
        n_further = int(os.environ["WORLD_SIZE"]) - 1
        _wait(lambda: _store().add("ended", 0) >= n_further, _PATIENCE)  # the store may end with this process


def announce_fit(directory: Path, composed: str, checkpoint: Path | None, trust: "Trust") -> None:
    """Take the other processes along to a fit of the run in `directory`.

    Args:
        composed: digest of its `config.yaml`.
        checkpoint: that the fit goes on from.
        trust: what this command trusts.
    """
    from lightning.fabric.plugins.environments.lightning import find_free_network_port

    # Process groups that follow each other in one store read each other's addresses; each fit has a store of its own.
    port = str(find_free_network_port())
    _announce({
        "directory": str(directory), "composed": composed, "checkpoint": checkpoint and str(checkpoint),
        "trust": trust.text, "port": port,
    })  # fmt: skip
    _meet_at(port)  # not before, because the first message finds torchrun's store by the variables that this sets


def _follow() -> int:
    """Take part in every fit that rank zero announces; gives the exit status that it announces last."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # what a cluster says to a job, rank zero hears
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # rank zero prints
    error: Exception | None = None
    try:
        for number in count(1):
            if not _wait(partial(_is_announced, number), _PATIENCE if error else None):
                break
            message = json.loads(_store().get(str(number)))
            if "status" in message:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                _store().add("ended", 1)
                return int(message["status"])
            try:
                _take_part(message)
            except Interrupted:
                continue
            except Exception as failure:  # printed unless rank zero says that it ends, as after an error of all
                error = failure
    except RuntimeError as failure:  # torchrun's store is gone
        error = error or failure
    except KeyboardInterrupt:
        return 130
    assert error is not None
    print(f"rank {os.environ['RANK']}: {traceback_text(error)}", file=sys.stderr, end="")
    return 1


def _take_part(message: dict[str, Any]) -> None:
    from hallmark.engine.config.stored import remember
    from hallmark.engine.config.trust import Trust
    from hallmark.engine.distributed.ddp_worker import run_ddp_worker
    from hallmark.engine.distributed.ranks import left_as_it_was
    from hallmark.engine.setup import silence_expected_warnings
    from hallmark.runs.run import Run

    silence_expected_warnings()
    remember(message["composed"])
    with left_as_it_was():
        _meet_at(message["port"])
        checkpoint = message["checkpoint"]
        trust = Trust.from_text(message["trust"])
        run_ddp_worker(Run(Path(message["directory"])), checkpoint and Path(checkpoint), trust)


def _meet_at(port: str) -> None:
    """Let the next process group be made through a store that rank zero opens at `port`."""
    os.environ |= {"MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": "False"}


def _announce(message: dict[str, Any]) -> None:
    number = _store().add("announced", 1)
    _store().set(str(number), json.dumps(message))


def _is_announced(number: int) -> bool:
    return bool(_store().check([str(number)]))


@cache
def _store() -> "Store":
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(rendezvous("env://"))
    return PrefixStore(f"hallmark/{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)


def _wait(condition: Callable[[], bool], seconds: float | None) -> bool:
    """Whether `condition()` holds within `seconds`; None waits for as long as it takes, and can be interrupted."""
    end = None if seconds is None else time.monotonic() + seconds
    while not condition():
        if end is not None and time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True
