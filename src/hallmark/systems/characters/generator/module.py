"""The generator of characters: one network draws, another one tells drawn from real, and the classifier guides."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from hallmark.checks import SettingError, require
from hallmark.data.module import DataModule
from hallmark.learning.encoders.base import Encoder, ImageEncoder
from hallmark.learning.generation import class_number, measured, pictures_table
from hallmark.learning.module import Batch, PredictingModule
from hallmark.learning.multioptimizer import MultiOptimizerModule
from hallmark.learning.optim import PartOptimizer
from hallmark.learning.sets import SetDistance, row_noise
from hallmark.runs.parents import Use
from hallmark.systems.characters.generator.diffaugment import DiffAugment
from hallmark.systems.characters.generator.losses import GuidedLoss
from hallmark.systems.characters.generator.networks import Discriminator, Generator
from hallmark.systems.characters.generator.sheets import interpolation_sheet, samples_sheet, truncation_sheet
from hallmark.systems.characters.module import CharacterClassifier

CLASSIFIER, JUDGE = "classifier", "judge"
GENERATOR, DISCRIMINATOR = "generator", "discriminator"


class CharacterGenerator(MultiOptimizerModule):
    """Draws the character that it is asked for: a conditional GAN whose generator also learns from the frozen parent
    `classifier`, and which the frozen parent `judge`, another classifier of the same characters, measures.

    Args:
        classes: names of the characters.
        target_class: the only one that the data brings, by name or number; None for all.
        image_size: pixels of a side; noise: numbers that a picture is drawn from; width: channels of the last
            convolution of the generator, discriminator_width: of the first of the discriminator.
        upsampling: of `Generator`; spectral_norm: whether the discriminator has it.
        loss: of both networks.
        augment: of all that the discriminator sees; None for none.
        optimizers: recipes of `generator` and `discriminator`.
        seed: of the noise.
    """

    def __init__(
        self, *, classes: Sequence[str], target_class: str | int | None, image_size: int, noise: int, width: int,
        discriminator_width: int, upsampling: str, spectral_norm: bool, loss: GuidedLoss, augment: DiffAugment | None,
        optimizers: Mapping[str, PartOptimizer], seed: int,
    ) -> None:  # fmt: skip
        for key, size in (("noise", noise), ("width", width), ("discriminator_width", discriminator_width)):
            require(size >= 1, key, size, "at least 1")
        n = len(classes)
        parts = {
            GENERATOR: Generator(n, noise=noise, width=width, image_size=image_size, upsampling=upsampling),
            DISCRIMINATOR: Discriminator(n, width=discriminator_width, image_size=image_size, spectral=spectral_norm),
        }
        super().__init__(parts=parts, optimizers=optimizers, seed=seed)
        self.classes, self.noise, self.loss, self.augment = list(classes), noise, loss, augment
        self.target = None if target_class is None else class_number(target_class, classes)
        self._pixels = ImageEncoder(image_size=image_size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        distances = {name: SetDistance(name) for name in ("kernel_distance", "frechet_distance")}
        self.val = nn.ModuleDict({**distances, "accuracy": MulticlassAccuracy(n, average="micro")})

    @classmethod
    def parent_roles(cls, arguments: Mapping[str, Any]) -> Mapping[str, Use]:
        guide = [CLASSIFIER] if GuidedLoss.needs_classifier(arguments["loss"]) else []
        return dict.fromkeys([*guide, JUDGE], Use.WEIGHTS)

    def attach_parents(self, parents: Mapping[str, PredictingModule]) -> None:
        for role, parent in parents.items():
            if not isinstance(parent, CharacterClassifier):
                kind = type(parent).__name__
                raise SettingError(role, kind, f"a classifier of characters; this one is a {kind}")
            if parent.classes != self.classes:
                expected = f"a classifier of these characters in this order: {', '.join(self.classes)}"
                known = ", ".join(parent.classes)
                raise SettingError(role, known, f"{expected}; this one is of {known}")
        super().attach_parents(parents)

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"image": self._pixels}

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        return {f"val/{name}": metric for name, metric in self.val.items()}  # type: ignore[misc]

    def optimize(self, batch: Batch) -> None:
        real, target = self._pixels.normalized(batch["image"]), batch["target"]
        with torch.set_grad_enabled(self.takes_step(GENERATOR)):
            drawn = self.parts[GENERATOR](self.randn(self.noise), target)

        def of_discriminator() -> Tensor:
            both = self._augmented(torch.cat([real, drawn.detach()]))  # one pass, and one step of the spectral norms
            return self.loss.discriminator(*self.parts[DISCRIMINATOR](both, target.repeat(2)).chunk(2))

        def of_generator() -> Tensor:
            logits = self.parts[DISCRIMINATOR](self._augmented(drawn), target)
            classifier = self.parents.get(CLASSIFIER)
            return self.loss.generator(logits, _shown(drawn), _shown(real), target, classifier)  # type: ignore[arg-type]

        self.step(DISCRIMINATOR, of_discriminator)
        self.step(GENERATOR, of_generator)

    def _augmented(self, images: Tensor) -> Tensor:
        return images if self.augment is None else self.augment(images)

    @property
    def _judge(self) -> CharacterClassifier:
        return self.parents[JUDGE]  # type: ignore[return-value]

    def draw(self, target: Tensor, index: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] in [0, 1] of the classes `target` [B], each from the noise of its number in `index`."""
        return self.drawn(row_noise(index, self.noise, seed=0), target)

    def drawn(self, noise: Tensor, target: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] in [0, 1] of the classes `target` [B] from noise [B, Z]."""
        return _shown(self.averaged(GENERATOR)(noise, target))

    def features(self, image: Tensor) -> Tensor:
        """What distances are measured in: the judge's embeddings [B, D] of pictures [B, 3, S, S] in [0, 1]."""
        return self._judge.features(image)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        target, index = batch["target"], batch["index"]
        real, generated = self.features(self._real(batch)), self.features(self.draw(target, index))
        for metric in self.val.values():
            if isinstance(metric, SetDistance):
                metric.update(index, real, generated)
            else:
                metric.update(self._judge.head(generated), target)  # type: ignore[operator]
        self.log_dict(self.validation_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """What a table needs of the rows and of what is drawn for them."""
        drawn = self.draw(batch["target"], batch["index"])
        return measured(self._real(batch), drawn, features=self.features, judge=self._judge.logits)

    def _real(self, batch: Batch) -> Tensor:
        """The pictures of a batch in [0, 1]."""
        return batch["image"].float() / 255

    def epoch_figures(self, epoch: int) -> Mapping[str, Any]:
        """Pictures of each class below each other, of the same noise after every epoch."""
        return {"samples_epoch": samples_sheet(self, self.drawn_classes)}

    def figures(self) -> Mapping[str, Any]:
        """What lies between two pictures of a class, and what less noise does."""
        classes = self.drawn_classes
        return {"interpolation": interpolation_sheet(self, classes), "truncation": truncation_sheet(self, classes)}

    @property
    def drawn_classes(self) -> list[int]:
        """Numbers of the characters that it is fitted to draw."""
        return list(range(len(self.classes))) if self.target is None else [self.target]

    def table(self, outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
        return pictures_table(
            self, outputs, data, split, features=lambda batch: self.features(self._real(batch)), classes=self.classes,
            extractor=f"{self._judge.encoder.name} of the judge",
        )  # fmt: skip


def _shown(images: Tensor) -> Tensor:
    """Pictures in [-1, 1] as ones in [0, 1]."""
    return (images + 1) / 2
