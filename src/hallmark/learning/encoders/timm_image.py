"""Image encoders of timm."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from hallmark.checks import require
from hallmark.learning.encoders.base import ImageEncoder
from hallmark.learning.encoders.libraries import timm
from hallmark.learning.encoders.lite0 import FILE, LITE0, lite0_state
from hallmark.learning.encoders.pixels import timm_transform
from hallmark.learning.encoders.weights import (
    load_exactly,
    local_path,
    published,
    read_state_dict,
    trained_on,
    weights_requirement,
)
from hallmark.storage.requirements import Requirement

_log = logging.getLogger(__name__)

# Options of timm that name files, folders and addresses.
_SOURCES = frozenset(
    {"cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict"}
)


class TimmImageEncoder(ImageEncoder):
    """A timm model without its classifier, pooled to one embedding.

    Args:
        name: timm's model name.
        weights: `pretrained` for timm's default weights, `random`, `lite0` for those of `lite0.py`, or a local file
            with timm's layout.
        image_size: pixels a side; None takes the model's own.
        crop_pct: share of the resized image's side that the crop keeps; None takes the model's own. The crop mode
            always is the model's own.
        interpolation: `bilinear`, `bicubic` or another of timm's; None takes the model's own.
        mean: by channel; None takes the model's own. `std` likewise.
        frozen: keep the weights and cache the embeddings.
        options: further arguments of `timm.create_model`, such as pad_type.
    """

    def __init__(
        self, *, name: str, weights: str, image_size: int | None, crop_pct: float | None, interpolation: str | None,
        mean: Sequence[float] | None, std: Sequence[float] | None, frozen: bool, options: Mapping[str, Any],
    ) -> None:  # fmt: skip
        name, options = known_model(name), checked_options(options)
        require(image_size is None or image_size >= 16, "image_size", image_size, "at least 16 pixels, or null")
        require(crop_pct is None or 0 < crop_pct <= 1, "crop_pct", crop_pct, "a share in (0, 1], or null")
        known = (None, "nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
        valid = f"one of {', '.join(map(str, known[1:]))}, or null"
        require(interpolation in known, "interpolation", interpolation, valid)
        with published(f"timm model {name}"):
            model = timm.create_model(name, pretrained=weights == "pretrained", num_classes=0, **options)
        chosen = {"crop_pct": crop_pct, "interpolation": interpolation, "mean": mean, "std": std}
        config = timm.data.resolve_data_config({"img_size": image_size, **chosen}, model=model)
        super().__init__(
            image_size=config["input_size"][-1], mean=config["mean"], std=config["std"],
            transform=timm_transform(config),
        )  # fmt: skip
        self.model, self.name = model, name
        self.embedding_dim = getattr(model, "head_hidden_size", model.num_features)
        if weights not in ("pretrained", "random"):
            state, path = lite0_state(name) if weights == LITE0 else _file_state(weights)
            heads = model.pretrained_cfg.get("classifier") or "classifier"
            prefixes = tuple(f"{head}." for head in ([heads] if isinstance(heads, str) else heads))
            load_exactly(model.load_state_dict, state, path, ignore=prefixes)
            self.trained_on = trained_on(path)
        if frozen:
            self.freeze()

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The weights, unless they are random."""
        name, weights = arguments["name"], arguments["weights"]
        if weights == "random":
            return []
        if weights == LITE0:
            return [weights_requirement("EfficientNet-Lite0", FILE)]
        name = name if timm.is_model(name) else f"tf_{name}"
        config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
        repository = str(getattr(config, "hf_hub_id", None) or "")
        source = name if weights == "pretrained" else weights
        return [weights_requirement(f"timm model {name} ({weights})", source, repository)]

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model(self.normalized(pixels))

    def maps(self, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps [B, C_l, H_l, W_l] of each stage, and the embeddings [B, D], in one pass."""
        final, maps = self.model.forward_intermediates(self.normalized(pixels))
        return maps, self.model.forward_head(final, pre_logits=True)


def _file_state(weights: str) -> tuple[dict[str, Tensor], Path]:
    path = local_path(weights)
    require(path is not None, "weights", weights, f"pretrained, random, {LITE0}, or the path of a local file")
    assert path is not None
    return read_state_dict(path), path


def known_model(name: str) -> str:
    """timm's name of the model that `name` means, which may lack the `tf_` of weights that come from TensorFlow.

    Raises:
        SettingError: timm has no such model.
    """
    if not timm.is_model(name) and timm.is_model(f"tf_{name}"):
        _log.warning("timm calls %s tf_%s: its weights come from TensorFlow", name, name)
        return f"tf_{name}"
    nearest = timm.list_models(f"*{name.split('.')[0][:8]}*")[:4] or timm.list_models()[:4]
    require(timm.is_model(name), "name", name, f"a timm model name, such as {', '.join(nearest)}")
    return name


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options for `timm.create_model` that name no file and no address.

    Raises:
        SettingError: one does.
    """
    sources = sorted(_SOURCES & set(options))
    require(not sources, "options", dict(options), f"no {', '.join(sources)}: `weights` says where they come from")
    return dict(options)
