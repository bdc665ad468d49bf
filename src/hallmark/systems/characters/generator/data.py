"""Data module of pictures of characters for a generator, which may draw one of them alone."""

from typing import Any

import pandas as pd

from hallmark.checks import require
from hallmark.data.module import DataModule
from hallmark.learning.generation import class_number
from hallmark.runs.metrics import MAIN
from hallmark.systems.characters.data import CharactersDataModule


class GeneratorDataModule(CharactersDataModule):
    """Pictures of characters, all of them or those of one; the parents of a run have them all.

    Args:
        target_class: the only one of the classes, by name or number, whose rows are kept once they are split; None
            keeps all.
        arguments: of `CharactersDataModule`.
    """

    def __init__(self, *, target_class: str | int | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.target = None if target_class is None else class_number(target_class, self.classes[MAIN])

    @classmethod
    def reader(cls) -> type[DataModule]:
        return CharactersDataModule

    def add_rows(self, samples: pd.DataFrame) -> pd.DataFrame:
        """The rows of the target class, each in the split that it has among all."""
        self._all_samples = super().add_rows(samples)
        is_kept = self._all_samples["target"].isin(self.kept_classes)
        self._thumbnails = self._thumbnails[is_kept.to_numpy()]
        return self._all_samples[is_kept]

    @property
    def parent_samples(self) -> pd.DataFrame:
        return self._all_samples

    @property
    def kept_classes(self) -> list[str]:
        names = self.classes[MAIN]
        return names if self.target is None else [names[self.target]]

    def check_samples(self) -> None:
        if self.target is None:
            super().check_samples()
            return
        for split, least in (("train", self.batch_size), ("val", 2)):
            n = int((self.samples["split"] == split).sum())
            expected = f"one of which {split} has {least} or more pictures, not {n}"
            require(n >= least, "target_class", self.classes[MAIN][self.target], expected)

    def metadata(self) -> dict[str, Any]:
        """As in the base; the source of one character is its folder."""
        metadata = super().metadata()
        if self.target is not None:
            folder = self._characters / self.classes[MAIN][self.target]
            metadata["source"] = f"{folder}, class {self.target} of {len(self.classes[MAIN])}"
        return metadata
