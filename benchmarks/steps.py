"""A training step under Hallmark against a plain PyTorch loop: what the benchmarks of steps share.

Both sides take their batches from one loader, which notes the processor time of each. A step is what lies between two
batches of an epoch; building a trainer, starting an epoch and ending one are no part of it.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from benchmarks.results import Cell, number_cell
from hallmark.data.module import DataModule
from hallmark.engine.job import Job
from hallmark.engine.setup import build_trainer, fit_callbacks
from hallmark.learning.callbacks.pictures import EpochPictures
from hallmark.learning.module import TrainableModule
from hallmark.learning.multioptimizer import MultiOptimizerModule
from hallmark.runs.run import RunDirectory

ROUNDS = 11
ABOUT = (
    f"Processor time of a training step: each side's median over the steps of a fit, and of {ROUNDS} rounds, in which "
    "the sides take turns, the median of the ratios."
)
INTERVAL = "In brackets the second smallest and the second largest ratio, which hold their median in 98 % of all cases."

Module = TypeVar("Module", bound=TrainableModule)

_NO_PART_OF_A_STEP = (ModelCheckpoint, EarlyStopping, EpochPictures)  # which the plain loop does not do either


class TimedData:
    """The loader of the training rows, whose batches are timed; in this process alone."""

    def __init__(self, data: DataModule) -> None:
        self.data, self.loader = data, data.train_dataloader()
        self.times: list[float] = []
        collate = self.loader.collate_fn

        def timed(rows: Any) -> Any:
            self.times.append(time.process_time())
            return collate(rows)

        assert self.loader.num_workers == 0
        self.loader.collate_fn = timed
        data.train_dataloader = self._loader  # type: ignore[method-assign]

    def _loader(self) -> DataLoader:
        return self.loader

    def step_seconds(self, fit: Callable[[], object]) -> float:
        """Median over the steps of `fit`."""
        self.times.clear()
        fit()
        n = len(self.loader)
        epochs = [self.times[start : start + n] for start in range(0, len(self.times), n)]
        return statistics.median(end - start for times in epochs for start, end in pairwise(times))


def hallmark_fit(module: TrainableModule, data: DataModule, job: Job, folder: Path) -> None:
    """The fit of `job` without what a plain loop leaves out: validation, checkpoints and pictures."""
    _, callbacks = fit_callbacks(job, RunDirectory(folder))
    of_a_step = [callback for callback in callbacks if not isinstance(callback, _NO_PART_OF_A_STEP)]
    trainer = build_trainer(job, [*of_a_step, ModelCheckpoint(folder, save_top_k=0)], [])
    trainer.limit_val_batches = 0
    trainer.fit(module, datamodule=data)


def compared(
    name: str, data: TimedData, plain: Callable[[], object], hallmark: Callable[[], object]
) -> dict[str, Cell]:
    """A row of the table: milliseconds of a step of both sides, their ratio with its interval, and the difference."""
    for fit in (plain, hallmark):
        data.step_seconds(fit)
    rounds = [(data.step_seconds(plain), data.step_seconds(hallmark)) for _ in range(ROUNDS)]
    ratios = sorted(framework / loop for loop, framework in rounds)
    ratio, low, high = statistics.median(ratios), ratios[1], ratios[-2]
    of_loop = 1e3 * statistics.median(loop for loop, _ in rounds)
    return {
        "model": name,
        "plain loop": number_cell(of_loop, 2, " ms"),
        "Hallmark": number_cell(ratio * of_loop, 2, " ms"),
        "ratio": {"text": f"{ratio:.2f}× [{low:.2f}, {high:.2f}]", "value": ratio, "low": low, "high": high},
        "more": number_cell((ratio - 1) * of_loop, 1, " ms"),
    }


def step_rows(
    cases: Mapping[str, Sequence[str]],
    prepared: Callable[[Sequence[str]], tuple[Job, DataModule, Module]],
    plain_fit: Callable[[Module, DataLoader, Job], None],
) -> list[dict[str, Cell]]:
    """`compared` for each of `cases`, which are printed as they come.

    Args:
        cases: overrides by the name of a row; prepared: makes the job, the data and the module of some overrides.
        plain_fit: the plain loop, over as many epochs as the job has.
    """
    rows = []
    for name, overrides in cases.items():
        job, data, module = prepared(overrides)
        timed = TimedData(data)
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(compared(
                name, timed, lambda: plain_fit(module, timed.loader, job),  # noqa: B023
                lambda: hallmark_fit(module, data, job, Path(scratch)),  # noqa: B023
            ))  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def plain_optimizers(
    module: MultiOptimizerModule, generator: str, discriminator: str
) -> tuple[AdamW, AdamW, AveragedModel]:
    """AdamW of both parts at the constant rates of their recipes, and the moving average of the generator."""
    recipes = module.part_optimizers
    of_generator, of_discriminator = (
        AdamW(module.parts[name].parameters(), lr=recipes[name].lr, betas=recipes[name].betas, weight_decay=0.0)
        for name in (generator, discriminator)
    )
    decay = recipes[generator].ema_decay
    assert decay is not None
    average = AveragedModel(module.parts[generator], multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    return of_generator, of_discriminator, average
