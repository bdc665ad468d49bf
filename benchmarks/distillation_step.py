"""A step of distillation under Hallmark against a plain PyTorch loop: python -m benchmarks.distillation_step

Both sides train the same student on the same batches, on a cross-entropy and on what the same teacher answers. The
plain loop has no callbacks, no logging, no metrics and no seeds of its own.
"""

from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy, kl_div
from torch.utils.data import DataLoader

from benchmarks.fits import composed
from benchmarks.results import write_result
from benchmarks.steps import ABOUT, INTERVAL, step_rows
from hallmark.data.module import DataModule
from hallmark.engine.job import Job
from hallmark.engine.setup import build_module, prepare_data, silence_expected_warnings
from hallmark.learning.distillation import KnowledgeDistillation
from hallmark.systems.characters.distil import TEACHER, CharacterStudent

SETTINGS = ["experiment=characters_distil", "data.augment=null", "trainer.max_epochs=1"]
LARGER = [
    "model.encoder.name=mobilenetv2_100", "parents.teacher.overrides=['model.encoder.name=efficientnet_b0']",
    "data.sample.pictures=16",
]  # fmt: skip
CASES: dict[str, list[str]] = {
    "sample profile, batch 32": [],
    "MobileNetV2 and EfficientNet-B0 at 64 px, batch 32": LARGER,
}


def prepared(overrides: Sequence[str]) -> tuple[Job, DataModule, CharacterStudent]:
    """A student whose teacher has the weights of its seed, which cost a step as much as trained ones."""
    job = Job.of(composed([*SETTINGS, *overrides]))
    data = prepare_data(job)
    module = build_module(job, data)
    assert isinstance(module, CharacterStudent)
    return job, data, module


def plain_epoch(module: CharacterStudent, loader: DataLoader, job: Job) -> None:
    teacher, distillation = module.parents[TEACHER].eval(), module.distillation
    assert isinstance(distillation, KnowledgeDistillation)
    t = distillation.temperature
    network = torch.nn.Sequential(module.encoder, module.head).train()
    recipe = module.optimizer_recipe.build(module.encoders, module.head, len(loader))  # type: ignore[union-attr]
    optimizer, scheduler = recipe["optimizer"], recipe["lr_scheduler"]["scheduler"]
    for batch in loader:
        pixels, target = batch["image"], batch["target"]
        with torch.no_grad():
            softened = (teacher({"image": pixels}) / t).softmax(dim=1)
        logits = network(pixels)
        soft = t**2 * kl_div((logits / t).log_softmax(dim=1), softened, reduction="batchmean")
        hard = cross_entropy(logits, target, label_smoothing=module.label_smoothing)
        loss = module.cross_entropy * hard + distillation.weight * soft
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), job.config.trainer.gradient_clip_val)
        optimizer.step()
        scheduler.step()


def main() -> None:
    silence_expected_warnings()
    rows = step_rows(CASES, prepared, plain_epoch)
    write_result("distillation_step", rows=ABOUT, intervals=INTERVAL, tables={"steps": rows})


if __name__ == "__main__":
    main()
