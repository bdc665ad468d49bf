"""CLIP as an encoder of regions, through open_clip."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from hallmark.checks import require
from hallmark.features.store import encoder_key
from hallmark.learning.encoders.clip import ClipEncoders, clip_requirement
from hallmark.storage.requirements import Requirement
from hallmark.systems.refseg.ranker.encoder import RegionEncoder
from hallmark.systems.refseg.ranker.views import Regions, View


class ClipRegionEncoder(RegionEncoder):
    """Frozen encoders of CLIP; each region is embedded by itself.

    Args:
        name: architecture, Hugging Face name or local folder, as for `ClipEncoders`.
        weights: tag, local file, `folder` or `random`, likewise.
        token_length: of a text; longer ones are cut.
        templates: texts in which an expression takes the place of {}; embeddings of several are averaged.
        view: its size must be that of CLIP's images.

    Raises:
        SettingError, MissingWeightsError: see the messages.
    """

    # All published CLIPs have learned the greatest logit scale that their training allowed.
    scale = 100.0

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The weights of both encoders."""
        return [clip_requirement(arguments["name"], arguments["weights"])]

    def __init__(self, *, name: str, weights: str, token_length: int, templates: Sequence[str], view: View) -> None:
        super().__init__()
        valid = len(templates) > 0 and all(template.count("{}") == 1 for template in templates)
        require(valid, "templates", list(templates), "texts with one {} each, such as 'a photo of {}'")
        require(not view.alpha, "view.alpha", True, "false: CLIP takes no mask as a fourth channel")
        encoders = ClipEncoders(
            name=name, weights=weights, token_length=token_length, frozen=True, modalities=["image", "text"]
        )
        self.image, self.text = encoders["image"], encoders["text"]
        side: int = self.image.image_size  # type: ignore[assignment]
        require(view.size == side, "view.size", view.size, f"{side}, the size of the images of {name}")
        needed = "a CLIP whose own transform makes a square smaller as the views do: bicubic, without a crop"
        require(_resizes_as_views(self.image), "name", name, needed)
        self.view, self.templates, self.none = view, list(templates), None
        self.trained_on = self.image.trained_on
        self.embedding_dim = self.image.embedding_dim
        self.eval()

    def settings(self) -> dict[str, Any]:
        return {"kind": "clip", "tower": encoder_key(self.image), "view": self.view.settings()}

    def text_settings(self) -> dict[str, Any]:
        return {"tower": encoder_key(self.text), "templates": self.templates, "scale": self.scale}

    def embed_regions(self, regions: Regions) -> Tensor:
        pixels = self._embedded(regions.pixels)
        if regions.context is None:
            return pixels
        return normalize(torch.lerp(pixels, self._embedded(regions.context), self.view.weight), dim=-1)

    def _embedded(self, pixels: Any) -> Tensor:
        return self.image(torch.from_numpy(pixels).to(self.device)).float()

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        filled = [template.replace("{}", text) for text in texts for template in self.templates]
        tokens = {name: ids.to(self.device) for name, ids in self.text.tokenize(filled).items()}  # type: ignore[operator]
        embedded = self.text(tokens).float().unflatten(0, (len(texts), len(self.templates)))
        return normalize(embedded.mean(1), dim=-1)


def _resizes_as_views(encoder: Any) -> bool:
    """Whether `encoder` would see the same pixels of the square around a region as a `View` gives it."""
    side = encoder.image_size
    noise = np.random.default_rng(0).integers(0, 256, (3 * side, 3 * side, 3), dtype=np.uint8)
    square = Image.fromarray(noise)
    expected = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    return np.array_equal(encoder.transform(square), expected)
