"""A further rank of a fit: python -m hallmark.engine.distributed.ddp_worker <run directory> <digest of its config.yaml>

Started by `hallmark.engine.distributed.ranks`. Writes nothing: what a fit leaves behind is written by rank zero.
"""

import argparse
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from hallmark.checks import Interrupted
from hallmark.engine.config.stored import remember
from hallmark.engine.config.trust import Trust
from hallmark.engine.distributed.parent_watchdog import exit_with_parent
from hallmark.engine.job import Job
from hallmark.engine.launch import redacted_errors
from hallmark.engine.setup import build_module, build_trainer, fit_callbacks, prepare_data, silence_expected_warnings
from hallmark.runs.run import Run
from hallmark.storage.streams import make_streams_tolerant


def run_ddp_worker(run: Run, checkpoint: Path | None, trusted: Sequence[str] = ()) -> None:
    """Take part in the fit of `run` to its end.

    Args:
        trusted: packages whose classes the configuration may name.
    """
    job = Job.reopened(run, Trust(packages=tuple(trusted)))
    data = prepare_data(job)
    module = build_module(job, data)
    _, callbacks = fit_callbacks(job, run)
    trainer = build_trainer(job, callbacks, [])
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("composed")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--trusted", action="append", default=[])
    arguments = parser.parse_args()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # what a cluster says to a job, rank zero hears
    exit_with_parent(lambda: os._exit(1))  # the main thread may wait in a collective operation, which nothing else ends
    make_streams_tolerant()
    silence_expected_warnings()
    remember(arguments.composed)
    try:
        run_ddp_worker(Run(arguments.directory), arguments.checkpoint, arguments.trusted)
    except Interrupted:
        return


if __name__ == "__main__":
    with redacted_errors():
        main()
