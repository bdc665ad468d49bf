from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from hallmark.checks import Interrupted
from hallmark.data.masks import Proposals, iou_matrix, overlap, rle_from_text
from hallmark.data.sampling import SampleIndex
from hallmark.engine.build import build
from hallmark.engine.train import train
from hallmark.learning.encoders.weights import trained_on
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import open_run
from hallmark.statistics.tables import table_metrics
from hallmark.systems.refseg.ranker.dual import SIDE, DualEncoder
from hallmark.systems.refseg.ranker.ranker import Ranker, SceneInput
from hallmark.systems.refseg.ranker.views import View
from hallmark.systems.refseg.training.data import NAMES
from hallmark.systems.refseg.training.encoder import PARTS, soft_targets
from hallmark.systems.refseg.training.export import export
from hallmark.systems.refseg.training.regions import NAMELESS, candidates_of, joined

pytestmark = pytest.mark.e2e


@pytest.fixture
def data(prepared):
    return prepared("encoder")


@pytest.fixture
def module(preset):
    torch.manual_seed(0)
    model = build(preset("encoder").model)
    model.network.learn_words(["the red star left of", "blue circle"])
    return model.eval()


def objects(scene) -> Proposals:
    return Proposals.of(scene.masks, np.ones(len(scene.masks)), scene.size)


def test_soft_targets():
    iou = torch.tensor([[0.8, 0.7, 0.3, 0.0], [0.0, 0.0, 0.0, 1.0], [0.2, 0.1, -1.0, 0.0], [0.5, 0.5, -1.0, 0.0]])
    near = np.exp(-1)
    expected = [[1 / (1 + near), near / (1 + near), 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0.5, 0.5, 0, 0]]
    np.testing.assert_allclose(soft_targets(iou, 0.1), expected, rtol=1e-5)


def test_candidates_of_true_masks(data):
    scene = data.annotated("train")[1]
    candidates = candidates_of(scene, objects(scene), counterfactual=False)
    assert candidates.sentences == scene.expressions["sentence"].tolist()
    assert candidates.iou.shape == (len(candidates.sentences), len(scene.masks) + 1)
    assert (candidates.iou.max(1) == 1).all() and (candidates.weight == 1).all()
    nothing = (scene.expressions["slice_kind"] == "no_target").to_numpy()
    assert ((candidates.iou[:, -1] == 1) == nothing).all()
    assert [NAMES[name] for name in candidates.names] == [
        f"{o['size']} {o['colour']} {o['shape']}" for o in scene.objects
    ]


def test_counterfactuals_mean_something_else(data):
    counted = 0
    for scene in data.annotated("train"):
        plain, more = (
            candidates_of(scene, objects(scene), counterfactual=counterfactual) for counterfactual in (False, True)
        )
        changed = scene.expressions["shuffled"].notna().to_numpy()
        first = len(plain.sentences)
        assert more.sentences[:first] == plain.sentences
        assert (more.iou[first:].argmax(1) != plain.iou[changed].argmax(1)).all()
        assert ((more.weight[first:] == 1) == (more.iou[first:, -1] == 0)).all()
        counted += changed.sum()
    assert counted > 20


def test_regions_far_from_objects_have_no_name(data):
    scene = data.annotated("train")[0]
    proposals = data.proposed(scene)
    candidates = candidates_of(scene, proposals, counterfactual=False)
    best = iou_matrix(proposals.rles, scene.masks)
    assert ((candidates.names == NAMELESS) == (best.max(1) < 0.6)).all()


def test_a_batch_keeps_images_apart(data):
    scenes = data.annotated("train")[:3]
    per_image = [candidates_of(scene, objects(scene), counterfactual=True) for scene in scenes]
    batch = joined(per_image)
    most = max(len(candidates.names) for candidates in per_image)
    assert batch["iou"].shape == (len(batch["sentences"]), most + 1)
    for index, candidates in enumerate(per_image):
        n, sentence_mask, region_mask = len(candidates.names), batch["asked"] == index, batch["image"] == index
        assert [s for s, here in zip(batch["sentences"], sentence_mask, strict=True) if here] == candidates.sentences
        np.testing.assert_array_equal(batch["iou"][sentence_mask][:, [*range(n), -1]], candidates.iou)
        assert (batch["iou"][sentence_mask][:, n:-1] == -1).all()
        assert batch["slot"][region_mask].tolist() == list(range(n))
        np.testing.assert_array_equal(batch["pixels"][region_mask], candidates.regions.pixels)


def test_training_sees_true_masks_and_counterfactuals_and_validation_does_not(prepared):
    data = prepared("encoder", "data.true_masks=1.0")
    draw = SampleIndex(0, 5)
    for split in ("train", "val"):
        (batch, scene) = data.dataset(split).__getitems__([draw]), data.annotated(split)[0]
        regions = scene.masks if split == "train" else data.proposed(scene).rles
        assert len(batch["name"]) == len(regions)
        more = scene.expressions["shuffled"].notna().sum() if split == "train" else 0
        assert len(batch["sentences"]) == len(scene.expressions) + more


