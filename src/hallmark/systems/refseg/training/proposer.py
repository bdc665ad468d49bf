"""Trains `SmallSam`: points in scenes, and the objects under them."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import MeanMetric, Metric

from hallmark.checks import require
from hallmark.data.masks import Proposals, Rle, areas, empty, encode, measured, rle_text
from hallmark.data.module import DataModule
from hallmark.data.sampling import SampleIndex, Transform
from hallmark.learning.callbacks.finite import require_finite
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.module import Batch, TrainableModule
from hallmark.learning.optim import Optimizer
from hallmark.runs.metrics import MAIN
from hallmark.systems.refseg.corpus import size_bucket
from hallmark.systems.refseg.proposers.points import PointGrid
from hallmark.systems.refseg.proposers.small import SmallModel, SmallSam
from hallmark.systems.refseg.proposers.training import Prompts, draw_prompts, label_map, small_sam_loss
from hallmark.systems.refseg.training.data import Batches, SceneDataModule


class PromptDataModule(SceneDataModule):
    """Batches of images with points to segment at.

    Args:
        points: of an image; background: share of them beside all objects.
        common: the arguments of `SceneDataModule`.
    """

    def __init__(self, *, points: int, background: float, **common: Any) -> None:
        super().__init__(**common)
        require(points >= 1, "points", points, "at least 1")
        require(0 <= background < 1, "background", background, "a share of the points in [0, 1)")
        self.points, self.background = points, background

    def dataset(self, split: str, transform: Transform | None = None) -> Batches:
        """`index` [B], `images` uint8 [B, 3, H, W], `labels` uint8 [B, H, W] (0 the background, else the number of the
        object from 1 on), and of `Prompts` `points` [B, P, 2], `masks` [B, P, H, W] and `present` [B, P]."""
        assert transform is None, "these scenes have no transforms"
        scenes = self.annotated(split)

        @cache
        def shown(position: int) -> tuple[NDArray, NDArray]:
            scene = scenes[position]
            return scene.image.transpose(2, 0, 1), label_map(scene.masks, scene.size)

        def batch(draws: Sequence[SampleIndex]) -> dict[str, Any]:
            images, labels = (
                np.stack(arrays) for arrays in zip(*(shown(draw.position) for draw in draws), strict=True)
            )
            prompts = [
                draw_prompts(np.random.default_rng(draw.seed), labels[None, at], self.points, self.background)
                for at, draw in enumerate(draws)
            ]
            return {
                "index": torch.tensor([draw.position for draw in draws]), "images": torch.from_numpy(images),
                "labels": torch.from_numpy(labels),
                **{name: torch.cat([getattr(points, name) for points in prompts])
                   for name in ("points", "masks", "present")},
            }  # fmt: skip

        return Batches(len(scenes), batch)


class ProposerModule(TrainableModule):
    """`SmallSam` on batches of `PromptDataModule`, measured by what a grid of points proposes with it.

    Args:
        samples: pixels of a mask at which its loss is taken.
        points_per_side, points_per_batch, min_iou, min_stability, stability_offset, max_overlap, min_area: of
            `PointGrid`, for measuring and predicting.
        optimizer: of `TrainableModule`.
    """

    def __init__(
        self, *, samples: int, points_per_side: int, points_per_batch: int, min_iou: float, min_stability: float,
        stability_offset: float, max_overlap: float, min_area: int, optimizer: Optimizer,
    ) -> None:  # fmt: skip
        super().__init__(encoders={}, head=SmallSam(), optimizer=optimizer, freeze_epochs=0)
        require(samples >= 2, "samples", samples, "at least 2")
        self.samples = samples
        self._grid = {
            "points_per_side": points_per_side, "points_per_batch": points_per_batch, "min_iou": min_iou,
            "min_stability": min_stability, "stability_offset": stability_offset, "max_overlap": max_overlap,
            "min_area": min_area,
        }  # fmt: skip
        self.proposer()  # says what is wrong with these
        self.val_miou, self.val_recall, self.val_proposals = MeanMetric(), MeanMetric(), MeanMetric()

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"image": None}

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        return {"val/miou": self.val_miou, "val/p@0.5": self.val_recall, "val/proposals": self.val_proposals}

    def proposer(self) -> PointGrid:
        """The grid on the network as it is."""
        assert isinstance(self.head, SmallSam)
        return PointGrid(_Trained(self.head), **self._grid)  # type: ignore[arg-type]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        assert isinstance(self.head, SmallSam)
        prompts = Prompts(batch["points"], batch["masks"], batch["present"])
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        terms = small_sam_loss(self.head, batch["images"], prompts, samples=self.samples, generator=generator)
        require_finite(terms, self)
        loss = torch.stack(list(terms.values())).sum()
        self.log_train_loss(loss, len(batch["index"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        for proposals, truths in self._proposed(batch):
            iou = torch.tensor([proposals.best(truth)[1] for truth in truths])
            self.val_miou.update(iou)
            self.val_recall.update((iou >= 0.5).float())
            self.val_proposals.update(len(proposals))
        self.log_dict(self.validation_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> list[dict[str, Any]]:
        """Rows of the objects of each image."""
        per_image = zip(batch["index"].tolist(), self._proposed(batch), strict=True)
        return [row for index, (proposals, truths) in per_image for row in _rows(index, proposals, truths)]

    def _proposed(self, batch: Batch) -> Iterator[tuple[Proposals, list[Rle]]]:
        """Proposals and objects of each image."""
        proposer = self.proposer()
        for image, labels in zip(batch["images"], batch["labels"], strict=True):
            numbers = torch.arange(1, int(labels.max()) + 1, device=labels.device)
            truths = encode((labels == numbers[:, None, None]).cpu().numpy())
            yield proposer.propose(image.permute(1, 2, 0).cpu().numpy()), truths

    def table(self, outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
        """One row an object: the proposal nearest to it."""
        rows = pd.DataFrame([row for output in outputs for row in output])
        images = data.rows(split).iloc[rows.pop("index")].reset_index(drop=True)
        names = images["id"].str.cat(rows.pop("number").astype(str), sep="#")
        frame = rows.assign(id=names, split=split, task=MAIN, group=images["group"], info_image=images["info_image"])
        frame.attrs = {"classes": {}, "slices": {"slice_size": data.slice_categories()["slice_size"]}}
        return frame


class _Trained(SmallModel):
    """A network at hand in the place of one from a file."""

    def __init__(self, network: SmallSam) -> None:
        self.network, self.device = network, str(network.place.device)


def _rows(index: int, proposals: Proposals, truths: Sequence[Rle]) -> Iterator[dict[str, Any]]:
    for number, (truth, area) in enumerate(zip(truths, areas(truths), strict=True), 1):
        position, _ = proposals.best(truth)
        chosen = None if position is None else proposals.rles[position]
        yield {
            "index": index, "number": number, "target": rle_text(truth),
            "prediction": rle_text(chosen or empty(proposals.size)), **measured(chosen, truth),
            "confidence": 0.0 if position is None else float(proposals.scores[position]), "probabilities": [],
            "slice_size": size_bucket(area / (proposals.size[0] * proposals.size[1])),
            "info_proposals": len(proposals),
        }  # fmt: skip
