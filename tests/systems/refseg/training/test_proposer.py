import numpy as np
import pytest
import torch
from lightning import Trainer

from hallmark.data.masks import overlap, rle_from_text
from hallmark.data.sampling import SampleIndex
from hallmark.engine.build import build
from hallmark.engine.train import train
from hallmark.runs.run import open_run
from hallmark.statistics.tables import table_metrics
from hallmark.systems.refseg.proposers.small import SmallModel
from hallmark.systems.refseg.training.export import export

pytestmark = pytest.mark.e2e


def batch_of(data, *positions, seed=0):
    return data.dataset("train").__getitems__([SampleIndex(position, seed + position) for position in positions])


def test_batches_hold_points_and_the_objects_under_them(prepared):
    batch = batch_of(prepared("proposer"), 3, 0, 5)
    assert batch["index"].tolist() == [3, 0, 5]
    assert batch["images"].shape == (3, 3, 96, 96) and batch["images"].dtype == torch.uint8
    assert batch["points"].shape == (3, 24, 2) and batch["masks"].shape == (3, 24, 96, 96)
    x, y = (batch["points"] * 96).long().unbind(-1)
    images = torch.arange(3)[:, None]
    under = batch["labels"][images, y, x]
    assert torch.equal(under > 0, batch["present"])
    assert torch.equal(batch["masks"].any((2, 3)), batch["present"])


def test_points_depend_on_the_draw_alone(prepared):
    data = prepared("proposer")
    together, alone, other = batch_of(data, 2, 7), batch_of(data, 7), batch_of(data, 7, seed=1)
    assert torch.equal(together["points"][1], alone["points"][0])
    assert not torch.equal(other["points"], alone["points"])


def test_steps_reduce_the_loss(preset, prepared):
    torch.manual_seed(0)
    module, batch = build(preset("proposer").model), batch_of(prepared("proposer"), *range(8))
    module.log_train_loss = lambda loss, size: None
    optimizer = torch.optim.AdamW(module.parameters(), 4e-3)
    losses = []
    for _ in range(8):
        loss = module.training_step(batch, 0)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


def test_the_table_has_a_row_for_each_object(preset, prepared):
    data = prepared("proposer")
    torch.manual_seed(0)
    module = build(
        preset("proposer", "model.min_iou=0.0", "model.min_stability=0.0", "model.points_per_batch=48").model
    ).eval()
    trainer = Trainer(logger=False, enable_progress_bar=False, accelerator="cpu", enable_checkpointing=False)
    outputs = trainer.predict(module, data.eval_dataloader("val"))
    frame = module.table(outputs, data, "val")
    objects = [scene.masks for scene in data.annotated("val")]
    assert len(frame) == sum(map(len, objects)) and frame["id"].is_unique
    counts = dict(zip(data.rows("val")["id"], map(len, objects), strict=True))
    assert frame.groupby("group").size().to_dict() == counts
    assert (frame["info_proposals"] > 0).any()
    for row in frame.itertuples():
        measured = overlap(rle_from_text(row.prediction), rle_from_text(row.target))
        assert (row.score, row.intersection, row.union) == (measured.iou, measured.intersection, measured.union)
    assert table_metrics(frame)["main"]["miou"] == pytest.approx(frame["score"].mean())


def test_the_preset_runs_and_its_weights_can_be_used(preset, tmp_path, blank_figures):
    value = train(preset("proposer", "trainer.max_epochs=1", f"paths.run_dir={tmp_path / 'run'}"))
    assert 0 <= value <= 1
    run = open_run(tmp_path / "run")
    assert run.metrics["val"]["main"]["miou"] == pytest.approx(value)
    export(str(tmp_path / "run"), tmp_path / "weights.safetensors")
    network = SmallModel(weights=str(tmp_path / "weights.safetensors"), device="cpu").network
    saved = torch.load(run.best, weights_only=True)["state_dict"]
    assert all(torch.equal(value, saved[f"head.{name}"]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("override", "message"),
    [("data.points=0", "points=0"), ("data.background=1.0", "background=1.0"), ("model.samples=1", "samples=1"),
     ("model.min_iou=1.5", "min_iou=1.5")],
)  # fmt: skip
def test_wrong_settings(preset, override, message):
    config = preset("proposer", override)
    with pytest.raises(ValueError, match=message):
        build(config.data), build(config.model)


def test_labels_are_the_objects(prepared):
    data = prepared("proposer")
    labels = batch_of(data, 0)["labels"][0].numpy()
    scene = data.annotated("train")[0]
    assert np.unique(labels).tolist() == list(range(len(scene.masks) + 1))
