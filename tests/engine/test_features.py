"""Training on stored embeddings of frozen encoders gives what training through the encoders gives."""

import numpy as np
import pytest

from hallmark.learning.encoders.clip import ClipImageEncoder, ClipTextEncoder
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e

PROBE = ["experiment=clip_probe", "trainer.max_epochs=3"]


def probabilities(run: Run) -> np.ndarray:
    return np.stack(read_predictions(run.directory / "predictions" / "val.parquet")["probabilities"])


@pytest.fixture
def forwards(monkeypatch) -> list[int]:
    """Samples in each forward pass of an encoder from here on."""
    counted: list[int] = []
    for encoder in (ClipImageEncoder, ClipTextEncoder):
        real = encoder.forward

        def forward(self, inputs, real=real):
            counted.append(len(inputs["input_ids"] if isinstance(inputs, dict) else inputs))
            return real(self, inputs)

        monkeypatch.setattr(encoder, "forward", forward)
    return counted


def test_stored_features_change_nothing_but_the_work(fit, forwards, tmp_path):
    folder = f"features.folder={tmp_path / 'features'}"
    stored = fit(*PROBE, folder)
    rows = sum(stored.record.splits[split]["n"] for split in ("train", "val"))
    assert 1.5 * rows < sum(forwards) <= 2 * rows  # each encoder once for each different content
    stored_probabilities = probabilities(stored)
    forwards.clear()
    again = fit(*PROBE, folder, "rerun=true")
    assert forwards == []
    assert (probabilities(again) == stored_probabilities).all()
    plain = fit(*PROBE, "features.enabled=false", "rerun=true")
    assert sum(forwards) > 3 * rows
    np.testing.assert_allclose(probabilities(plain), stored_probabilities, atol=1e-5)


def test_a_seed_shares_the_features_of_another(fit, forwards, tmp_path):
    folder = f"features.folder={tmp_path / 'features'}"
    fit(*PROBE, folder)
    forwards.clear()
    fit(*PROBE, folder, "seed=1")
    assert forwards == []


def test_augmented_pictures_go_through_the_encoder(fit, forwards, tmp_path):
    augment = "data.augment={_target_: hallmark.data.augment.LightAugment, crop: 0.8, flip: 0.5, color: 0.0}"
    run = fit(*PROBE, augment, f"features.folder={tmp_path / 'features'}")
    rows = run.record.splits["train"]["n"]
    assert sum(forwards) >= 3 * (rows - rows % 32) + rows


def test_checkpoints_of_frozen_encoders_hold_the_head_alone(fit):
    import torch

    run = fit(*PROBE)
    saved = torch.load(run.best, weights_only=True)
    assert not [name for name in saved["state_dict"] if name.startswith("encoders.")]
    assert set(saved["frozen_encoders"]) == {"image", "text"}
