"""A step of the generator of characters against a plain PyTorch loop, and its augmentation picture by picture.

    python -m benchmarks.generator_step

Both sides of a step train the same networks on the same batches with the same losses, the frozen classifier's included.
The plain loop has no callbacks, no logging, no metrics and no seeds of its own.
"""

import statistics
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.fits import composed
from benchmarks.results import Cell, number_cell, write_result
from benchmarks.steps import ABOUT, INTERVAL, ROUNDS, plain_optimizers, step_rows
from benchmarks.timing import seconds
from hallmark.data.module import DataModule
from hallmark.engine.job import Job
from hallmark.engine.setup import build_module, prepare_data, silence_expected_warnings
from hallmark.systems.characters.generator.diffaugment import DiffAugment
from hallmark.systems.characters.generator.module import CLASSIFIER, DISCRIMINATOR, GENERATOR, CharacterGenerator

SMALL = ["data.sample.characters=[A,B,C,D]", "data.sample.pictures=80", "trainer.max_epochs=1"]
CASES: dict[str, list[str]] = {"generator of characters, 32 px, batch 16": []}
CALLS = 20


def prepared(overrides: Sequence[str]) -> tuple[Job, DataModule, CharacterGenerator]:
    job = Job.of(composed(["experiment=characters_generator", *SMALL, *overrides]))
    data = prepare_data(job)
    module = build_module(job, data)
    assert isinstance(module, CharacterGenerator)
    return job, data, module


def plain_epoch(module: CharacterGenerator, loader: DataLoader, job: Job) -> None:
    generator, discriminator = module.parts[GENERATOR].train(), module.parts[DISCRIMINATOR].train()
    loss, augment = module.loss, module.augment
    assert augment is not None
    of_generator, of_discriminator, average = plain_optimizers(module, GENERATOR, DISCRIMINATOR)
    for batch in loader:
        real, target = batch["image"].float() / 127.5 - 1, batch["target"]
        drawn = generator(torch.randn(len(real), module.noise), target)
        logits = discriminator(augment(torch.cat([real, drawn.detach()])), target.repeat(2))
        of_both = loss.discriminator(*logits.chunk(2))
        of_discriminator.zero_grad()
        of_both.backward()
        of_discriminator.step()
        discriminator.requires_grad_(False)
        logits = discriminator(augment(drawn), target)
        classifier = module.parents[CLASSIFIER]
        of_drawn = loss.generator(logits, (drawn + 1) / 2, (real + 1) / 2, target, classifier)  # type: ignore[arg-type]
        of_generator.zero_grad()
        of_drawn.backward()
        of_generator.step()
        discriminator.requires_grad_(True)
        average.update_parameters(generator)


def one_by_one(augment: DiffAugment, images: Tensor) -> Tensor:
    """Each picture as a batch of its own."""
    return torch.cat([augment(image[None]) for image in images])


def augmentation_row(size: int) -> dict[str, Cell]:
    augment = DiffAugment(color=1.0, translation=0.125, cutout=0.5)
    images = torch.rand(64, 3, size, size)
    sides = {"one by one": one_by_one, "batch at once": lambda augment, images: augment(images)}
    rounds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(ROUNDS + 1):
        for side, apply in sides.items():
            rounds[side].append(seconds(lambda: [apply(augment, images) for _ in range(CALLS)]) / CALLS)  # noqa: B023
    times = {side: values[1:] for side, values in rounds.items()}  # the first is for caches
    ratios = sorted(alone / at_once for alone, at_once in zip(*times.values(), strict=True))
    ratio, low, high = statistics.median(ratios), ratios[1], ratios[-2]
    return {
        "pictures": f"64 of {size} px",
        **{side: number_cell(1e3 * statistics.median(values), 2, " ms") for side, values in times.items()},
        "ratio": {"text": f"{ratio:.1f}× [{low:.1f}, {high:.1f}]", "value": ratio, "low": low, "high": high},
    }


def main() -> None:
    silence_expected_warnings()
    torch.set_num_threads(1)
    rows = step_rows(CASES, prepared, plain_epoch)
    write_result(
        "generator_step", rows=ABOUT, intervals=INTERVAL,
        tables={"steps": rows, "augmentation": [augmentation_row(size) for size in (32, 64)]},
    )  # fmt: skip


if __name__ == "__main__":
    main()
