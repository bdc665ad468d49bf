"""Data module of pictures of characters with descriptions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hallmark.data.generated import data_requirement
from hallmark.data.leakage import LeakageInputs
from hallmark.data.names import NamedTexts, Spans
from hallmark.data.problems import Problems
from hallmark.learning.encoders.hf_text import piece_spans
from hallmark.learning.encoders.weights import MissingWeightsError
from hallmark.runs.metrics import MAIN
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.requirements import Requirement
from hallmark.systems.characters import data, descriptions
from hallmark.systems.characters.data import CharactersDataModule
from hallmark.systems.characters.descriptions import DESCRIPTIONS, read_aliases, read_descriptions


class DescribedCharactersDataModule(CharactersDataModule):
    """Pictures of characters with a description of each, which must not name anybody.

    Further columns of `samples`: `text`, "" for a picture without a description, `image_digest`, `source` and
    `info_text`.

    Args:
        language: of the descriptions that are read; None for the first of each picture.
        shuffled: give the pictures of each split each other's descriptions, as a control: they then say nothing.
        tokenizer: name of the text model by whose pieces names are looked for in descriptions; None for whole words.
        arguments: of `CharactersDataModule`.
    """

    repairable = (*data.REPAIRABLE, *descriptions.REPAIRABLE)
    kinds = (*data.KINDS, *descriptions.KINDS)

    def __init__(self, *, language: str | None, shuffled: bool, tokenizer: str | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.language, self.shuffled, self.tokenizer = language, shuffled, tokenizer

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The folder of characters with its descriptions."""
        text = f"pictures: a folder for each character, named as the character is, and {DESCRIPTIONS}"
        return [data_requirement(arguments["folder"], arguments["sample"], [DESCRIPTIONS], text=text)]

    def read(self) -> tuple[pd.DataFrame, Problems]:
        samples, problems = super().read()
        texts = read_descriptions(self._characters, self._listed, language=self.language, problems=problems)
        self._names = read_aliases(self._characters, self.classes[MAIN], problems)
        samples["text"] = samples["id"].map(texts)
        usable = samples["text"].notna().to_numpy()
        self._thumbnails = self._thumbnails[usable]
        return self._with_texts(samples[usable].reset_index(drop=True)), problems

    def read_new(self, inputs: Sequence[Path]) -> tuple[pd.DataFrame, Problems]:
        """Pictures, and folders of them; they are answered without descriptions."""
        samples, problems = super().read_new(inputs)
        return self._with_texts(samples.assign(text="")), problems

    def _with_texts(self, samples: pd.DataFrame) -> pd.DataFrame:
        content = [digest_bytes(i.encode(), t.encode()) for i, t in samples[["content", "text"]].to_numpy().tolist()]
        pictures = samples["content"]  # by which a row is known in runs that see the picture alone
        return samples.assign(image_digest=pictures, source=pictures, content=content, info_text=samples["text"])

    def add_rows(self, samples: pd.DataFrame) -> pd.DataFrame:
        """The rows, with the descriptions of each split among its pictures in another order where that is asked for."""
        if not self.shuffled:
            return samples
        samples = samples.copy()
        for number, positions in enumerate(samples.groupby("split", sort=True).indices.values()):
            order = np.random.default_rng([self.seed, number]).permutation(positions)
            samples.loc[positions, ["text", "info_text"]] = samples.loc[order, ["text", "info_text"]].to_numpy()
        return samples

    def present(self, rows: pd.DataFrame) -> Mapping[str, Tensor]:
        return {"text": torch.tensor((rows["text"] != "").tolist())}

    def leakage_inputs(self) -> LeakageInputs:
        """As of the pictures alone: that two pictures are described alike is no leak, that one is named is."""
        inputs = super().leakage_inputs()
        inputs.files = {"image": self.samples["image_digest"].tolist()}
        inputs.named = NamedTexts(self.samples["text"].tolist(), self._names, self._spans())
        return inputs

    def _spans(self) -> Spans | None:
        try:
            return piece_spans(self.tokenizer) if self.tokenizer is not None else None
        except MissingWeightsError:
            return None
