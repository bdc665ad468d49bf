import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.utils.amg import build_point_grid

from hallmark.data.masks import encode
from hallmark.systems.refseg.proposers import sam
from hallmark.systems.refseg.proposers.points import PointGrid
from hallmark.systems.refseg.proposers.sam import PublishedSam

from .conftest import build_sam

LOOSE = {
    "points_per_side": 4, "points_per_batch": 64, "min_iou": 0.01, "min_stability": 0.2, "stability_offset": 1.0,
    "max_overlap": 0.7, "min_area": 1,
}  # fmt: skip


@pytest.fixture
def registry(monkeypatch) -> None:
    monkeypatch.setattr(sam, "sam_model_registry", {"vit_b": lambda: build_sam(seed=9)})


class Loaded(PublishedSam):
    """A network at hand in the place of one from a file."""

    def __init__(self, model) -> None:
        self.model, self.device = model, "cpu"


@pytest.mark.parametrize("overlap", [0.7, 1.0])
def test_the_masks_of_the_published_generator(tiny_sam, image, overlap):
    reference = SamAutomaticMaskGenerator(
        tiny_sam, points_per_side=6, points_per_batch=5, pred_iou_thresh=0.4, stability_score_thresh=0.9,
        box_nms_thresh=overlap, output_mode="binary_mask",
    ).generate(image)  # fmt: skip
    settings = {"points_per_side": 6, "points_per_batch": 7, "min_iou": 0.4, "min_stability": 0.9}
    proposals = PointGrid(Loaded(tiny_sam), **LOOSE | settings | {"max_overlap": overlap}).propose(image)
    assert len(reference) == 1 if overlap < 1 else 20 < len(reference) < 80  # random masks reach over all of the image
    assert proposals.scores.tolist() == pytest.approx([record["predicted_iou"] for record in reference], abs=1e-5)
    reference_masks = np.stack([record["segmentation"] for record in reference])
    assert (proposals.masks() != reference_masks).mean() < 1e-4
    # Theirs are boxes of pixels, far edges inside.
    x, y, w, h = np.array([record["bbox"] for record in reference]).T
    assert proposals.boxes == pytest.approx(np.stack([x, y, x + w + 1, y + h + 1], 1))


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_batches_give_the_masks_of_one_predict_a_point(tiny_sam, image, batch):
    predictor = SamPredictor(tiny_sam)
    predictor.set_image(image)
    single = [
        (mask, iou)
        for point in build_point_grid(3) * (60, 40)
        for mask, iou in zip(*predictor.predict(point[None], np.ones(1))[:2], strict=True)
        if mask.any()
    ]
    settings = {
        "points_per_side": 3,
        "points_per_batch": batch,
        "min_iou": 0.0,
        "max_overlap": 1.0,
        "min_stability": 0.0,
    }
    proposals = PointGrid(Loaded(tiny_sam), **LOOSE | settings).propose(image)
    expected = sorted((encode(mask[None])[0]["counts"], round(float(iou), 4)) for mask, iou in single if iou > 0)
    assert len(expected) > 5
    assert sorted((r["counts"], round(s, 4)) for r, s in zip(proposals.rles, proposals.scores, strict=True)) == expected


def test_the_image_is_embedded_once(tiny_sam, image):
    calls = []
    handle = tiny_sam.image_encoder.register_forward_hook(lambda *_: calls.append(1))
    decoded = tiny_sam.mask_decoder.register_forward_hook(lambda *_: calls.append(2))
    PointGrid(Loaded(tiny_sam), **LOOSE | {"points_per_batch": 6}).propose(image)
    handle.remove(), decoded.remove()
    assert calls == [1, 2, 2, 2]


@pytest.mark.usefixtures("registry")
def test_a_checkpoint_in_the_published_layout(tmp_path, tiny_sam, image):
    path = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save(tiny_sam.state_dict(), path)
    loaded = PublishedSam(model_type="vit_b", checkpoint=str(path), device="cpu")
    here, there = (PointGrid(model, **LOOSE).propose(image) for model in (Loaded(tiny_sam), loaded))
    assert here.rles == there.rles
    torch.save(build_sam(1).state_dict(), path)
    assert PublishedSam(model_type="vit_b", checkpoint=str(path), device="cpu").settings() != loaded.settings()


@pytest.mark.usefixtures("registry")
def test_checkpoints_that_are_not_loaded(tmp_path, tiny_sam, image):
    path = tmp_path / "x.pth"
    state = tiny_sam.state_dict()
    state.pop("mask_decoder.iou_token.weight")
    torch.save(state, path)
    with pytest.raises(ValueError, match="weights do not fit this architecture"):
        PublishedSam(model_type="vit_b", checkpoint=str(path), device="cpu").embed(image)
    path.write_bytes(pickle.dumps(Path("/")))
    with pytest.raises(ValueError, match="refused, because it holds pickled objects"):
        PublishedSam(model_type="vit_b", checkpoint=str(path), device="cpu").embed(image)


def test_where_to_get_the_weights_and_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = (
        r"checkpoint='checkpoints/sam_vit_l_0b3195.pth': expected .* download "
        r"https://dl.fbaipublicfiles.com/segment_anything/sam_vit_l_0b3195.pth and put it at checkpoints/"
    )
    with pytest.raises(ValueError, match=message):
        PublishedSam(model_type="vit_l", checkpoint=None, device="cpu")
    with pytest.raises(ValueError, match="model_type='vit_x': expected one of vit_b, vit_l, vit_h"):
        PublishedSam(model_type="vit_x", checkpoint=None, device="cpu")
