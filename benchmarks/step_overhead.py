"""A training step under Hallmark against a plain PyTorch loop: python -m benchmarks.step_overhead

Both sides train the same module on the same batches with the same optimizer. The plain loop has no callbacks,
no logging and no metrics; what Hallmark adds is its own seeds, history, checks of the loss and the trainer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.fits import composed
from benchmarks.results import write_result
from benchmarks.steps import ABOUT, INTERVAL, step_rows
from hallmark.data.module import DataModule
from hallmark.engine.job import Job
from hallmark.engine.setup import build_module, prepare_data, silence_expected_warnings
from hallmark.learning.classification import ClassificationModule
from hallmark.learning.module import Batch, TrainableModule
from hallmark.learning.multiterm import MultiTermModule

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


def prepared(overrides: Sequence[str]) -> tuple[Job, DataModule, TrainableModule]:
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


def main() -> None:
    silence_expected_warnings()
    rows = step_rows(CASES, prepared, plain_epoch)
    write_result("step_overhead", rows=ABOUT, intervals=INTERVAL, tables={"steps": rows})


if __name__ == "__main__":
    main()
