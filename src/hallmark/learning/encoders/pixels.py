"""From a picture to the pixels that an encoder was trained on: the libraries' own transforms, less the normalization.

The encoders normalize on their device, so that pixels are kept as bytes. Encoders without a library's transform take
`SquareCrop`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import Compose, Normalize, ToTensor

from hallmark.checks import require
from hallmark.learning.encoders.libraries import open_clip, timm
from hallmark.learning.encoders.weights import NO_REMOTE_CODE


class LibraryTransform:
    """A transform with what decides its pixels.

    Args:
        settings: in plain values; two transforms of equal settings give equal pixels.
        apply: from an RGB image to uint8 [3, S, S] or an image of S×S pixels.
    """

    def __init__(self, settings: Mapping[str, Any], apply: Callable[[Image.Image], Any]) -> None:
        self.settings: Mapping[str, Any] = dict(settings)
        self._apply = apply

    def __call__(self, image: Image.Image, /) -> NDArray:
        """uint8 [3, S, S]."""
        result = self._apply(image)
        pixels = np.asarray(result).transpose(2, 0, 1) if isinstance(result, Image.Image) else np.asarray(result)
        assert pixels.dtype == np.uint8, f"pixels of {pixels.dtype}"
        return pixels


def open_clip_transform(config: Mapping[str, Any]) -> LibraryTransform:
    """That of `open_clip.image_transform` for a model's `preprocess_cfg`."""
    known = open_clip.transform.PreprocessCfg(**config)
    steps = open_clip.transform.image_transform_v2(known, is_train=False).transforms
    settings = {
        "library": "open_clip", "size": _plain(known.size), "interpolation": known.interpolation,
        "resize_mode": known.resize_mode, "fill_color": known.fill_color,
    }  # fmt: skip
    return LibraryTransform(settings, Compose([s for s in steps if not isinstance(s, ToTensor | Normalize)]))


def timm_transform(config: Mapping[str, Any]) -> LibraryTransform:
    """That of `timm.data.create_transform` for what `timm.data.resolve_data_config` gives."""
    names = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean")  # the mean fills borders
    settings = {"library": "timm", **{name: _plain(config[name]) for name in names}}
    return LibraryTransform(settings, timm.data.create_transform(**config, is_training=False, normalize=False))


def clip_folder_transform(folder: Path, size: int) -> tuple[LibraryTransform, Sequence[float], Sequence[float]]:
    """That of the image processor of a CLIP folder in transformers' layout, with its mean and std.

    Args:
        size: pixels a side of the network's images, for a folder without `preprocessor_config.json`.

    Raises:
        SettingError: the processor gives images of another size.
    """
    from transformers import AutoImageProcessor, CLIPImageProcessorPil  # no other encoder waits for them

    if (folder / "preprocessor_config.json").is_file():
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil", **NO_REMOTE_CODE)
    else:
        processor = CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    names = ("do_resize", "size", "resample", "do_center_crop", "crop_size", "do_pad")
    settings = {"library": "transformers", **{name: _plain(getattr(processor, name, None)) for name in names}}

    def apply(image: Image.Image) -> NDArray:
        options = {"do_rescale": False, "do_normalize": False, "return_tensors": "np"}
        return processor(images=image, **options)["pixel_values"][0].astype(np.uint8)

    transform = LibraryTransform(settings, apply)
    shape = transform(Image.new("RGB", (2 * size, 3 * size))).shape
    valid = f"a folder whose preprocessor_config.json gives images of {size}×{size} pixels, as its config.json says"
    require(shape == (3, size, size), "name", str(folder), valid)
    return transform, list(processor.image_mean), list(processor.image_std)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(element) for element in value]
    if hasattr(value, "items"):
        return {str(name): _plain(element) for name, element in value.items() if element is not None}
    return value if value is None or type(value) in (bool, int, float, str) else str(value)
