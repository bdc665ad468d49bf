import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hallmark.data.masks import encode
from hallmark.systems.refseg.proposers.points import PointGrid
from hallmark.systems.refseg.proposers.small import LOW, MASKS, SIDE, SmallModel, SmallSam
from hallmark.systems.refseg.proposers.training import draw_prompts, label_map, small_sam_loss
from hallmark.systems.refseg.sample.scenes import draw_scene

LOOSE = {
    "points_per_side": 8, "points_per_batch": 64, "min_iou": 0.0, "min_stability": 0.0, "stability_offset": 1.0,
    "max_overlap": 0.7, "min_area": 20,
}  # fmt: skip


@pytest.fixture(scope="module")
def scenes():
    """Images uint8 [N, 96, 96, 3] and labels uint8 [N, 96, 96]."""
    drawn = [draw_scene(np.random.default_rng(seed)) for seed in range(24)]
    labels = [label_map(encode(scene.masks), (SIDE, SIDE)) for scene in drawn]
    return np.stack([scene.image for scene in drawn]), np.stack(labels)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    save_file(SmallSam().state_dict(), tmp_path / "small.safetensors")
    return str(tmp_path / "small.safetensors")


def test_labels_by_hand():
    masks = np.zeros((2, 2, 3), bool)
    masks[0, 0, :2] = masks[1, :, 2] = True
    assert label_map(encode(masks), (2, 3)).tolist() == [[1, 1, 2], [0, 0, 2]]
    assert label_map([], (1, 2)).tolist() == [[0, 0]]


def test_shapes_and_size():
    network = SmallSam().eval()
    assert sum(weight.numel() for weight in network.parameters()) <= 200_000
    logits, iou = network.decode(network.encode(torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)), torch.rand(2, 5, 2))
    assert logits.shape == (2, 5, MASKS, LOW, LOW) and iou.shape == (2, 5, MASKS)
    assert ((iou >= 0) & (iou <= 1)).all()


@pytest.mark.parametrize("batch", [1, 7])
def test_batches_give_the_masks_of_points_one_by_one(weights, scenes, batch):
    model = SmallModel(weights=weights, device="cpu")
    unbatched, batched = (
        PointGrid(model, **LOOSE | {"points_per_batch": size}).propose(scenes[0][0]) for size in (64, batch)
    )
    assert len(unbatched) > 0
    assert unbatched.rles == batched.rles
    assert unbatched.scores == pytest.approx(batched.scores, abs=1e-5)


def test_images_of_another_size(weights, scenes):
    model = SmallModel(weights=weights, device="cpu")
    wide = scenes[0][0][:60]
    proposals = PointGrid(model, **LOOSE).propose(wide)
    assert proposals.size == (60, 96) and len(proposals) > 0
    assert proposals.boxes[:, 3].max() <= 60


def test_settings_name_the_weights(weights, tmp_path):
    torch.manual_seed(1)
    save_file(SmallSam().state_dict(), tmp_path / "other.safetensors")
    first, same, other = (SmallModel(weights=name, device="cpu").settings()
                          for name in (weights, weights, str(tmp_path / "other.safetensors")))  # fmt: skip
    assert first == same != other


@pytest.mark.parametrize(("name", "message"), [("gone.safetensors", "no such file"), ("gone", "weights='gone'")])
def test_no_weights(name, message):
    with pytest.raises(ValueError, match=message):
        SmallModel(weights=name, device="cpu")


def test_weights_of_another_network(weights, tmp_path):
    save_file(SmallSam(channels=8).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="weights do not fit this architecture"):
        SmallModel(weights=str(tmp_path / "other.safetensors"), device="cpu").settings()


def test_prompts_lie_on_their_objects(scenes):
    labels = scenes[1]
    prompts = draw_prompts(np.random.default_rng(0), labels, 200, background=0.25)
    x, y = (prompts.points.numpy() * SIDE).astype(int).transpose(2, 0, 1)
    under = labels[np.arange(len(labels))[:, None], y, x]
    assert ((under > 0) == prompts.present.numpy()).all()
    assert prompts.present.float().mean() == pytest.approx(0.75, abs=0.03)
    masks = prompts.masks.numpy()
    assert (masks.any((2, 3)) == prompts.present.numpy()).all()
    image, point = 3, int(np.flatnonzero(under[3])[0])
    assert (masks[image, point] == (labels[image] == under[image, point])).all()
    counts = np.bincount(under[0][under[0] > 0])[1:]  # small objects as often as large ones
    assert counts.min() > 0.5 * counts.max()


def loss_of(network, scenes, prompts) -> dict[str, float]:
    images = torch.from_numpy(scenes[0]).permute(0, 3, 1, 2)
    generator = torch.Generator().manual_seed(0)
    return {k: v.item() for k, v in small_sam_loss(network, images, prompts, samples=256, generator=generator).items()}


class Told(torch.nn.Module):
    """Answers with given logits [N, P, M, 48, 48] and IoU [N, P, M]."""

    def __init__(self, logits, iou):
        super().__init__()
        self.logits, self.iou = logits, iou

    def encode(self, images):
        return images

    def decode(self, maps, points):
        return self.logits, self.iou


def test_the_loss_is_about_the_best_mask_and_the_true_iou(scenes):
    prompts = draw_prompts(np.random.default_rng(0), scenes[1], 6, background=0.3)
    truth = torch.nn.functional.avg_pool2d(prompts.masks.float(), 2) > 0.5
    right = torch.where(truth, 12.0, -12.0)
    logits = torch.stack([-right, right, torch.full_like(right, 12.0)], dim=2)
    iou = torch.stack([torch.zeros_like(prompts.present), prompts.present, truth.float().mean((2, 3))], dim=2).float()
    perfect = loss_of(Told(logits, iou), scenes, prompts)
    assert perfect["dice"] < 0.08 and perfect["bce"] < 0.5  # but for the edge pixels, seen at half the resolution
    assert perfect["iou"] == pytest.approx(0, abs=1e-6)
    assert loss_of(Told(logits[:, :, [0, 2, 0]], iou), scenes, prompts)["dice"] > perfect["dice"] + 0.3
    assert loss_of(Told(logits, iou * 0.5), scenes, prompts)["iou"] > 0.02


def test_points_beside_objects_teach_only_the_iou(scenes):
    prompts = draw_prompts(np.random.default_rng(0), scenes[1], 4, background=1.0)
    assert not prompts.present.any()
    losses = loss_of(SmallSam().eval(), scenes, prompts)
    assert losses["bce"] == losses["dice"] == 0 < losses["iou"]
