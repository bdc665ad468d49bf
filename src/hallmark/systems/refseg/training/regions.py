"""Regions of scenes and what they are called: what the encoder of regions and texts learns from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hallmark.checks import require
from hallmark.data.masks import Proposals, areas, iou_matrix, rle_from_text
from hallmark.data.sampling import SampleIndex, Transform
from hallmark.systems.refseg.proposers.base import Proposer
from hallmark.systems.refseg.proposers.cache import CachedProposer
from hallmark.systems.refseg.ranker.dual import SIDE
from hallmark.systems.refseg.ranker.views import Regions, View
from hallmark.systems.refseg.training.data import Annotated, Batches, SceneDataModule

SHOWN = View(kind="crop", size=SIDE, alpha=True)
NAMELESS = -1
_NAMED = 0.6  # IoU with an object from which a region has its name
_OF_NOTHING = 0.4  # weight of an expression whose other anchor leaves nothing: as most do, doubt would be too cheap


@dataclass(frozen=True)
class Candidates:
    """What an expression may mean in an image.

    Attributes:
        proposals, regions: the masks, and how they look.
        names: position in `NAMES` of what is in each region or `NAMELESS`, int64 [N].
        sentences: what is said; iou: float32 [M, N+1] of what is meant with each region, and in the last column
            whether nothing is meant; weight: float32 [M] in the loss.
    """

    proposals: Proposals
    regions: Regions
    names: NDArray
    sentences: list[str]
    iou: NDArray
    weight: NDArray


class RegionDataModule(SceneDataModule):
    """Batches of images with regions and expressions.

    Args:
        proposer: of regions; each image is given to it once in its life.
        true_masks: how often the regions of a training image are its objects themselves.
        counterfactual: whether training also hears expressions with another anchor, which then mean another object
            or none: without them "the red one left of the star" is learned as "the leftmost red one".
        common: the arguments of `SceneDataModule`.
    """

    def __init__(self, *, proposer: Proposer, true_masks: float, counterfactual: bool, **common: Any) -> None:
        super().__init__(**common)
        require(0 <= true_masks <= 1, "true_masks", true_masks, "a share from 0 to 1")
        self.proposer = CachedProposer(proposer, self.cache / "refseg" / "proposals")
        self.true_masks, self.counterfactual = true_masks, counterfactual

    def sentences(self) -> list[str]:
        """All that is said in training."""
        return [text for scene in self.annotated("train") for text in scene.expressions["sentence"]]

    def proposed(self, scene: Annotated) -> Proposals:
        return self.proposer.propose(scene.image)

    def dataset(self, split: str, transform: Transform | None = None) -> Batches:
        """`index` [B]; of N regions `pixels` uint8 [N, 4, 24, 24], `geometry` [N, 5], `image` [N] (of the batch),
        `slot` [N] (among the regions of its image) and `name` [N]; of M expressions `sentences`, `asked` [M] (image of
        the batch), `weight` [M] and `iou` [M, R+1] with each slot, -1 where its image has no such, and with none."""
        assert transform is None, "these scenes have no transforms"
        scenes, training = self.annotated(split), split == "train"
        more = training and self.counterfactual

        @cache
        def candidates(position: int, true: bool) -> Candidates:
            scene = scenes[position]
            proposals = (
                Proposals.of(scene.masks, np.ones(len(scene.masks)), scene.size) if true else self.proposed(scene)
            )
            return candidates_of(scene, proposals, counterfactual=more)

        def batch(draws: Sequence[SampleIndex]) -> dict[str, Any]:
            true = [training and np.random.default_rng(draw.seed).random() < self.true_masks for draw in draws]
            images = [candidates(draw.position, use_objects) for draw, use_objects in zip(draws, true, strict=True)]
            return {"index": torch.tensor([draw.position for draw in draws]), **joined(images)}

        return Batches(len(scenes), batch)


def candidates_of(scene: Annotated, proposals: Proposals, *, counterfactual: bool) -> Candidates:
    """`proposals` as candidates for the expressions of `scene`, and for their counterfactuals if asked for."""
    sentences, truths = scene.expressions["sentence"].tolist(), scene.truths
    weight = np.ones(len(sentences))
    if counterfactual:
        changed = scene.expressions.dropna(subset="shuffled")
        shuffled = [rle_from_text(text) for text in changed["shuffled_target"]]
        sentences, truths = sentences + changed["shuffled"].tolist(), truths + shuffled
        weight = np.r_[weight, np.where(areas(shuffled) > 0, 1, _OF_NOTHING)]
    regions = SHOWN.render(scene.image, proposals)
    iou = np.c_[iou_matrix(truths, proposals.rles), areas(truths) == 0].astype(np.float32)
    overlaps, names = iou_matrix(proposals.rles, scene.masks), np.full(len(proposals), NAMELESS)
    if overlaps.size:
        names = np.where(overlaps.max(1) >= _NAMED, scene.names[overlaps.argmax(1)], NAMELESS)
    return Candidates(proposals, regions, names, sentences, iou, weight.astype(np.float32))


def joined(images: Sequence[Candidates]) -> dict[str, Any]:
    """A batch as in `RegionDataModule.dataset`."""
    regions = Regions.join([image.regions for image in images])
    most = max(len(image.proposals) for image in images)
    iou = [np.insert(image.iou, [len(image.proposals)] * (most - len(image.proposals)), -1, axis=1) for image in images]
    arrays = {
        "pixels": regions.pixels, "geometry": regions.geometry, "image": regions.image,
        "slot": np.concatenate([np.arange(len(image.proposals)) for image in images]),
        "name": np.concatenate([image.names for image in images]),
        "asked": np.repeat(np.arange(len(images)), [len(image.sentences) for image in images]),
        "iou": np.concatenate(iou), "weight": np.concatenate([image.weight for image in images]),
    }  # fmt: skip
    sentences = {"sentences": [text for image in images for text in image.sentences]}
    return sentences | {name: torch.from_numpy(array) for name, array in arrays.items()}
