"""Low-rank adaptation of CLIP's attention (Hu et al. 2022; CLIP-LoRA, Zanella & Ben Ayed 2024).

A parametrization of the stacked q, k, v weight, and not peft's layer for `nn.MultiheadAttention`: that one
shares its factor A over q, k and v, adapts the output projection as well, and takes no dropout.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils import parametrize

from hallmark.checks import require


class _QkvDelta(nn.Module):
    """W [3D, D] → W + α/r · B A for each of q, k, v with its own A [r, D] and B [D, r]."""

    def __init__(self, width: int, rank: int, scale: float, dropout_probability: float) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(3, rank, width))
        self.up = nn.Parameter(torch.zeros(3, width, rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)
        self.scale, self.dropout_probability = scale, dropout_probability

    def forward(self, weight: Tensor) -> Tensor:
        # Dropping columns of A drops input features, with one mask for all tokens of a step.
        mask = dropout(torch.ones_like(self.down[0, :1]), self.dropout_probability, self.training)
        return weight + self.scale * (self.up @ (self.down * mask)).reshape(weight.shape)


class Lora:
    """Adapts q, k, v of every attention in an encoder; everything else of it is frozen.

    Args:
        rank: r; alpha: the update is scaled by alpha / r; dropout: on the inputs of the update.
    """

    def __init__(self, rank: int, alpha: float, dropout: float) -> None:
        require(rank >= 1, "rank", rank, "at least 1")
        require(alpha > 0, "alpha", alpha, "above 0")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        self.rank, self.alpha, self.dropout = rank, alpha, dropout

    def apply(self, encoder: nn.Module) -> None:
        """Adapt `encoder` in place.

        Raises:
            SettingError: it has no `nn.MultiheadAttention`, or is frozen (its weights would not be saved).
        """
        layers = [layer for layer in encoder.modules() if isinstance(layer, nn.MultiheadAttention)]
        kind, needed = type(encoder).__name__, "an encoder with torch's MultiheadAttention, such as CLIP's"
        require(not getattr(encoder, "frozen", False), "adapter", kind, "encoders with frozen=false")
        require(bool(layers), "adapter", kind, needed)
        encoder.requires_grad_(False)
        for layer in layers:
            delta = _QkvDelta(layer.embed_dim, self.rank, self.alpha / self.rank, self.dropout)
            parametrize.register_parametrization(layer, "in_proj_weight", delta)
