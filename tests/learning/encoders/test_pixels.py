"""Encoders see the pixels that the libraries' own transforms give."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize
from transformers import CLIPImageProcessorPil

from hallmark.checks import SettingError
from hallmark.data.images import SquareCrop, decoded_images, read_image
from hallmark.features.store import encoder_key
from hallmark.learning.encoders.clip import ClipEncoders
from hallmark.learning.encoders.pixels import clip_folder_transform, open_clip_transform
from hallmark.learning.encoders.timm_image import TimmImageEncoder

SIZES = [(333, 250), (97, 641), (224, 224), (501, 335), (37, 53), (1200, 801)]


def image(size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng(sum(size))
    coarse = rng.integers(0, 256, (size[1] // 3 + 1, size[0] // 3 + 1, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST)


def timm_encoder(name: str, **changes) -> TimmImageEncoder:
    common = {
        "weights": "random",
        "image_size": 224,
        "crop_pct": None,
        "interpolation": None,
        "mean": None,
        "std": None,
        "frozen": False,
    }
    return TimmImageEncoder(name=name, options={}, **{**common, **changes})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["mobilenetv2_100", "test_resnet", "mobilenetv3_small_050"])
def test_a_timm_model_sees_what_its_own_transform_gives(name: str, size: tuple[int, int]) -> None:
    encoder = timm_encoder(name)
    config = timm.data.resolve_data_config({"img_size": 224}, model=encoder.model)
    assert config["crop_pct"] < 1
    expected = timm.data.create_transform(**config, is_training=False)(image(size))
    pixels = torch.tensor(encoder.transform(image(size)))[None]
    torch.testing.assert_close(encoder.normalized(pixels)[0], expected, rtol=1e-4, atol=1e-5)


def test_another_share_of_the_picture_is_another_transform() -> None:
    default, full = timm_encoder("test_resnet"), timm_encoder("test_resnet", crop_pct=1.0, interpolation="bicubic")
    full.load_state_dict(default.state_dict())
    assert encoder_key(default) != encoder_key(full)
    resized = Resize(224, InterpolationMode.BICUBIC)(image(SIZES[0]))
    expected = np.asarray(CenterCrop(224)(resized)).transpose(2, 0, 1)
    np.testing.assert_array_equal(full.transform(image(SIZES[0])), expected)


@pytest.mark.parametrize(("key", "value"), [("crop_pct", 1.5), ("crop_pct", 0.0), ("interpolation", "cubic")])
def test_a_transform_that_is_none_names_its_key(key: str, value: object) -> None:
    with pytest.raises(SettingError) as caught:
        timm_encoder("test_resnet", **{key: value})
    assert caught.value.key == key


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "config",
    [
        {"size": 224}, {"size": 96, "interpolation": "bilinear", "mean": (0.5,) * 3, "std": (0.25,) * 3},
        {"size": (64, 64), "resize_mode": "squash"}, {"size": 64, "resize_mode": "longest", "fill_color": 127},
    ],
)  # fmt: skip
def test_open_clip_pixels_are_those_of_its_transform(config: dict, size: tuple[int, int]) -> None:
    names = {"image_size": config["size"], **{k: v for k, v in config.items() if k != "size"}}
    expected = open_clip.image_transform(is_train=False, **names)(image(size))
    mean, std = (
        torch.tensor(config.get(name, default)).view(3, 1, 1)
        for name, default in (("mean", open_clip.OPENAI_DATASET_MEAN), ("std", open_clip.OPENAI_DATASET_STD))
    )
    pixels = torch.tensor(open_clip_transform(config)(image(size)))
    assert pixels.dtype == torch.uint8
    torch.testing.assert_close((pixels / 255 - mean) / std, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_a_transformers_folder_is_read_by_its_own_processor(clip_folder, tmp_path: Path, size: tuple[int, int]) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for path in clip_folder[0].iterdir():
        (folder / path.name).symlink_to(path)
    options = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}, "resample": 2}
    processor = CLIPImageProcessorPil(**options, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4])
    for expected_of, at in (
        (processor, folder),
        (CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32), None),
    ):
        if at is not None:
            processor.save_pretrained(at)
        source = at or clip_folder[0]
        (encoder,) = ClipEncoders(
            name=str(source), weights="folder", token_length=8, frozen=False, modalities=["image"]
        ).values()
        expected = expected_of(images=image(size), return_tensors="pt")["pixel_values"][0]
        pixels = torch.tensor(encoder.transform(image(size)))[None]
        torch.testing.assert_close(encoder.normalized(pixels)[0], expected.float(), rtol=1e-4, atol=1e-5)


def test_a_folder_whose_processor_gives_another_size_is_refused(clip_folder, tmp_path: Path) -> None:
    CLIPImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 40, "width": 40}).save_pretrained(tmp_path)
    with pytest.raises(SettingError) as caught:
        clip_folder_transform(tmp_path, 32)
    assert caught.value.key == "name"


@pytest.mark.parametrize("size", SIZES)
def test_a_square_crop_is_torchvisions(size: tuple[int, int]) -> None:
    expected = CenterCrop(64)(Resize(64, InterpolationMode.BICUBIC)(image(size)))
    np.testing.assert_array_equal(SquareCrop(64)(image(size)), np.asarray(expected).transpose(2, 0, 1))


def test_stored_pixels_are_those_of_the_file_at_full_scale_and_of_their_transform(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    image((1200, 801)).save(path, quality=90)
    for transform in (timm_encoder("test_resnet").transform, open_clip_transform({"size": 224}), SquareCrop(224)):
        stored = decoded_images([path], ["0" * 32], transform, tmp_path / "cache").take([0])[0]
        np.testing.assert_array_equal(stored, transform(read_image(path)))
        assert json.dumps(dict(transform.settings))
