"""A further rank of a fit: python -m hallmark.engine.distributed.ddp_worker <run directory> <digest> <trust>

Started by `hallmark.engine.distributed.ranks`, with the digest of the run's `config.yaml`. Writes nothing: what a fit
leaves behind is written by rank zero.
"""

import argparse
import os
import signal
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


def run_ddp_worker(run: Run, checkpoint: Path | None, trust: Trust) -> None:
    """Take part in the fit of `run` to its end.

    Args:
        trust: what the command of the fit trusts.
    """
    job = Job.reopened(run, trust)
    data = prepare_data(job)
    module = build_module(job, data)
    _, callbacks = fit_callbacks(job, run)
    trainer = build_trainer(job, callbacks, [])
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("composed")
    parser.add_argument("trust")
    parser.add_argument("--checkpoint", type=Path)
    arguments = parser.parse_args()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # what a cluster says to a job, rank zero hears
    exit_with_parent(lambda: os._exit(1))  # the main thread may wait in a collective operation, which nothing else ends
    make_streams_tolerant()
    silence_expected_warnings()
    remember(arguments.composed)
    try:
        run_ddp_worker(Run(arguments.directory), arguments.checkpoint, Trust.from_text(arguments.trust))
    except Interrupted:
        return


if __name__ == "__main__":
    with redacted_errors():
        main()
