"""A step of two optimizers under Hallmark against a plain PyTorch loop: python -m benchmarks.adversarial_step

Both sides train the same generator and discriminator on the same batches: the discriminator, then the generator with
the gradients of the discriminator off, then the moving average of the generator. The plain loop has no callbacks, no
logging, no metrics and no seeds of its own.
"""

from collections.abc import Sequence

import torch
from torch.nn.functional import softplus
from torch.utils.data import DataLoader

from benchmarks.fits import composed
from benchmarks.results import write_result
from benchmarks.steps import ABOUT, INTERVAL, plain_optimizers, step_rows
from hallmark.data.module import DataModule
from hallmark.engine.job import Job
from hallmark.engine.setup import build_module, prepare_data, silence_expected_warnings
from hallmark.systems.digits.gan import DISCRIMINATOR, GENERATOR, DigitsGan

EPOCHS = 3
CASES = {
    "GAN of digits, batch 64": [],
    "GAN of digits of four times the width, batch 64": ["model.width=64"],
}


def prepared(overrides: Sequence[str]) -> tuple[Job, DataModule, DigitsGan]:
    alone = ["parents.classifier=null", "parents.judge=null", "model.class_weight=0", "model.judged=false"]
    job = Job.of(composed(["experiment=digits_gan", *alone, *overrides, f"trainer.max_epochs={EPOCHS}"]))
    data = prepare_data(job)
    module = build_module(job, data)
    assert isinstance(module, DigitsGan)
    return job, data, module


def plain_epochs(module: DigitsGan, loader: DataLoader, job: Job) -> None:
    generator, discriminator = module.parts[GENERATOR].train(), module.parts[DISCRIMINATOR].train()
    of_generator, of_discriminator, average = plain_optimizers(module, GENERATOR, DISCRIMINATOR)
    for _ in range(job.config.trainer.max_epochs):
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
    rows = step_rows(CASES, prepared, plain_epochs)
    write_result("adversarial_step", rows=ABOUT, intervals=INTERVAL, tables={"steps": rows})


if __name__ == "__main__":
    main()
