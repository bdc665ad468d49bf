"""Data modules whose samples are pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from hallmark.data.images import PixelTransform
from hallmark.data.inputs import Input, InputRows, Pixels
from hallmark.data.module import DataModule
from hallmark.data.perturb import Perturbation, image_perturbations
from hallmark.data.sampling import Transform
from hallmark.runs.metrics import MAIN

if TYPE_CHECKING:
    from hallmark.features.store import FeatureStore


# What pictures suffer on their way through the network, weaker than what is made to hide their content: the traces of
# forgeries go first. JPEG quality, blur as a share of the width, the scale of a smaller copy, noise in gray levels.
PERTURBATIONS = image_perturbations({
    "jpeg": (90, 75, 60, 45, 30), "blur": (0.005, 0.01, 0.015, 0.02, 0.03), "scale": (0.9, 0.75, 0.6, 0.5, 0.35),
    "noise": (2, 4, 8, 12, 16),
})  # fmt: skip


class _ReadsPixels(Protocol):
    """What these modules ask of an encoder of pictures."""

    transform: PixelTransform
    image_size: int
    frozen: bool


class PictureDataModule(DataModule):
    """Base of data modules of one task whose every input is the picture `info_path` of the row, known by `content`.

    Batches hold `index`, `target` (−1 where unlabelled) and for each input of the model uint8 pixels [B, 3, S, S] as
    its encoder's `transform` makes them, or `<input>_features` [B, D] of a frozen encoder.

    Args:
        cache: root of decoded pictures.
        arguments: of `DataModule`.
    """

    def __init__(self, *, cache: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.cache = Path(cache)
        self._inputs: Mapping[str, Any] = {}
        self._store: FeatureStore | None = None
        self._datasets: dict[str, InputRows] = {}

    def perturbations(self) -> Mapping[str, Perturbation]:
        return PERTURBATIONS

    def configure_inputs(self, inputs: Mapping[str, Any], store: "FeatureStore | None") -> None:
        for name, encoder in inputs.items():
            assert hasattr(encoder, "transform"), f"{name} is no input of pictures"
        self._inputs, self._store, self._datasets = inputs, store, {}

    def dataset(self, split: str, transform: Transform | None = None) -> Dataset:
        if transform is None and split in self._datasets:
            return self._datasets[split]
        rows = self.rows(split)
        number = {name: position for position, name in enumerate(self.classes[MAIN])}
        paths, contents = rows["info_path"].tolist(), rows["content"].tolist()

        def rows_of(encoder: _ReadsPixels) -> Input:
            pixels = Pixels.of_files(
                paths, contents, readable=np.ones(len(rows), bool), transform=encoder.transform,
                size=encoder.image_size, cache=self.cache,
            )  # fmt: skip
            # A view is another input each time; only pictures as they are have outputs to look up.
            if self._store is None or not encoder.frozen or transform is not None:
                return pixels
            return self._store.features(encoder, contents, pixels.take)  # type: ignore[arg-type]

        dataset = InputRows(
            target=torch.tensor([number.get(name, -1) for name in rows["target"]]),
            inputs={name: rows_of(encoder) for name, encoder in self._inputs.items()},
            transform=transform,
        )
        if transform is None:
            self._datasets[split] = dataset
        return dataset
