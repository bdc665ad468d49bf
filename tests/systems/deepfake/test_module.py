"""What members have in common: probabilities, the frame AUC, what a checkpoint says."""

from functools import partial

import torch
from pytest import approx, mark, raises
from sklearn.metrics import roc_auc_score

from hallmark.checks import SettingError
from hallmark.learning.embeddings import embedded
from hallmark.systems.deepfake.module import MEMBER, probabilities_of

from .members import TIMM, classifier, frames, genconvit

BATCH = frames(10)


@mark.parametrize("member", [classifier(), classifier(TIMM), genconvit()], ids=["texture", "timm", "genconvit"])
@torch.no_grad()
def test_logits_are_the_last_layer_on_the_embedding(member):
    member.eval()
    embedding = member.embedding(BATCH)
    last = member.head[-1] if hasattr(member.head, "__getitem__") else member.network.classifier
    torch.testing.assert_close(last(embedding), member(BATCH))
    assert embedding.shape == (10, member.encoder.embedding_dim)
    assert list(member.inputs) == ["image"]


@torch.no_grad()
def test_of_a_frozen_encoder_the_head_reads_what_the_store_gives():
    member = classifier(partial(TIMM, frozen=True)).eval()
    stored = {"index": BATCH["index"], "target": BATCH["target"], "image_features": member.encoder(BATCH["image"])}
    torch.testing.assert_close(member(stored), member(BATCH))
    embeddings, labels = embedded(member, [stored])
    torch.testing.assert_close(torch.from_numpy(embeddings), stored["image_features"])
    assert labels.tolist() == BATCH["target"].tolist()


def test_log_odds_of_sure_frames_can_be_computed_from_probabilities():
    logits = torch.tensor([[0.0, 30.0], [25.0, 0.0], [0.0, 0.0]])
    odds = torch.logit(probabilities_of(logits)[:, 1])
    torch.testing.assert_close(odds, torch.tensor([30.0, -25.0, 0.0], dtype=torch.float64), rtol=1e-3, atol=0)


def test_the_frame_auc_of_an_epoch_is_that_of_all_its_batches(monkeypatch):
    member = classifier().eval()
    monkeypatch.setattr(member, "log_dict", lambda metrics: None)
    parts = [{name: value[part] for name, value in BATCH.items()} for part in (slice(0, 7), slice(7, 10))]
    with torch.no_grad():
        for number, batch in enumerate(parts):
            member.validation_step(batch, number)
        fake = probabilities_of(member(BATCH))[:, 1]
    expected = roc_auc_score(BATCH["target"], fake)
    assert float(member.validation_metrics["val/auroc"].compute()) == approx(expected, abs=1e-6)


@mark.parametrize("classes", [["fake", "real"], ["real", "fake", "unsure"]])
def test_another_order_of_the_classes_is_refused(classes):
    with raises(SettingError) as refused:
        classifier(classes=classes)
    assert refused.value.key == "classes"


@mark.parametrize(
    ("key", "changes"),
    [("member", {"member": "foo"}), ("dropout", {"dropout": 1.0}), ("pooling", {"pooling": "median"})],
)
def test_what_is_refused(key, changes):
    with raises(SettingError) as refused:
        classifier(**changes)
    assert refused.value.key == key


def test_a_checkpoint_says_what_its_score_and_its_pixels_are():
    member, checkpoint = classifier(TIMM), {"state_dict": {}}
    member._trainer = type("Trainer", (), {"strategy": None})()
    member.on_save_checkpoint(checkpoint)
    entry = checkpoint[MEMBER]
    assert entry["class_to_idx"] == {"real": 0, "fake": 1} and entry["score"] == "P(fake)"
    assert entry["preprocessing"] == member.encoder.preprocessing
    assert entry["arguments"]["encoder"]["name"] == "test_resnet"
