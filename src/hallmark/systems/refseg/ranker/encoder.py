"""What an encoder of regions is: regions and texts in, unit vectors of one space out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hallmark.learning.encoders.base import Encoder
from hallmark.systems.refseg.ranker.views import Regions, View


class RegionEncoder(Encoder, ABC):
    """Embeds regions without knowing the text, and texts without knowing the image.

    Calling the module is `embed_regions`, so that forward hooks see every pass.

    Attributes:
        view: how a region is shown.
        scale: logits = scale · cosine.
        none: unit embedding [D] of "no such object"; None for an encoder that cannot abstain.
        joint: whether the embedding of a region depends on the other regions of its image, so that they must come
            in one call.
        frozen: always.
    """

    frozen = True
    joint = False
    none: Tensor | None
    view: View
    scale: float

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All that `embed_regions` depends on beside the image and its proposals, weights and view included, in
        plain containers."""

    @abstractmethod
    def text_settings(self) -> dict[str, Any]:
        """All that `embed_texts`, `scale` and `none` depend on beside the texts, likewise."""

    @abstractmethod
    def embed_regions(self, regions: Regions) -> Tensor:
        """Unit embeddings float32 [N, D] of regions of one or several images, N ≥ 1."""

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings float32 [M, D], M ≥ 1."""

    def forward(self, regions: Regions) -> Tensor:
        return self.embed_regions(regions)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device
