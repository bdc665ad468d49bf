"""A model that draws pictures: what it offers, and what is measured of them."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from lightning import LightningModule
from torch import Tensor

from hallmark.checks import SettingError
from hallmark.data.module import DataModule
from hallmark.learning.evaluating import evaluated
from hallmark.learning.module import Batch
from hallmark.learning.tables import two_sets_table
from hallmark.statistics.metrics.sets import GENERATED, REAL
from hallmark.statistics.metrics.sets.neighbors import nearest_distances
from hallmark.storage.printing import shortened

NYQUIST_SHARE = 0.75
"""Of the Nyquist frequency, from which on energy counts as near it."""


@runtime_checkable
class PictureGenerator(Protocol):
    """A module that draws pictures of classes.

    Attributes:
        classes: names of the classes in the order of the numbers that `draw` takes.
        drawn_classes: numbers of those that it was fitted to draw.
    """

    classes: list[str]

    @property
    def drawn_classes(self) -> Sequence[int]: ...

    def draw(self, target: Tensor, index: Tensor) -> Tensor:
        """Pictures [B, C, H, W] in [0, 1] of the classes `target` [B], each from the noise of its number in `index`."""


def class_number(target_class: str | int, classes: Sequence[str]) -> int:
    """The number of a class that is meant by its name or number; a name goes before a number.

    Raises:
        SettingError: none of the classes is meant.
    """
    text = str(target_class)
    if text in classes:
        return list(classes).index(text)
    numbers = [str(number) for number in range(len(classes))]  # a text may have more digits than Python reads
    if text in numbers:
        return numbers.index(text)
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(classes))
    raise SettingError("target_class", shortened(text), f"a name or a number of {listed}")


def nyquist_energy(image: Tensor) -> Tensor:
    """Energy [B] of pictures [B, C, H, W] near the Nyquist frequency, mean over channels.

    The part of a picture's variance over pixels that is of frequencies of which the larger of both is at least 3/8 of a
    cycle a pixel. A checkerboard of 0 and 1 has 1/4; what is smooth has nearly none.
    """
    height, width = image.shape[-2:]
    power = torch.fft.fft2(image.float(), norm="forward").abs() ** 2
    rows, columns = (torch.fft.fftfreq(size, device=image.device).abs() for size in (height, width))
    is_near = torch.maximum(rows[:, None], columns) >= 0.5 * NYQUIST_SHARE
    return (power * is_near).sum(dim=(-2, -1)).mean(dim=1)


def measured(
    image: Tensor, drawn: Tensor, *, features: Callable[[Tensor], Tensor], judge: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """What `pictures_table` needs of a batch of pictures [B, C, H, W] and of what is drawn for each of them.

    Args:
        features: of pictures, [B, D].
        judge: logits of pictures, [B, classes], of a network that took no part in the fit.
    """
    outputs = {}
    for kind, pictures in ((REAL, image), (GENERATED, drawn)):
        outputs[kind] = features(pictures)
        outputs[f"{kind}_nyquist_energy"] = nyquist_energy(pictures)
        outputs[f"{kind}_prediction"] = judge(pictures).argmax(dim=1)
    return outputs


def pictures_table(
    module: LightningModule, outputs: Sequence[Any], data: DataModule, split: str, *,
    features: Callable[[Batch], Tensor], classes: Sequence[str], extractor: str,
) -> pd.DataFrame:  # fmt: skip
    """`two_sets_table` with all that the numbers of a generator are computed from.

    The training rows are read for the distances to the nearest of them, and no others but those of `split`.

    Args:
        outputs: of the batches in their order, each of `measured`.
        features: of the pictures of a batch, [B, D].
        classes: of the judge, in the order of its logits.
        extractor: what gives the features, by name.
    """
    frame = two_sets_table(outputs, data, split)
    names = np.array(classes, dtype=object)
    nearest = np.full(len(frame), math.nan)
    if split != "train":
        device = module.device
        parts = evaluated(module, data.eval_dataloader("train"), lambda batch: features(batch).double())
        module.to(device)
        training = np.concatenate(parts)
        nearest = nearest_distances(np.array(frame["features"].tolist(), dtype=np.float64), training)
    return frame.assign(prediction=names[frame["prediction"]], train_distance=nearest, extractor=extractor)
