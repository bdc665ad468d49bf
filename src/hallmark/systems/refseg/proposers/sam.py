"""Segment Anything from its published checkpoints."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import Sam
from torch import Tensor

from hallmark.checks import require
from hallmark.learning.device import chosen_device
from hallmark.learning.encoders.weights import load_exactly, read_state_dict
from hallmark.storage.hashing import digest_file
from hallmark.storage.requirements import Requirement
from hallmark.systems.refseg.proposers.points import PointModel

PUBLISHED = {"vit_b": "sam_vit_b_01ec64.pth", "vit_l": "sam_vit_l_0b3195.pth", "vit_h": "sam_vit_h_4b8939.pth"}
_ADDRESS = "https://dl.fbaipublicfiles.com/segment_anything/"


class PublishedSam(PointModel[SamPredictor]):
    """Segment Anything with its published weights, read when the first image comes.

    Args:
        model_type: vit_b, vit_l or vit_h.
        checkpoint: file of the weights; None for checkpoints/<the published name>.
        device: where it runs; `auto` for a GPU if there is one.

    Raises:
        SettingError: no such type, or no such file.
    """

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The file of the weights."""
        name = PUBLISHED.get(arguments["model_type"], "")
        path = Path(arguments["checkpoint"] or f"checkpoints/{name}").expanduser()
        advice = f"download {_ADDRESS}{name} and put it at checkpoints/{name}, or give model.proposer.model.checkpoint"
        problem = "" if path.is_file() else f"{path}: no such file"
        return [Requirement(f"SAM {arguments['model_type']} in {path}", problem, advice)]

    def __init__(self, *, model_type: str, checkpoint: str | None, device: str) -> None:
        require(model_type in PUBLISHED, "model_type", model_type, f"one of {', '.join(PUBLISHED)}")
        self.path = Path(checkpoint or f"checkpoints/{PUBLISHED[model_type]}").expanduser()
        [weights] = self.requirements({"model_type": model_type, "checkpoint": checkpoint})
        valid = f"the published weights of SAM {model_type}: {weights.advice}; profile=sample needs none"
        require(not weights.problem, "checkpoint", str(self.path), valid)
        self.model_type, self.device = model_type, chosen_device(device)
        self._weights = digest_file(self.path)

    @cached_property
    def model(self) -> Sam:
        model = sam_model_registry[self.model_type]()
        load_exactly(model.load_state_dict, read_state_dict(self.path), self.path)
        return model.to(self.device).eval()

    def settings(self) -> dict[str, Any]:
        return {"kind": "segment_anything", "model_type": self.model_type, "weights": self._weights}

    def embed(self, image: NDArray) -> SamPredictor:
        predictor = SamPredictor(self.model)
        predictor.set_image(np.ascontiguousarray(image))
        return predictor

    def decode(self, embedded: SamPredictor, points: NDArray) -> tuple[Tensor, Tensor]:
        resized = embedded.transform.apply_coords(points, embedded.original_size)[:, None]
        points_P12 = torch.as_tensor(resized, dtype=torch.float32, device=self.device)
        labels_P1 = torch.ones(points_P12.shape[:2], dtype=torch.int, device=self.device)
        sparse, dense = self.model.prompt_encoder(points=(points_P12, labels_P1), boxes=None, masks=None)
        return self.model.mask_decoder(
            image_embeddings=embedded.features, image_pe=self.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, multimask_output=True,
        )  # fmt: skip

    def upscale(self, embedded: SamPredictor, logits: Tensor) -> Tensor:
        return self.model.postprocess_masks(logits[None], embedded.input_size, embedded.original_size)[0]
