"""A step of two optimizers under Hallmark against a plain PyTorch loop: python -m benchmarks.adversarial_step

Both sides train the same generator and discriminator on the same batches: the discriminator, then the generator with
the gradients of the discriminator off, then the moving average of the generator. The plain loop has no callbacks, no
logging, no metrics and no seeds of its own.
"""

import tempfile
from pathlib import Path

import torch
from torch.nn.functional import softplus
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from benchmarks.fits import composed
from benchmarks.results import write_result
from benchmarks.steps import ABOUT, INTERVAL, TimedData, compared, hallmark_fit
from hallmark.data.module import DataModule
from hallmark.engine.job import Job
from hallmark.engine.setup import build_module, prepare_data, silence_expected_warnings
from hallmark.systems.digits.gan import DISCRIMINATOR, GENERATOR, DigitsGan

EPOCHS = 3
CASES = {
    "GAN of digits, batch 64": [],
    "GAN of digits of four times the width, batch 64": ["model.width=64"],
}


def prepared(overrides: list[str]) -> tuple[Job, DataModule, DigitsGan]:
    alone = ["parents.classifier=null", "parents.judge=null", "model.class_weight=0", "model.judged=false"]
    job = Job.of(composed(["experiment=digits_gan", *alone, *overrides, f"trainer.max_epochs={EPOCHS}"]))
    data = prepare_data(job)
    module = build_module(job, data)
    assert isinstance(module, DigitsGan)
    return job, data, module


def plain_epochs(module: DigitsGan, loader: DataLoader) -> None:
    generator, discriminator = module.parts[GENERATOR].train(), module.parts[DISCRIMINATOR].train()
    recipes = module.part_optimizers
    of_generator, of_discriminator = (
        AdamW(part.parameters(), lr=recipes[name].lr, betas=recipes[name].betas, weight_decay=0.0)
        for name, part in ((GENERATOR, generator), (DISCRIMINATOR, discriminator))
    )
    decay = recipes[GENERATOR].ema_decay
    assert decay is not None
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    for _ in range(EPOCHS):
        for batch in loader:
            image, target = batch["image"], batch["target"]
            drawn = generator(torch.randn(len(image), module.noise), target)
            real, fake = discriminator(image, target), discriminator(drawn.detach(), target)
            loss = (softplus(-real) + softplus(fake)).mean()
            of_discriminator.zero_grad()
            loss.backward()
            of_discriminator.step()
            discriminator.requires_grad_(False)
            loss = softplus(-discriminator(drawn, target)).mean()
            of_generator.zero_grad()
            loss.backward()
            of_generator.step()
            discriminator.requires_grad_(True)
            average.update_parameters(generator)


def main() -> None:
    silence_expected_warnings()
    rows = []
    for name, overrides in CASES.items():
        job, data, module = prepared(overrides)
        timed = TimedData(data)
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(compared(
                name, timed, lambda: plain_epochs(module, timed.loader),  # noqa: B023
                lambda: hallmark_fit(module, data, job, Path(scratch)),  # noqa: B023
            ))  # fmt: skip
        print(rows[-1], flush=True)
    write_result("adversarial_step", rows=ABOUT, intervals=INTERVAL, tables={"steps": rows})


if __name__ == "__main__":
    main()
