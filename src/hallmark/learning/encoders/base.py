"""What an encoder is: inputs of a batch in, embeddings [B, D] out."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hallmark.data.images import PixelTransform, SquareCrop
from hallmark.storage.requirements import Requirement


class Encoder(nn.Module):
    """Base of the encoders.

    Attributes:
        embedding_dim: D.
        frozen: the weights never change and dropout is off for the whole fit, so that outputs may be cached.
        norm_eval: in training as well, batch norms normalize by the statistics that they came with.
        preprocessing: all that decides an embedding besides weights and content, as plain values.
        trained_on: the generated data that its weights were trained on; None for all others.
    """

    embedding_dim: int
    frozen: bool
    norm_eval = False
    preprocessing: dict[str, Any]
    trained_on: str | None = None

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """What an encoder of these arguments needs from outside, such as published weights."""
        return []

    def freeze(self) -> None:
        """Freeze for good: no gradients, evaluation mode."""
        self.frozen = True
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "Encoder":
        """As in torch, but a frozen encoder stays in evaluation mode, and batch norms where `norm_eval` says so."""
        super().train(mode and not self.frozen)
        if self.norm_eval:
            for layer in self.modules():
                if isinstance(layer, _BatchNorm):
                    layer.eval()
        return self


class ImageEncoder(Encoder):
    """Maps uint8 pixels [B, 3, S, S] to embeddings [B, D]; normalizes them itself.

    Args:
        image_size: S in pixels.
        mean: by channel, for pixels scaled to [0, 1]; `std` likewise.
        transform: from an image to its pixels [3, S, S]; None for `SquareCrop`.
    """

    def __init__(
        self, *, image_size: int, mean: Sequence[float], std: Sequence[float], transform: PixelTransform | None = None
    ) -> None:  # fmt: skip
        super().__init__()
        self.image_size = image_size
        self.transform = transform or SquareCrop(image_size)
        self.frozen = False
        self.preprocessing = {
            "image_size": image_size, "mean": list(mean), "std": list(std), "transform": dict(self.transform.settings)
        }  # fmt: skip
        self._mean: Tensor
        self._std: Tensor
        self.register_buffer("_mean", 255 * torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("_std", 255 * torch.tensor(std).view(3, 1, 1), persistent=False)

    def normalized(self, pixels: Tensor) -> Tensor:
        if pixels.is_floating_point():  # which may be what a network has drawn
            return (pixels.to(self._mean.dtype) - self._mean).div_(self._std)
        # Bytes are copied once, and the copy changed in place: to subtract floats from bytes takes ten times as long.
        return pixels.to(self._mean.dtype).sub_(self._mean).div_(self._std)

    def unnormalized(self, values: Tensor) -> Tensor:
        """The pixels, floats from 0 to 255, of which `normalized` makes `values`."""
        return values * self._std + self._mean


class TextEncoder(Encoder):
    """Maps token tensors by name, each [B, L], to embeddings [B, D]."""

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Tensors [N, L] with the fixed length L of this encoder."""
        raise NotImplementedError
