"""The generative model of digits: a generator and a discriminator, trained by turns."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from hallmark.checks import require
from hallmark.data.module import DataModule
from hallmark.learning.adversarial import ADVERSARIAL_LOSSES, ProjectionHead
from hallmark.learning.callbacks.pictures import tiled
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.generation import measured, pictures_table
from hallmark.learning.module import Batch, PredictingModule
from hallmark.learning.multioptimizer import MultiOptimizerModule
from hallmark.learning.optim import PartOptimizer
from hallmark.learning.sets import SetDistance, row_noise
from hallmark.learning.tables import two_sets_table
from hallmark.runs.parents import Use
from hallmark.systems.digits.module import DigitsClassifier

CLASSIFIER, JUDGE = "classifier", "judge"
GENERATOR, DISCRIMINATOR = "generator", "discriminator"
LOSS = ADVERSARIAL_LOSSES["non_saturating"]


class DigitsGan(MultiOptimizerModule):
    """Draws the digit that it is asked for: a conditional GAN (Mirza & Osindero 2014, arXiv:1411.1784) with the
    non-saturating loss and a projection discriminator (Miyato & Koyama 2018, arXiv:1802.05637).

    It is measured by comparing the digits of a split with one that is drawn for each of them.

    Args:
        classes: names of the digits.
        noise: numbers that a digit is drawn from; width: channels of the last convolution of the generator and of the
            first of the discriminator.
        class_weight: of the cross-entropy of the parent `classifier` in the generator's loss; 0 for no such parent.
        judged: whether digits are compared in features of the parent `judge`, by all numbers of a generator; if not,
            in pixels and by distances alone.
        optimizers: recipes of `generator` and `discriminator`.
        seed: of the noise.
    """

    def __init__(
        self, *, classes: Sequence[str], noise: int, width: int, class_weight: float, judged: bool,
        optimizers: Mapping[str, PartOptimizer], seed: int,
    ) -> None:  # fmt: skip
        require(noise >= 1, "noise", noise, "at least 1")
        require(width >= 1, "width", width, "at least 1")
        require(class_weight >= 0, "class_weight", class_weight, "at least 0")
        parts = {
            GENERATOR: Generator(len(classes), noise=noise, width=width),
            DISCRIMINATOR: Discriminator(len(classes), width=width),
        }
        super().__init__(parts=parts, optimizers=optimizers, seed=seed)
        self.classes, self.noise, self.class_weight, self.judged = list(classes), noise, class_weight, judged
        distances = {name: SetDistance(name) for name in ("kernel_distance", "frechet_distance")}
        accuracy = {"accuracy": MulticlassAccuracy(len(classes), average="micro")} if judged else {}
        self.val = nn.ModuleDict({**distances, **accuracy})

    @classmethod
    def parent_roles(cls, arguments: Mapping[str, Any]) -> Mapping[str, Use]:
        roles = {CLASSIFIER: arguments["class_weight"] > 0, JUDGE: arguments["judged"]}
        return {role: Use.WEIGHTS for role, is_wanted in roles.items() if is_wanted}

    def attach_parents(self, parents: Mapping[str, PredictingModule]) -> None:
        for role, parent in parents.items():
            kind = type(parent).__name__
            if isinstance(parent, DigitsClassifier):
                kind = f"{kind} of {', '.join(parent.classes)}"
            fits = isinstance(parent, DigitsClassifier) and parent.classes == self.classes
            expected = f"a classifier of the digits {', '.join(self.classes)}; this one is a {kind}"
            require(fits, role, kind, expected)
        super().attach_parents(parents)

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"image": None}

    @property
    def drawn_classes(self) -> Sequence[int]:
        return range(len(self.classes))

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        return {f"val/{name}": metric for name, metric in self.val.items()}  # type: ignore[misc]

    def optimize(self, batch: Batch) -> None:
        image, target = batch["image"], batch["target"]
        generator, discriminator = self.parts[GENERATOR], self.parts[DISCRIMINATOR]
        with torch.set_grad_enabled(self.takes_step(GENERATOR)):
            drawn = generator(self.randn(self.noise), target)

        def of_discriminator() -> Tensor:
            real, fake = discriminator(image, target), discriminator(drawn.detach(), target)
            return LOSS.discriminator(real, fake)

        def of_generator() -> Tensor:
            loss = LOSS.generator(discriminator(drawn, target))
            if self.class_weight:
                loss = loss + self.class_weight * cross_entropy(self.parents[CLASSIFIER]({"image": drawn}), target)
            return loss

        self.step(DISCRIMINATOR, of_discriminator)
        self.step(GENERATOR, of_generator)

    def draw(self, target: Tensor, index: Tensor) -> Tensor:
        """Images [B, 1, 8, 8] in [0, 1] of the classes `target` [B], each from the noise of its number in `index`."""
        return self.averaged(GENERATOR)(row_noise(index, self.noise, seed=0), target)

    def features(self, image: Tensor) -> Tensor:
        """What distances are measured in, [B, D]."""
        return self.parents[JUDGE].features(image) if self.judged else image.flatten(1)  # type: ignore[operator]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        target, index = batch["target"], batch["index"]
        drawn = self.draw(target, index)
        real, generated = self.features(batch["image"]), self.features(drawn)
        for metric in self.val.values():
            if isinstance(metric, SetDistance):
                metric.update(index, real, generated)
            else:
                metric.update(self._read(drawn), target)  # type: ignore[operator]
        self.log_dict(self.validation_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """What a table needs of the rows and of what is drawn for them."""
        image, drawn = batch["image"], self.draw(batch["target"], batch["index"])
        if not self.judged:
            return {"real": self.features(image), "generated": self.features(drawn)}
        return measured(image, drawn, features=self.features, judge=self._read)

    def epoch_figures(self, epoch: int) -> Mapping[str, Any]:
        """Four digits of each class below each other, of the same noise after every epoch."""
        target = torch.arange(len(self.classes), device=self.device).repeat(4)
        return {"digits": tiled(self.draw(target, torch.arange(len(target), device=self.device)), len(self.classes))}

    def table(self, outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
        if not self.judged:
            return two_sets_table(outputs, data, split)
        return pictures_table(
            self, outputs, data, split, features=lambda batch: self.features(batch["image"]), classes=self.classes,
            extractor=f"{type(self.parents[JUDGE]).__name__} of the judge",
        )  # fmt: skip

    def _read(self, image: Tensor) -> Tensor:
        """Logits [B, C] of images by the judge."""
        return self.parents[JUDGE]({"image": image})


class Generator(nn.Module):
    """Maps noise [B, Z] and classes [B] to images [B, 1, 8, 8] in [0, 1]."""

    def __init__(self, classes: int, *, noise: int, width: int) -> None:
        super().__init__()
        self.condition = nn.Embedding(classes, noise)
        self.layers = nn.Sequential(
            nn.Linear(2 * noise, 16 * width), nn.LeakyReLU(0.2), nn.Unflatten(1, (4 * width, 2, 2)),
            nn.Upsample(scale_factor=2), nn.Conv2d(4 * width, 2 * width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2), nn.Conv2d(2 * width, width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 3, padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, noise: Tensor, target: Tensor) -> Tensor:
        return self.layers(torch.cat([noise, self.condition(target)], dim=1))


class Discriminator(nn.Module):
    """Maps images [B, 1, 8, 8] in [0, 1] and classes [B] to logits [B] of being real."""

    def __init__(self, classes: int, *, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(16 * width, 4 * width), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.head = ProjectionHead(classes, 4 * width)

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        return self.head(self.layers(2 * image - 1), target)
