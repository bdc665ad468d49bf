"""Scenes of the sample world to train on, an image a row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch.utils.data import Dataset

from hallmark.data.generated import origin_of, sample_folder
from hallmark.data.leakage import LeakageInputs
from hallmark.data.masks import Rle, parse_rle, rle_from_text
from hallmark.data.module import DataModule
from hallmark.data.problems import Problems
from hallmark.data.sampling import SampleIndex
from hallmark.data.splits import SplitPlan
from hallmark.features.store import FeatureStore
from hallmark.storage.hashing import digest
from hallmark.systems.refseg.corpus import KINDS, ExpressionCorpus, read_corpus
from hallmark.systems.refseg.sample.lexicon import COLOURS, SHAPES, SIZES
from hallmark.systems.refseg.sample.world import generate

NAMES = [" ".join(words) for words in product(SIZES, COLOURS, SHAPES)]
"""All that an object can be: size, colour and shape."""


@dataclass(frozen=True)
class Annotated:
    """An image of a corpus, its objects, and what is said about them."""

    corpus: ExpressionCorpus
    position: int
    expressions: pd.DataFrame

    @cached_property
    def image(self) -> NDArray:
        """uint8 [H, W, 3]."""
        return self.corpus.pictures.read(self.position).copy()  # to be written to, as torch likes it

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    @property
    def objects(self) -> list[dict[str, Any]]:
        """colour, shape, size, x, y and mask of each object, from back to front."""
        return list(self.corpus.images["objects"].iloc[self.position])

    @cached_property
    def masks(self) -> list[Rle]:
        """What is seen of each object."""
        return [parse_rle(shape["mask"]) for shape in self.objects]

    @property
    def names(self) -> NDArray:
        """Position in `NAMES` of each object, int64 [K]."""
        return np.array([NAMES.index(f"{shape['size']} {shape['colour']} {shape['shape']}") for shape in self.objects])

    @cached_property
    def truths(self) -> list[Rle]:
        """The mask that each expression means, without a pixel where there is no such object."""
        return [rle_from_text(text) for text in self.expressions["target"]]


class SceneDataModule(DataModule):
    """Base of the data modules that train the sample world's networks.

    Args:
        sample: arguments of `sample.generate`; which split of it a scene is in makes no difference.
        cache: root of the sample world and of what is found out about its images.
        batch_size: images; `common`: the other arguments of `DataModule`.
    """

    def __init__(
        self, *, sample: Mapping[str, Any], cache: str, batch_size: int, split: SplitPlan, leakage: str, seed: int
    ) -> None:  # fmt: skip
        # No loader processes: what is rendered once is kept in this one.
        super().__init__(
            classes={}, batch_size=batch_size, num_workers=0, augment=None, split=split, leakage=leakage, seed=seed
        )  # fmt: skip
        self.cache = Path(cache)
        self.folder = sample_folder(self.cache, "refseg", generate, sample, key="sample", expected="a world to make")
        self.generated = origin_of(self.folder, "refseg")

    def read(self) -> tuple[pd.DataFrame, Problems]:
        problems = Problems(dict.fromkeys(KINDS, "fatal"), repairable=())
        self._corpus = read_corpus(str(self.folder), problems, self.cache)
        self._said = dict(list(self._corpus.samples.groupby("image")))
        images = self._corpus.images.loc[list(self._said)]
        samples = pd.DataFrame({
            "id": images["image_id"], "group": images["image_id"], "image": images.index,
            "target": [f"{len(objects)} objects" for objects in images["objects"]],
            "content": [digest(rows["content"].tolist()) for rows in self._said.values()],
            "source": images["digest"], "image_digest": images["digest"], "info_image": images["file_name"],
        })  # fmt: skip
        return samples.reset_index(drop=True), problems

    def sources(self) -> list[Path]:
        return [self.folder]

    def metadata(self) -> dict[str, Any]:
        return {"source": str(self.folder), "rows": len(self.samples)}

    def leakage_inputs(self) -> LeakageInputs:
        rows = self.samples
        thumbnails = self._corpus.thumbnails[rows["image"].to_numpy(int)]
        return LeakageInputs(rows, grouped=False, files={"image": rows["image_digest"].tolist()}, thumbnails=thumbnails)

    def slice_categories(self) -> dict[str, list[str]]:
        return self._corpus.slice_categories()

    def configure_inputs(self, inputs: Mapping[str, Any], store: FeatureStore | None) -> None:
        """Modules read the batches as they are."""

    def annotated(self, split: str) -> list[Annotated]:
        """The images of `split` in the order of its rows."""
        places = self.rows(split)["image"].astype(int)
        return [Annotated(self._corpus, position, self._said[position]) for position in places]


class Batches(Dataset):
    """Batches of `size` images, as `make` makes them of draws."""

    def __init__(self, size: int, make: Callable[[Sequence[SampleIndex]], dict[str, Any]]) -> None:
        self.size, self.make = size, make

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, draw: SampleIndex) -> dict[str, Any]:
        return self.make([draw])

    def __getitems__(self, draws: Sequence[SampleIndex]) -> dict[str, Any]:
        return self.make(draws)
