"""SAM and SAM 2 as transformers has them."""

import json
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForMaskGeneration, AutoProcessor

from hallmark.checks import require
from hallmark.features.store import weights_digest
from hallmark.learning.device import chosen_device
from hallmark.learning.encoders.weights import NO_REMOTE_CODE, local_path, published
from hallmark.storage.hashing import digest
from hallmark.systems.refseg.proposers.points import PointModel

_ORIGIN = ("_name_or_path", "transformers_version", "dtype")
_KNOWN = ("sam", "sam2", "sam2_video")


@dataclass(frozen=True)
class Embedding:
    """An embedded image; sizes as H, W: of the image, and of its part of the network's input."""

    features: Any
    size: tuple[int, int]
    input_size: tuple[int, int]


class TransformersSam(PointModel[Embedding]):
    """A mask-generation network of transformers.

    Args:
        name: on the hub (facebook/sam-vit-base, facebook/sam2-hiera-tiny, …) or a local folder.
        device: where it runs; `auto` for a GPU if there is one.
    """

    def __init__(self, *, name: str, device: str) -> None:
        self.name, self.device = name, chosen_device(device)
        source = str(local_path(name) or name)
        with published(f"mask network {name}"):
            self.processor = AutoProcessor.from_pretrained(source, **NO_REMOTE_CODE)
            model = AutoModelForMaskGeneration.from_pretrained(source, dtype=torch.float32, **NO_REMOTE_CODE)
            self.model = model.to(self.device).eval()
        kind = self.model.config.model_type
        require(kind in _KNOWN, "name", name, f"a network of the type {', '.join(_KNOWN)}; this is {kind}")
        self._weights = weights_digest(self.model)
        # How images are made to fit and how the layers work stand beside the weights, in files of their own.
        files = (self.model.config, self.processor.image_processor)
        self._rules = digest([_without_origin(json.loads(file.to_json_string())) for file in files])

    def settings(self) -> dict[str, Any]:
        return {"kind": "transformers", "weights": self._weights, "rules": self._rules}

    def embed(self, image: NDArray) -> Embedding:
        inputs = self.processor(images=image, return_tensors="pt")
        features = self.model.get_image_embeddings(inputs["pixel_values"].to(self.device))
        # SAM pads what it has made to fit; SAM 2 stretches the image over all of its input.
        shown = inputs["reshaped_input_sizes"][0] if "reshaped_input_sizes" in inputs else inputs["pixel_values"].shape
        height, width = (int(side) for side in shown[-2:])
        return Embedding(features, (image.shape[0], image.shape[1]), (height, width))

    def decode(self, embedded: Embedding, points: NDArray) -> tuple[Tensor, Tensor]:
        scale = torch.tensor(embedded.input_size).flip(0) / torch.tensor(embedded.size).flip(0)
        points_1P12 = (torch.as_tensor(points, dtype=torch.float32) * scale)[None, :, None].to(self.device)
        labels_1P1 = torch.ones(points_1P12.shape[:-1], dtype=torch.int64, device=self.device)
        found = self.model(
            image_embeddings=embedded.features, input_points=points_1P12, input_labels=labels_1P1,
            multimask_output=True,
        )  # fmt: skip
        return found.pred_masks[0], found.iou_scores[0]

    def upscale(self, embedded: Embedding, logits: Tensor) -> Tensor:
        [found] = self.processor.post_process_masks(
            [logits[None]], [embedded.size], reshaped_input_sizes=[embedded.input_size], binarize=False
        )
        return found[0]


def _without_origin(settings: Any) -> Any:
    """`settings` without what says where a file came from and who wrote it, at any depth."""
    if not isinstance(settings, dict):
        return settings
    return {name: _without_origin(value) for name, value in settings.items() if name not in _ORIGIN}
