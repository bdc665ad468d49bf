"""Data module of image+text pairs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hallmark.checks import require
from hallmark.data.augment import LightAugment
from hallmark.data.generated import data_folder, data_requirement, origin_of
from hallmark.data.leakage import LeakageInputs
from hallmark.data.perturb import IMAGE_PERTURBATIONS, Perturbation
from hallmark.data.picture_module import PictureDataModule
from hallmark.data.problems import Problems, complete_policies
from hallmark.data.splits import SplitPlan
from hallmark.data.text import mark_links as mark_links_in
from hallmark.data.text import normalize_text
from hallmark.learning.encoders.base import ImageEncoder
from hallmark.runs.metrics import MAIN
from hallmark.storage.delimited import read_table_of
from hallmark.storage.files import write_csv
from hallmark.storage.hashing import digest_bytes, digest_file
from hallmark.storage.requirements import Requirement
from hallmark.storage.spreadsheets import unescaped
from hallmark.systems.sentiment import corpus
from hallmark.systems.sentiment.sample.world import generate


class PairDataModule(PictureDataModule):
    """Pictures with their texts.

    Args:
        folder: corpus in the layout of `read_corpus`; None generates the sample world.
        sample: arguments of `sample.generate`; needed where `folder` is None.
        extra: CSV files of further training rows, as the augmentation analyses write them.
        on_problem: policy by kind of problem.
        mark_links: let models read `http` for a link and `@user` for a handle.
        cache: root of decoded pictures and of the sample world.
        common: the arguments of `DataModule`.
    """

    def __init__(
        self, *, folder: str | None, sample: Mapping[str, Any] | None, extra: str | Sequence[str] | None,
        on_problem: Mapping[str, str], augment: LightAugment | None, mark_links: bool, cache: str,
        classes: Sequence[str], batch_size: int, num_workers: int, split: SplitPlan, leakage: str, seed: int,
    ) -> None:  # fmt: skip
        super().__init__(
            cache=cache, classes={MAIN: classes}, batch_size=batch_size, num_workers=num_workers, augment=augment,
            split=split, leakage=leakage, seed=seed,
        )  # fmt: skip
        policies = complete_policies(on_problem, corpus.KINDS, defaults=corpus.LATER_KINDS)
        self.problems = Problems(policies, repairable=corpus.REPAIRABLE)
        self.mark_links = mark_links
        expected = "the folder of your corpus (train.txt, test_without_label.txt, data/)"
        self.folder = data_folder(folder, self.cache, "sentiment", generate, sample, expected=expected)
        self.generated = origin_of(self.folder, "sentiment")
        self.extra = [extra] if isinstance(extra, str) else list(extra or ())
        self._extra_facts: dict[str, dict[str, Any]] = {}

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The corpus and the tables of extra rows."""
        text = f"a corpus: {corpus.LABELLED} (guid,tag), data/GUID.jpg and data/GUID.txt"
        pairs = data_requirement(arguments["folder"], arguments["sample"], [corpus.LABELLED, "data"], text=text)
        extra = arguments["extra"] or []
        files = [Path(file) for file in ([extra] if isinstance(extra, str) else extra)]
        advice = "write it with the augment_images or augment_text analysis"
        tables = [Requirement(f"rows of {f}", "" if f.is_file() else f"{f}: no such file", advice) for f in files]
        return [pairs, *tables]

    def read(self) -> tuple[pd.DataFrame, Problems]:
        samples, self._thumbnails = corpus.read_corpus(self.folder, self.classes[MAIN], self.problems, self.cache)
        return samples, self.problems

    def sources(self) -> list[Path] | None:
        """The corpus; the pictures of extra rows may lie anywhere."""
        return None if self.extra else [self.folder]

    def metadata(self) -> dict[str, Any]:
        rows = self.samples
        return {
            "source": str(self.folder), "rows": len(rows), "groups": int(rows["group"].nunique()) if len(rows) else 0,
            "extra": self._extra_facts,
        }  # fmt: skip

    def add_rows(self, samples: pd.DataFrame) -> pd.DataFrame:
        """Append the rows of `extra` to the training split, in the group of the row they were made from."""
        for file in self.extra:
            samples = pd.concat([samples, self._extra_rows(Path(file), samples)], ignore_index=True)
        self.problems.raise_if_fatal()
        return samples

    def _extra_rows(self, file: Path, samples: pd.DataFrame) -> pd.DataFrame:
        require(file.is_file(), "extra", str(file), "a table written by the augment_images or augment_text analysis")
        read = read_table_of("extra", file, required=("id", "source_id", "target", "image", "text"))
        if read.doubt:
            self.problems.add("", "uncertain_encoding", read.doubt)
        table = unescaped(read.cells)
        self._extra_facts[str(file)] = {"digest": digest_file(file), "rows": len(table)}
        sources = samples.drop_duplicates("id").set_index("id")
        unknown = sorted(set(table["source_id"]) - set(sources.index))
        expected = f"rows made from this data; {len(unknown)} unknown sources, e.g. {unknown[:3]}"
        require(not unknown, "extra", str(file), expected)
        rows, digests, scans = corpus.usable_extra_rows(
            table, file, known_ids=set(samples["id"]), classes=self.classes[MAIN], problems=self.problems,
            cache=self.cache,
        )  # fmt: skip
        content = [digest_bytes(i.encode(), t.encode()) for i, t in zip(digests, rows["text"], strict=True)]
        self._thumbnails = np.concatenate([self._thumbnails, scans["thumbnail"]])
        return sources.loc[rows["source_id"]].reset_index(drop=True).assign(
            id=rows["id"], target=rows["target"], text=rows["text"], info_text=rows["text"],
            normalized=rows["text"].map(normalize_text), info_path=rows["image"], image_digest=digests,
            content=content, split="train",
        )  # fmt: skip

    def leakage_inputs(self) -> LeakageInputs:
        rows, readable = self.samples, (self.samples["image_digest"] != corpus.UNREADABLE).to_numpy()
        return LeakageInputs(
            rows, grouped=True, files={"image": rows["image_digest"].tolist()}, texts=rows["normalized"].tolist(),
            thumbnails=self._thumbnails, comparable=readable,
        )  # fmt: skip

    def slice_categories(self) -> dict[str, list[str]]:
        return corpus.SLICES

    def perturbations(self) -> Mapping[str, Perturbation]:
        """Those of pictures, where the model reads pictures."""
        reads = any(isinstance(encoder, ImageEncoder) for encoder in self._inputs.values())
        return IMAGE_PERTURBATIONS if reads else {}

    def write_labels(self, predictions: pd.DataFrame, directory: Path) -> Path:
        """The list of unlabelled rows with their tags: `guid,tag`."""
        path = directory / "test_with_label.txt"
        write_csv(path, predictions[["id", "prediction"]].set_axis(["guid", "tag"], axis=1))
        return path

    def read_texts(self, rows: pd.DataFrame) -> list[str]:
        return [mark_links_in(text) if self.mark_links else text for text in rows["text"]]
