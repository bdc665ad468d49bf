"""The weights that come with the package, on scenes that they were not trained on."""

import numpy as np
import pytest

from hallmark.data.masks import empty, overlap, rle_from_text
from hallmark.data.problems import Problems
from hallmark.systems.refseg.corpus import KINDS, read_corpus
from hallmark.systems.refseg.proposers.points import PointGrid
from hallmark.systems.refseg.proposers.small import SmallModel
from hallmark.systems.refseg.ranker.dual import SIDE, DualEncoder
from hallmark.systems.refseg.ranker.ranker import Ranker, SceneInput
from hallmark.systems.refseg.ranker.views import View
from hallmark.systems.refseg.sample.world import generate
from hallmark.systems.refseg.training.data import Annotated

ASSETS = "package:hallmark/systems/refseg/assets"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> list[Annotated]:
    folder = generate(tmp_path_factory.mktemp("shipped") / "world", train=0, val=40, test=0, seed=5, synonyms=0.0)
    problems = Problems(dict.fromkeys(KINDS, "fatal"), repairable=())
    corpus = read_corpus(str(folder), problems, tmp_path_factory.mktemp("cache"))
    return [Annotated(corpus, int(index), rows) for index, rows in corpus.samples.groupby("image")]


@pytest.fixture(scope="module")
def proposals(scenes):
    model = SmallModel(weights=f"{ASSETS}/small_sam.safetensors", device="cpu")
    grid = PointGrid(model, points_per_side=12, points_per_batch=144, min_iou=0.5, min_stability=0.5,
                     stability_offset=1.0, max_overlap=0.5, min_area=20)  # fmt: skip
    return [grid.propose(scene.image) for scene in scenes]


def chosen(scenes, proposals, *, column="sentence", alpha=True, geometry=True, context=True) -> np.ndarray:
    """IoU with the target of what is chosen for each text in `column`."""
    encoder = DualEncoder(weights=f"{ASSETS}/dual_encoder.safetensors", geometry=geometry, context=context,
                          view=View(kind="crop", size=SIDE, alpha=alpha))  # fmt: skip
    ranker, ious = Ranker(encoder, position=0.0, batch_size=64, cache=None), []
    for scene, candidates in zip(scenes, proposals, strict=True):
        rows = scene.expressions.dropna(subset=column)
        (regions,) = ranker.embed([SceneInput(scene.image, candidates)])
        for row, logits in zip(
            rows.itertuples(), ranker.logits(regions, candidates, rows[column].tolist()), strict=True
        ):
            best = int(logits.argmax())
            mask = candidates.rles[best] if best < len(candidates) else empty(candidates.size)
            ious.append(overlap(mask, rle_from_text(row.target)).iou)
    return np.array(ious)


def test_proposals_cover_the_objects(scenes, proposals):
    best = [
        candidates.best(mask)[1] for scene, candidates in zip(scenes, proposals, strict=True) for mask in scene.masks
    ]
    assert np.mean(best) > 0.75


def test_places_and_neighbours_help_to_choose(scenes, proposals):
    full = chosen(scenes, proposals)
    crop = chosen(scenes, proposals, alpha=False, geometry=False, context=False)
    assert full.mean() > 0.5
    assert full.mean() > crop.mean() + 0.1


def test_another_anchor_means_another_object(scenes, proposals):
    anchored = [
        Annotated(scene.corpus, scene.position, scene.expressions.dropna(subset="shuffled")) for scene in scenes
    ]
    right, shuffled = (chosen(anchored, proposals, column=column) for column in ("sentence", "shuffled"))
    assert right.mean() > shuffled.mean() + 0.15
