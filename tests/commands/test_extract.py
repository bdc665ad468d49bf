"""`hallmark extract`: the archive of a run's embeddings, and what it refuses."""

import json

import numpy as np
import pytest
import torch

from hallmark.checks import UserError
from hallmark.engine.train import train
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import open_run
from hallmark.systems.deepfake import FeatureExtractor

pytestmark = pytest.mark.e2e


@pytest.mark.usefixtures("blank_figures")
def test_the_archive_holds_what_the_last_layer_sees_of_the_split(compose, small_of, hallmark, tmp_path):
    train(compose("experiment=deepfake_stage1", "debug=fast", *small_of("deepfake_stage1")))
    run = open_run(tmp_path / "outputs/deepfake_stage1")
    code, _, _ = hallmark("extract", str(run.directory))
    assert code == 0
    with np.load(run.directory / "embeddings_val.npz", allow_pickle=False) as archive:
        stored = dict(archive)
    table = read_predictions(run.directory / "predictions/val.parquet")
    frames = table[table["task"] == "main"]
    assert stored["ids"].tolist() == frames["id"].tolist()
    assert json.loads(str(stored["class_to_idx"])) == {"real": 0, "fake": 1}
    assert stored["labels"].tolist() == (frames["target"] == "fake").astype(int).tolist()

    # The last layer makes the stored predictions of these embeddings.
    extractor = FeatureExtractor("deepfake_stage1", run.directory)
    assert stored["embeddings"].shape == (len(frames), extractor.embedding_dim)
    head = extractor.member.head
    logits = stored["embeddings"] @ head[-1].weight.numpy().T + head[-1].bias.numpy()
    odds = logits[:, 1] - logits[:, 0]
    fake = np.array(frames["probabilities"].tolist())[:, 1]
    np.testing.assert_allclose(1 / (1 + np.exp(-odds.astype(np.float64))), fake, atol=1e-5)

    code, _, _ = hallmark("extract", str(run.best), "--split", "train", "--output", str(tmp_path / "train.npz"))
    assert code == 0 and len(np.load(tmp_path / "train.npz")["ids"]) > len(frames)
    (tmp_path / "folder.npz").mkdir()
    for output in ("e.txt", "folder.npz", "train.npz/e.npz"):
        code, _, refused = hallmark("extract", str(run.directory), "--output", str(tmp_path / output))
        assert code == 2 and refused.startswith("error: --output=")
    code, _, refused = hallmark("extract", str(run.directory), "--setting", "seed=3")
    assert code == 2 and refused.startswith("error: seed: no effect")
    code, _, refused = hallmark("extract", str(run.directory), "--split", "test")
    assert code == 2 and refused.startswith("error: --split='test'")


FROZEN = [
    "model.encoder._target_=hallmark.learning.encoders.timm_image.TimmImageEncoder", "~model.encoder.width",
    "+model.encoder={name: test_resnet, weights: random, crop_pct: 1.0, interpolation: null, mean: null, std: null}",
    "+model.encoder.options={}", "+model.encoder.frozen=true",
]  # fmt: skip


@pytest.mark.usefixtures("blank_figures")
def test_embeddings_of_a_frozen_encoder_are_those_that_its_head_was_trained_on(compose, small_of, hallmark, tmp_path):
    train(compose("experiment=deepfake_stage1", "debug=fast", *small_of("deepfake_stage1"), *FROZEN))
    run = open_run(tmp_path / "outputs/deepfake_stage1")
    assert hallmark("extract", str(run.directory))[0] == 0
    with np.load(run.directory / "embeddings_val.npz", allow_pickle=False) as archive:
        embeddings = torch.from_numpy(archive["embeddings"])
    state = torch.load(run.best, weights_only=True)["state_dict"]
    assert not any(name.startswith("encoders.") for name in state)
    fake = (embeddings @ state["head.1.weight"].T + state["head.1.bias"]).softmax(dim=1)[:, 1]
    table = read_predictions(run.directory / "predictions/val.parquet").query("task == 'main'")
    np.testing.assert_allclose(np.array(table["probabilities"].tolist())[:, 1], fake, atol=1e-5)
    with pytest.raises(UserError, match="frozen encoder"):
        FeatureExtractor("deepfake_stage1", run.directory)


def test_without_a_run_it_says_so(hallmark, tmp_path):
    code, _, printed = hallmark("extract", str(tmp_path))
    assert code == 2 and str(tmp_path) in printed
