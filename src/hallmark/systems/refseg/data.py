"""Data module of referring expressions: images with what is said about them, an image at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from hallmark.checks import require
from hallmark.data.generated import data_requirement, origin_of, sample_folder
from hallmark.data.images import encoded
from hallmark.data.leakage import LeakageInputs
from hallmark.data.masks import Proposals, Rle, rle_from_text
from hallmark.data.module import DataModule
from hallmark.data.perturb import IMAGE_PERTURBATIONS, Perturbation, transform_name
from hallmark.data.problems import Problems, complete_policies
from hallmark.data.sampling import Transform
from hallmark.data.splits import SplitPlan
from hallmark.features.store import FeatureStore
from hallmark.runs.metrics import MAIN
from hallmark.storage.files import write_csv
from hallmark.storage.hashing import digest, digest_bytes
from hallmark.storage.requirements import Requirement
from hallmark.storage.seeds import fold_in
from hallmark.systems.refseg.corpus import KINDS, LATER_KINDS, REPAIRABLE, read_corpus, row_contents
from hallmark.systems.refseg.proposers.base import Proposer
from hallmark.systems.refseg.sample.world import generate
from hallmark.systems.refseg.sources import source_requirement

_VIEW_SEED = 21


@dataclass(frozen=True)
class Expression:
    """One sentence about an image; `truth` is the mask that it means, None where that is not known."""

    id: str
    sentence: str
    truth: Rle | None


@dataclass(frozen=True)
class Scene:
    """An image and all that is asked about it.

    Attributes:
        read: gives the pixels uint8 [H, W, 3], perturbed if the data is; `content`: them as an image file.
        digest: hash of the image file and of what it suffered, which names it in caches of answers.
        keeps: whether answers belong to the run; not so for the views of an analysis.
    """

    read: Callable[[], NDArray]
    content: Callable[[], bytes]
    digest: str
    expressions: Sequence[Expression]
    keeps: bool = True


class ExpressionDataModule(DataModule):
    """Every (image, sentence) pair of a source; nothing is trained on it.

    A batch is a list of scenes, so that what is seen of an image is computed for all its sentences together.

    Args:
        source: see `open_source`; None generates the sample world.
        sample: arguments of `sample.generate`; needed where `source` is None.
        perturbation: what every image suffers before it is looked at; None for nothing.
        anchors: None for all expressions. Of the sample world's, `own` leaves those whose anchor can be exchanged
            ("the star left of the red square"), and `shuffled` says them with another anchor, which then means
            something else than the truth that they keep: what a model loses by that, it had learned of anchors.
        on_problem: policy by kind of problem.
        cache: root of what is found out about images, and of the sample world.
        batch_size: images at a time.
        common: the arguments of `DataModule`.
    """

    def __init__(
        self, *, source: str | None, sample: Mapping[str, Any] | None, perturbation: Transform | None,
        anchors: str | None,
        on_problem: Mapping[str, str], cache: str, batch_size: int, split: SplitPlan, leakage: str, seed: int,
    ) -> None:  # fmt: skip
        super().__init__(
            classes={}, batch_size=batch_size, num_workers=0, augment=None, split=split, leakage=leakage, seed=seed,
        )  # fmt: skip
        policies = complete_policies(on_problem, KINDS, defaults=LATER_KINDS)
        self.problems = Problems(policies, repairable=REPAIRABLE)
        require(anchors in (None, "own", "shuffled"), "anchors", anchors, "null, own or shuffled")
        self.cache, self.perturbation, self.anchors = Path(cache), perturbation, anchors
        if source is None:
            expected = "moondream/refcoco-m, or a folder or parquet file in its schema"
            source = str(sample_folder(self.cache, "refseg", generate, sample, key="source", expected=expected))
        self.source, self.generated = source, origin_of(source, "refseg")

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The source of images and sentences."""
        if arguments["source"] is not None:
            return [source_requirement(arguments["source"])]
        return [data_requirement(None, arguments["sample"], [], text="images with sentences", key="source")]

    def read(self) -> tuple[pd.DataFrame, Problems]:
        self._corpus = read_corpus(self.source, self.problems, self.cache)
        return self._corpus.samples, self.problems

    def add_rows(self, samples: pd.DataFrame) -> pd.DataFrame:
        """`samples` as `anchors` says, so that each image is in the split that it has without."""
        if self.anchors is None:
            return samples
        needed = "null: only the sample world says what its expressions mean"
        require("shuffled" in samples, "anchors", self.anchors, needed)
        samples = samples.dropna(subset="shuffled")
        if self.anchors == "shuffled":
            samples = samples.assign(sentence=samples["shuffled"], info_sentence=samples["shuffled"])
            samples["content"] = row_contents(samples)  # other words are other data
        return samples

    def identity(self, split: str) -> dict[str, Any]:
        """All that the rows of `split` are, as the model sees them, in plain containers."""
        rows = self.rows(split)[["id", "content", "target"]].sort_values("id")
        perturbation = self.perturbation and (transform_name(self.perturbation) or repr(self.perturbation))
        return {"rows": rows.astype(str).to_numpy().tolist(), "perturbation": perturbation, "seed": _VIEW_SEED}

    def check_samples(self) -> None:
        """Raise ValueError unless there is something to measure or to predict."""
        if not self.samples["split"].isin(["val", "predict"]).any():
            raise ValueError("data.split: no rows in val; give it a larger share or more data")

    def sources(self) -> list[Path] | None:
        """The folder of the source, in which a parquet file may name pictures; of the hub's it is not known."""
        path = Path(self.source).expanduser()
        return [path if path.is_dir() else path.parent] if path.exists() else None

    def metadata(self) -> dict[str, Any]:
        counts = {"source": self.source, "rows": len(self.samples)}
        return counts if self.samples.empty else {**counts, "images": int(self.samples["group"].nunique())}

    def leakage_inputs(self) -> LeakageInputs:
        """Images, each once; that two of them are described in the same words is no leak."""
        rows = self.samples
        files = {"image": rows["image_digest"].tolist()}
        once = ~rows.duplicated("image").to_numpy()
        return LeakageInputs(
            rows, grouped=True, files=files, thumbnails=self._corpus.thumbnails[rows["image"].to_numpy(int)],
            comparable=once,
        )  # fmt: skip

    def slice_categories(self) -> dict[str, list[str]]:
        return self._corpus.slice_categories()

    def perturbations(self) -> dict[str, Perturbation]:
        """What the images may suffer, by name."""
        return dict(IMAGE_PERTURBATIONS)

    def configure_inputs(self, inputs: Mapping[str, Any], store: FeatureStore | None) -> None:
        """The model reads images and sentences; `inputs` names its proposer, for pictures of what it proposed."""
        self._proposer: Proposer | None = inputs.get("proposals")

    def dataset(self, split: str, transform: Transform | None = None) -> "SceneDataset":
        return SceneDataset([self._scene(rows, transform) for _, rows in self.rows(split).groupby("image", sort=False)])

    def eval_dataloader(self, split: str, transform: Transform | None = None) -> DataLoader:
        """Every image of `split` once, in order."""
        return DataLoader(self.dataset(split, transform), self.batch_size, collate_fn=list)

    def _scene(self, rows: pd.DataFrame, transform: Transform | None) -> Scene:
        position = int(rows["image"].iloc[0])
        columns = [rows[name].tolist() for name in ("id", "sentence", "target")]
        expressions = [
            Expression(name, sentence, rle_from_text(target) if isinstance(target, str) else None)
            for name, sentence, target in zip(*columns, strict=True)
        ]
        changes = [change for change in (self.perturbation, transform) if change is not None]
        read = partial(self._pixels, position, changes)
        content = partial(self._corpus.pictures.content, position) if not changes else partial(_as_png, read)
        # The digest names the image in every process. The changes draw by seed and position, so these belong to it.
        name, names = rows["image_digest"].iloc[0], [transform_name(change) for change in changes]
        if None in names:  # a function without a name of its own: then only the pixels tell what it did
            pixels = read()
            name = digest_bytes(str(pixels.shape).encode(), pixels.tobytes())
        elif names:
            name = digest([name, _VIEW_SEED, position, *names])
        return Scene(read, content, str(name), expressions, keeps=transform is None)

    def _pixels(self, position: int, changes: Sequence[Transform]) -> NDArray:
        pixels = self._corpus.pictures.read(position)
        for change in changes:
            planes = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
            pixels = change(planes, fold_in(_VIEW_SEED, position)).numpy().transpose(1, 2, 0)
        return np.array(pixels)  # a copy, since decoded images are read-only

    def write_labels(self, predictions: pd.DataFrame, directory: Path) -> Path:
        """The answers to unlabelled expressions, a line each, with the mask as RLE."""
        path = directory / "answers.csv"
        columns = ["id", "info_image", "info_sentence", "info_queries", "confidence", "prediction"]
        columns += [name for name in ("info_warning",) if name in predictions]
        write_csv(path, predictions.loc[predictions["task"] == MAIN, columns])
        return path

    def picture(self, row_id: str) -> NDArray:
        """The image of a row as the model sees it, uint8 [H, W, 3]."""
        rows = self.samples[self.samples["id"] == row_id]
        assert len(rows) == 1, f"{len(rows)} rows of id {row_id}"
        return self._scene(rows, None).read()

    def proposals(self, row_id: str) -> Proposals:
        """What the model's proposer finds in the image of a row."""
        assert self._proposer is not None, "configure_inputs sets the proposer"
        return self._proposer.propose(self.picture(row_id))


class SceneDataset(Dataset):
    def __init__(self, scenes: Sequence[Scene]) -> None:
        self.scenes = list(scenes)

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, position: int) -> Scene:
        return self.scenes[position]


def _as_png(read: Callable[[], NDArray]) -> bytes:
    return encoded(Image.fromarray(read()), "PNG")
