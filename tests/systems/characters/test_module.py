from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import linear

from hallmark.checks import SettingError
from hallmark.learning.encoders.timm_image import TimmImageEncoder
from hallmark.learning.encoders.weights import safe_load
from hallmark.learning.optim import Optimizer
from hallmark.systems.characters.module import CharacterClassifier, encoder_of


def classifier(*, frozen: bool = False, **arguments) -> CharacterClassifier:
    encoder = partial(
        TimmImageEncoder, name="test_efficientnet", weights="random", image_size=32, crop_pct=1.0, interpolation=None,
        mean=None, std=None, frozen=frozen, options={},
    )  # fmt: skip
    optimizer = Optimizer(lr=1e-3, lr_scale=1, head_lr=1e-3, weight_decay=0, schedule="cosine", warmup=0)
    settings = {
        "encoder": encoder, "dropout": 0.5, "norm_eval": False, "classes": ["a", "b", "c"],
        "optimizer": optimizer, "freeze_epochs": 0,
        "label_smoothing": 0.0, "class_balance": 0.0,
    }  # fmt: skip
    return CharacterClassifier(**{**settings, **arguments})


def write_checkpoint(path: Path, *, seed: int) -> Path:
    """What Lightning writes of a classifier with random weights."""
    torch.manual_seed(seed)
    module = classifier()
    module._trainer = SimpleNamespace(strategy=None)
    checkpoint: dict = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
    return path


def test_logits_are_a_linear_layer_of_the_embedding():
    module = classifier().eval()
    batch = {"image": torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)}
    embedding, last = module.embedding(batch), module.head[-1]
    assert embedding.shape == (2, module.encoders["image"].embedding_dim)
    torch.testing.assert_close(module(batch), linear(embedding, last.weight, last.bias))


def test_a_frozen_encoder_takes_its_embeddings_from_the_batch():
    module = classifier(frozen=True).eval()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    features = module.encoders["image"](pixels)
    torch.testing.assert_close(module({"image": pixels}), module({"image_features": features}))
    assert not any(parameter.requires_grad for parameter in module.encoders.parameters())


def test_a_dropout_that_is_no_share_is_refused():
    with pytest.raises(SettingError) as refused:
        classifier(dropout=1.0)
    assert refused.value.key == "dropout"


def test_a_checkpoint_holds_its_encoder_which_embeds_as_it_did(tmp_path):
    torch.manual_seed(3)
    encoder = encoder_of(safe_load(write_checkpoint(tmp_path / "best.ckpt", seed=3)))
    torch.manual_seed(3)
    module = classifier().eval()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(encoder(pixels), module.embedding({"image": pixels}))
    assert encoder.frozen and encoder.preprocessing == module.encoders["image"].preprocessing


def test_batch_norms_keep_their_statistics_while_their_weights_learn():
    torch.manual_seed(0)
    module, still = classifier(), classifier(norm_eval=True)
    batch = {"image": torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8), "target": torch.tensor([0, 1, 2, 0])}
    for each, moves in ((module, True), (still, False)):
        before = {name: buffer.clone() for name, buffer in each.encoders.named_buffers() if "running" in name}
        each.train().encoders["image"].train()  # which the first epochs of a fit do by itself
        each.loss(batch).backward()
        after = dict(each.encoders.named_buffers())
        assert {bool((after[name] != value).any()) for name, value in before.items()} == {moves}
        assert all(parameter.grad is not None for parameter in each.encoders.parameters())
