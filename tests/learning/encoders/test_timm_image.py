from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from hallmark.checks import SettingError
from hallmark.features.store import encoder_key
from hallmark.learning.encoders.timm_image import TimmImageEncoder, known_model
from hallmark.learning.encoders.weights import MissingWeightsError


def build(**changes: Any) -> TimmImageEncoder:
    common = {"name": "test_resnet", "weights": "random", "image_size": 32, "crop_pct": None,
              "interpolation": None, "mean": None, "std": None,
              "frozen": False, "options": {}}  # fmt: skip
    return TimmImageEncoder(**{**common, **changes})


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def classifier() -> torch.nn.Module:
    torch.manual_seed(1)
    return timm.create_model("test_resnet", num_classes=7)


def pooled(model: torch.nn.Module, encoder: TimmImageEncoder, pixels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        model.eval()
        return model.forward_head(model.forward_features(encoder.normalized(pixels)), pre_logits=True)


@torch.no_grad()
def test_a_random_encoder_embeds_in_its_declared_width_with_the_models_own_normalisation(pixels) -> None:
    encoder = build().eval()
    config = timm.get_pretrained_cfg("test_resnet")
    assert encoder(pixels).shape == (3, encoder.embedding_dim)
    transform = {"library": "timm", "input_size": [3, 32, 32], "interpolation": "bilinear", "crop_pct": 0.95,
                 "crop_mode": "center", "mean": list(config.mean)}  # fmt: skip
    assert encoder.preprocessing == {
        "image_size": 32, "mean": list(config.mean), "std": list(config.std), "transform": transform
    }  # fmt: skip
    scaled = (pixels / 255 - torch.tensor(config.mean).view(3, 1, 1)) / torch.tensor(config.std).view(3, 1, 1)
    torch.testing.assert_close(encoder(pixels), encoder.model(scaled), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "test_vit"])
@torch.no_grad()
def test_the_declared_width_is_that_of_other_families_too(pixels: torch.Tensor, name: str) -> None:
    options = {"img_size": 32} if "vit" in name else {}
    encoder = build(name=name, options=options).eval()
    assert encoder(pixels).shape == (3, encoder.embedding_dim)


@pytest.mark.parametrize("file", ["w.safetensors", "w.pt", "wrapped.pth"])
@pytest.mark.parametrize("half", [False, True])
def test_a_local_file_round_trips_without_its_classifier(tmp_path: Path, classifier, pixels, file, half) -> None:
    state = {name: tensor.half() if half else tensor for name, tensor in classifier.state_dict().items()}
    if file.endswith(".safetensors"):
        save_file(state, tmp_path / file)
    else:
        torch.save({"state_dict": state} if file.startswith("wrapped") else state, tmp_path / file)
    encoder = build(weights=str(tmp_path / file), frozen=True)
    assert encoder.model.conv1[0].weight.dtype == torch.float32
    tolerance = {"rtol": 2e-2, "atol": 2e-3} if half else {"rtol": 0, "atol": 0}
    with torch.no_grad():
        torch.testing.assert_close(encoder(pixels), pooled(classifier, encoder, pixels), **tolerance)


def test_both_classifiers_of_a_distilled_model_are_ignored(tmp_path: Path) -> None:
    name, small = "deit_tiny_distilled_patch16_224", {"depth": 1, "embed_dim": 12, "num_heads": 3}
    torch.save(timm.create_model(name, **small).state_dict(), tmp_path / "deit.pt")
    encoder = build(name=name, image_size=224, weights=str(tmp_path / "deit.pt"), options=small)
    assert encoder.embedding_dim == 12


def test_weights_of_another_architecture_are_refused(tmp_path: Path, classifier: torch.nn.Module) -> None:
    torch.save(classifier.state_dict(), tmp_path / "resnet.pt")
    with pytest.raises(ValueError, match=r"resnet\.pt: weights do not fit this architecture"):
        build(name="test_vit", weights=str(tmp_path / "resnet.pt"))


def test_absent_weights_give_the_ways_to_provide_them(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=r"Three ways to provide them.*network.*local file.*profile=sample"):
        build(weights="pretrained")
    with pytest.raises(MissingWeightsError, match="no such file"):
        build(weights=str(tmp_path / "none.pt"))


@pytest.mark.parametrize(
    ("changes", "key", "hint"),
    [
        ({"name": "test_resnett"}, "name", "test_resnet"),
        ({"image_size": 8}, "image_size", "at least 16"),
        ({"weights": "imagenet"}, "weights", "pretrained, random, lite0, or the path"),
    ],
)
def test_nonsense_names_its_key(changes: dict[str, Any], key: str, hint: str) -> None:
    with pytest.raises(SettingError, match=hint) as caught:
        build(**changes)
    assert caught.value.key == key


def test_options_that_change_the_embedding_but_not_the_weights_change_the_key() -> None:
    keys = set()
    for options in ({}, {"global_pool": "max"}, {"act_layer": "silu"}):
        torch.manual_seed(0)
        keys.add(encoder_key(build(options=options, frozen=True)))
    assert len(keys) == 3


@pytest.mark.parametrize("name", ["checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"])
def test_weights_come_from_the_setting_of_that_name_alone(name: str) -> None:
    with pytest.raises(SettingError) as caught:
        build(options={name: "/somewhere"})
    assert caught.value.key == "options"


def test_a_name_without_its_source_is_understood_with_a_note(caplog) -> None:
    assert known_model("efficientnetv2_b3.in21k_ft_in1k") == "tf_efficientnetv2_b3.in21k_ft_in1k"
    assert "tf_efficientnetv2_b3" in caplog.text
    caplog.clear()
    assert known_model("test_resnet") == "test_resnet" and not caplog.text
    with pytest.raises(SettingError) as refused:
        known_model("efficientnetv9_b3")
    assert refused.value.key == "name"


@torch.no_grad()
def test_the_size_is_the_models_own_where_none_is_given() -> None:
    encoder = build(name="mobilenetv4_conv_small.e2400_r224_in1k", image_size=None).eval()
    assert encoder.image_size == 224 and encoder.preprocessing["mean"] == [0.485, 0.456, 0.406]
    assert encoder.embedding_dim == 1280
    assert encoder(torch.zeros(1, 3, 224, 224, dtype=torch.uint8)).shape == (1, 1280)
