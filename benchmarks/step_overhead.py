"""A training step under Hallmark against a plain PyTorch loop: python -m benchmarks.step_overhead

Both sides train the same module on the same batches with the same optimizer. The plain loop has no callbacks,
no logging and no metrics; what Hallmark adds is its own seeds, history and the trainer.
"""

import tempfile
from pathlib import Path

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.fits import composed
from benchmarks.results import Cell, number_cell, write_result
from benchmarks.timing import alternate
from hallmark.data.module import DataModule
from hallmark.engine.job import Job
from hallmark.engine.setup import build_module, build_trainer, prepare_data, silence_expected_warnings
from hallmark.learning.callbacks.training import GracefulStop, History, StepSeeds
from hallmark.learning.classification import ClassificationModule
from hallmark.learning.module import Batch, TrainableModule
from hallmark.learning.multiterm import MultiTermModule
from hallmark.runs.run import RunDirectory

REPEATS = 5
CASES = {
    "MobileNetV2, batch 16": [
        "experiment=sentiment_image",
        "model.encoders.image.name=mobilenetv2_100",
        "model.encoders.image.image_size=224",
        "data.sample.rows=200",
    ],
    "small CLIP of the sample": ["experiment=clip_final", "data.sample.rows=200"],
    "linear head on cached features": ["experiment=clip_probe", "data.sample.rows=200"],
    "joint network of signals and frames": ["experiment=touch_equal"],
}


def prepared(overrides: list[str]) -> tuple[Job, DataModule, TrainableModule]:
    job = Job.of(composed([*overrides, "model.freeze_epochs=0", "trainer.max_epochs=1"]))
    data = prepare_data(job)
    module = build_module(job, data)
    assert isinstance(module, TrainableModule)
    return job, data, module


def total_loss(module: TrainableModule, batch: Batch) -> Tensor:
    if isinstance(module, MultiTermModule):
        return torch.stack(list(module.losses(batch).values())).sum()
    assert isinstance(module, ClassificationModule)
    return module.loss(batch)


def plain_epoch(module: TrainableModule, loader: DataLoader, job: Job) -> None:
    module.train()
    recipe = module.optimizer_recipe.build(module.encoders, module.head, len(loader))  # type: ignore[union-attr]
    optimizer, scheduler = recipe["optimizer"], recipe["lr_scheduler"]["scheduler"]
    for batch in loader:
        loss = total_loss(module, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), job.config.trainer.gradient_clip_val)
        optimizer.step()
        scheduler.step()


def hallmark_epoch(module: TrainableModule, data: DataModule, job: Job, folder: Path) -> None:
    without_checkpoints = ModelCheckpoint(folder, save_top_k=0)  # the plain loop writes none
    stop = GracefulStop(RunDirectory(folder).last)
    callbacks = [StepSeeds(0), History(folder / "history.csv"), stop, without_checkpoints]
    trainer = build_trainer(job, callbacks, [])
    trainer.limit_val_batches = 0  # the plain loop does not validate
    trainer.fit(module, datamodule=data)


def main() -> None:
    silence_expected_warnings()
    steps_by_case: list[dict[str, Cell]] = []
    for name, overrides in CASES.items():
        job, data, module = prepared(overrides)
        loader = data.train_dataloader()
        with tempfile.TemporaryDirectory() as scratch:
            sides = {
                "plain": lambda: plain_epoch(module, loader, job),  # noqa: B023
                "hallmark": lambda: hallmark_epoch(module, data, job, Path(scratch)),  # noqa: B023
            }
            alternate(sides, repeats=1)
            medians = alternate(sides, repeats=REPEATS)
        plain, framework = (medians[side] / len(loader) * 1e3 for side in ("plain", "hallmark"))
        steps_by_case.append({
            "model": name,
            "plain loop": number_cell(plain, 2, " ms"),
            "Hallmark": number_cell(framework, 2, " ms"),
            "ratio": number_cell(framework / plain, 2, "×"),
            "more": number_cell(framework - plain, 1, " ms"),
        })  # fmt: skip
        print(steps_by_case[-1], flush=True)
    write_result(
        "step_overhead",
        rows=f"Processor time of a training step: median of {REPEATS} epochs on the same batches, both sides by turns.",
        intervals="",
        tables={"steps": steps_by_case},
    )


if __name__ == "__main__":
    main()