def test_parts_are_hidden(data, module):
    scenes = data.annotated("train")[:2]
    batch = joined([candidates_of(scene, objects(scene), counterfactual=False) for scene in scenes])
    tokens = module.network.tokens(batch["sentences"])

    def logits(part: str, **changes) -> torch.Tensor:
        with torch.inference_mode():
            return module(batch | changes, tokens, torch.full((2,), PARTS.index(part)))[0]

    unmasked = torch.cat([batch["pixels"][:, :3], batch["pixels"][:, 3:] * 0], 1)
    elsewhere = batch["geometry"].flip(0)
    assert torch.equal(logits("crop"), logits("crop", pixels=unmasked, geometry=elsewhere))
    assert not torch.equal(logits("alpha"), logits("alpha", pixels=unmasked))
    assert torch.equal(logits("alpha"), logits("alpha", geometry=elsewhere))
    assert not torch.equal(logits("geometry"), logits("geometry", geometry=elsewhere))
    assert not torch.equal(logits("geometry"), logits("context"))
    absent = batch["iou"] < 0
    assert absent.any() and (logits("context").softmax(1)[absent] == 0).all()


def test_steps_reduce_the_loss(data, preset):
    torch.manual_seed(0)
    module = build(preset("encoder").model)
    module.network.learn_words(data.sentences())
    module.log_train_loss = lambda loss, size: None
    module._trainer = SimpleNamespace(global_step=0, estimated_stepping_batches=15)
    batch = data.dataset("train").__getitems__([SampleIndex(position, position) for position in range(8)])
    optimizer = torch.optim.AdamW(module.parameters(), 2e-3)
    losses = []
    for _ in range(15):
        loss = module.training_step(batch, 0)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_the_preset_runs_and_its_weights_can_be_used(preset, prepared, tmp_path, blank_figures):
    value = train(preset("encoder", "trainer.max_epochs=1", f"paths.run_dir={tmp_path / 'run'}"))
    run, data = open_run(tmp_path / "run"), prepared("encoder")
    frame = read_predictions(run.directory / "predictions" / "val.parquet")
    expressions = pd.concat([scene.expressions for scene in data.annotated("val")])
    assert frame["id"].tolist() == expressions["id"].tolist()
    assert run.metrics["val"]["main"] == table_metrics(frame)["main"]
    assert run.metrics["val"]["main"]["miou"] == pytest.approx(value, abs=1e-6)
    assert set(frame["slice_kind"]) <= set(frame.attrs["slices"]["slice_kind"])

    export(str(run.directory), tmp_path / "weights.safetensors")
    assert trained_on(tmp_path / "weights.safetensors") == "the generated sample of refseg"
    encoder = DualEncoder(weights=str(tmp_path / "weights.safetensors"), view=View(kind="crop", size=SIDE, alpha=True),
                          geometry=True, context=True)  # fmt: skip
    ranker = Ranker(encoder, position=0.0, batch_size=64, cache=None)
    for scene in data.annotated("val"):
        rows = frame[frame["group"] == scene.expressions["group"].iloc[0]]
        proposals = data.proposed(scene)
        (regions,) = ranker.embed([SceneInput(scene.image, proposals)])
        logits = ranker.logits(regions, proposals, scene.expressions["sentence"].tolist())
        expected = np.exp(logits - logits.max(1, keepdims=True))
        expected /= expected.sum(1, keepdims=True)
        np.testing.assert_allclose(np.stack(rows["probabilities"].tolist()), expected, atol=1e-4)
        for row in rows.itertuples():
            measured = overlap(rle_from_text(row.prediction), rle_from_text(row.target))
            assert (row.score, row.intersection, row.union) == (measured.iou, measured.intersection, measured.union)


def test_a_stopped_run_ends_like_one_that_was_not(preset, tmp_path, blank_figures):
    def selected(folder: str, *, stop: bool) -> dict[str, torch.Tensor]:
        config = preset("encoder", "data.sample.train=20", "trainer.max_epochs=3", f"paths.run_dir={tmp_path / folder}")
        if stop:
            with pytest.raises(Interrupted):
                train(config, lambda epoch, _: epoch == 0)
        train(config)
        return torch.load(open_run(tmp_path / folder).last, weights_only=True)["state_dict"]

    uninterrupted, resumed = selected("whole", stop=False), selected("resumed", stop=True)
    assert all(torch.equal(value, resumed[name]) for name, value in uninterrupted.items())


@pytest.mark.parametrize(
    ("override", "message"),
    [("data.true_masks=1.5", "true_masks=1.5"), ("model.temperature=0.0", "temperature=0.0"),
     ("model.unknown=1.0", "unknown=1.0"), ("model.naming=-1.0", "naming=-1.0"),
     ("model.shares.crop=-0.1", "how often each of crop, alpha, geometry, context")],
)  # fmt: skip
def test_wrong_settings(preset, override, message):
    config = preset("encoder", override)
    with pytest.raises(ValueError, match=message):
        build(config.data), build(config.model)
