"""Data modules whose samples are pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hallmark.data.images import PixelTransform
from hallmark.data.inputs import Input, InputRows, Pixels
from hallmark.data.module import DataModule
from hallmark.data.perturb import Perturbation, image_perturbations
from hallmark.data.sampling import Transform
from hallmark.runs.metrics import MAIN
from hallmark.storage.hashing import digest_bytes

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


class _ReadsTokens(Protocol):
    """What these modules ask of an encoder of texts."""

    frozen: bool

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]: ...


class PictureDataModule(DataModule):
    """Base of data modules of one task whose rows are pictures, alone or with a text.

    A picture is the file `info_path` of its row, known by `image_digest`, "" for one that cannot be read; where there
    is no such column, by `content`. A text is the column `text`.

    Batches hold `index`, `target` (−1 where unlabelled) and for each input of the model, as its encoder wants to see
    it, uint8 pixels [B, 3, S, S] (gray where a picture cannot be read), tokens, or `<input>_features` [B, D] of a
    frozen encoder; texts where there is no encoder. `<input>_present` is of `present`.

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
        """As in the base; augmented pictures are never taken from the store."""
        for name, encoder in inputs.items():
            is_picture = hasattr(encoder, "transform")
            assert is_picture or "text" in self.samples, f"{name} is no input of pictures"
        self._inputs, self._store, self._datasets = inputs, store, {}

    def texts(self, split: str) -> list[str]:
        """What a model reads of each row of `split`."""
        return self.read_texts(self.rows(split))

    def read_texts(self, rows: pd.DataFrame) -> list[str]:
        """What a model reads of the column `text`; a subclass may change it."""
        return rows["text"].tolist()

    def present(self, rows: pd.DataFrame) -> Mapping[str, Tensor]:
        """Whether a row has an input, bool [N], by the input's name; those that are not named are in all rows."""
        return {}

    def dataset(self, split: str, transform: Transform | None = None) -> Dataset:
        if transform is None and split in self._datasets:
            return self._datasets[split]
        rows = self.rows(split)
        number = {name: position for position, name in enumerate(self.classes[MAIN])}
        dataset = InputRows(
            target=torch.tensor([number.get(name, -1) for name in rows["target"]]),
            inputs={
                name: self._pixels(encoder, rows, viewed=transform is not None)
                if hasattr(encoder, "transform")
                else self._texts(encoder, rows)
                for name, encoder in self._inputs.items()
            },
            present=self.present(rows),
            transform=transform,
        )
        if transform is None:
            self._datasets[split] = dataset
        return dataset

    def _pixels(self, encoder: _ReadsPixels, rows: pd.DataFrame, *, viewed: bool) -> Input:
        digests = rows["image_digest" if "image_digest" in rows else "content"]
        pixels = Pixels.of_files(
            rows["info_path"].tolist(), digests.tolist(), readable=(digests != "").to_numpy(),
            transform=encoder.transform, size=encoder.image_size, cache=self.cache,
        )  # fmt: skip
        # A view is another input each time; only pictures as they are have outputs to look up.
        if self._store is None or not encoder.frozen or viewed:
            return pixels
        return self._store.features(encoder, digests.replace("", "0" * 32).tolist(), pixels.take)  # type: ignore[arg-type]

    def _texts(self, encoder: _ReadsTokens | None, rows: pd.DataFrame) -> Input:
        texts = self.read_texts(rows)
        if encoder is None:
            return texts
        if self._store is None or not encoder.frozen:
            return encoder.tokenize(texts)
        content = [digest_bytes(text.encode()) for text in texts]

        def load(positions: Sequence[int]) -> dict[str, Tensor]:
            return encoder.tokenize([texts[position] for position in positions])

        return self._store.features(encoder, content, load)  # type: ignore[arg-type]
