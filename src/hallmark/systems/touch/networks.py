"""Networks for windows of body signals and pressure frames.

Shapes: B rows, C channels, T samples, L = ⌈T / stride⌉ steps, W width, K frames of H×W' pixels, D embedding.
"""

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from hallmark.checks import require
from hallmark.learning.encoders.base import Encoder

_FAR = 5.0  # standard deviations; an outlier says no more than that


class SignalEncoder(Encoder):
    """Strided convolution, residual convolution blocks, self-attention, attentive statistics pooling.

    Takes [B, 2C, T]: the values, then the marks of what was observed, so that a flat signal and a lost one differ.
    The embedding ends with a `summary` of each channel, in units of the training batches (a wide part beside the deep
    one, Cheng et al. 2016): where people are few, a few statistics generalize best.

    Args:
        channels: C; width: W; kernel: of every convolution, odd; stride: of the first one.
        blocks: residual convolution blocks; attention_layers: after them; attention_heads: of each, W is a multiple.
        dropout: within blocks and attention layers.
    """

    def __init__(
        self, channels: int, *, width: int, kernel: int, stride: int, blocks: int, attention_layers: int,
        attention_heads: int, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        require(kernel >= 1 and kernel % 2 == 1, "kernel", kernel, "an odd number")
        require(stride >= 1, "stride", stride, "at least 1")
        require(blocks >= 0, "blocks", blocks, "at least 0")
        require(attention_layers >= 0, "attention_layers", attention_layers, "at least 0")
        require(attention_heads >= 1, "attention_heads", attention_heads, "at least 1")
        require(width >= 2 and width % (2 * attention_heads) == 0, "width", width, "a multiple of 2 · attention_heads")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        self.frozen, self.preprocessing = False, {}
        self.width, self.stride, self.embedding_dim = width, stride, 2 * width + 5 * channels
        self.stem = nn.Conv1d(2 * channels, width, kernel, stride, kernel // 2)
        self.blocks = nn.Sequential(*(ConvBlock(width, kernel, dropout) for _ in range(blocks)))
        self.attention = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    width, attention_heads, 2 * width, dropout, "gelu", batch_first=True, norm_first=True
                )
                for _ in range(attention_layers)
            )
        )
        self.norm = nn.LayerNorm(width)
        # Without learned scale and shift: the statistics keep their meaning, and outliers can be cut in deviations.
        self.pool = AttentivePooling(width)
        self.standardise = nn.BatchNorm1d(5 * channels, affine=False)

    def sequence(self, x_B2CT: Tensor) -> Tensor:
        """[B, L, W]."""
        # Convolutions want time last, attention wants it second.
        x_BLW = self.blocks(self.stem(x_B2CT)).transpose(1, 2)
        return self.norm(self.attention(x_BLW + positions(x_BLW)))

    def embedding(self, x_B2CT: Tensor, sequence_BLW: Tensor) -> Tensor:
        """[B, D] from the input and its `sequence`."""
        return torch.cat([self.pool(sequence_BLW), self.standardise(summary(x_B2CT)).clamp(-_FAR, _FAR)], dim=1)

    def forward(self, x_B2CT: Tensor) -> Tensor:
        """[B, D]."""
        return self.embedding(x_B2CT, self.sequence(x_B2CT))


class FrameEncoder(Encoder):
    """A small convolution network on each pressure frame, a convolution over time, attentive statistics pooling.

    Takes [B, K, H, W'] in [0, 1].

    Args:
        width: channels of the first layer; each next one has twice as many.
        layers: number of convolutions, each of which halves the picture; dropout: before the one over time.
    """

    def __init__(self, *, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        require(width >= 1, "width", width, "at least 1")
        require(layers >= 1, "layers", layers, "at least 1")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        self.frozen, self.preprocessing = False, {}
        widths = [1, *(width * 2**number for number in range(layers))]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(widths)
        )
        last = widths[-1]
        self.embedding_dim = 2 * last
        self.over_time = nn.Sequential(nn.Dropout(dropout), nn.Conv1d(2 * last, last, 3, padding=1), nn.GELU())
        self.pool = AttentivePooling(last)

    def forward(self, frames_BKHW: Tensor) -> Tensor:
        """[B, D]."""
        x = frames_BKHW.flatten(0, 1).unsqueeze(1)
        for layer in self.layers:
            x = gelu(layer(x))
        # Means and maxima by hand: the adaptive pooling of torch has no deterministic gradient on GPUs.
        pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        return self.pool(self.over_time(pooled.unflatten(0, frames_BKHW.shape[:2]).transpose(1, 2)).transpose(1, 2))


class ConvBlock(nn.Module):
    """x + conv(gelu(conv(norm(x)))) on [B, W, T], normalized over W at each step."""

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.second = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BWT: Tensor) -> Tensor:
        normed = self.norm(x_BWT.transpose(1, 2)).transpose(1, 2)
        return x_BWT + self.dropout(self.second(gelu(self.first(normed))))


class AttentivePooling(nn.Module):
    """Attentive statistics pooling (Okabe et al. 2018): weighted mean and deviation over time, [B, L, W] → [B, 2W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, x_BLW: Tensor) -> Tensor:
        weight_BL1 = self.score(x_BLW).softmax(dim=1)
        mean = (weight_BL1 * x_BLW).sum(dim=1)
        # The small number keeps the gradient of the root finite where a signal is flat.
        variance = (weight_BL1 * (x_BLW - mean.unsqueeze(1)) ** 2).sum(dim=1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


def summary(x_B2CT: Tensor) -> Tensor:
    """Mean, deviation, range, slope and roughness of each channel over what was observed, [B, 5C].

    The slope is that of the least-squares line over the window from −1 to 1, the roughness the mean step from a
    sample to the next. All are 0, the deviation almost, where nothing was observed.
    """
    values, observed = x_B2CT.chunk(2, dim=1)
    size = observed.sum(dim=2).clamp(min=1)
    mean = (values * observed).sum(dim=2) / size
    # What was not observed is 0 here, that is at the mean: it adds nothing to any of the sums below.
    centered = (values - mean.unsqueeze(2)) * observed
    deviation = (centered.pow(2).sum(dim=2) / size + 1e-5).sqrt()
    spread = centered.amax(dim=2) - centered.amin(dim=2)
    time = torch.linspace(-1, 1, values.shape[2], device=values.device)
    moment = (time.pow(2) * observed).sum(dim=2).clamp(min=1e-6)
    slope = (centered * time).sum(dim=2) / moment
    # A step counts where both of its ends were observed.
    both = observed[..., 1:] * observed[..., :-1]
    steps = (values.diff(dim=2).abs() * both).sum(dim=2) / both.sum(dim=2).clamp(min=1)
    return torch.cat([mean, deviation, spread, slope, steps], dim=1)


def positions(x_BLW: Tensor) -> Tensor:
    """Sinusoids (Vaswani et al. 2017, section 3.5) for any length, [L, W]; W is even."""
    length, width = x_BLW.shape[1:]
    steps = torch.arange(length, device=x_BLW.device, dtype=torch.float32)
    periods = torch.exp(torch.arange(0, width, 2, device=x_BLW.device) * (-math.log(10000.0) / width))
    angles = steps[:, None] * periods
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(x_BLW.dtype)


class JointHead(nn.Module):
    """What follows the encoders: fusion, a linear classifier for each task, the decoder of the signals.

    A row without a modality has a learned embedding in its place.

    Args:
        dims: D of each modality; classes: number of them by task.
        width: of the joint embedding; dropout: before and after it.
        decoder: None where no signals are reconstructed.
    """

    def __init__(
        self, dims: Mapping[str, int], classes: Mapping[str, int], *, width: int, dropout: float,
        decoder: "Decoder | None",
    ) -> None:  # fmt: skip
        super().__init__()
        require(width >= 1, "width", width, "at least 1")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        # Learned, because zeros are an embedding that a row with the modality can have as well.
        self.absent = nn.ParameterDict({name: torch.zeros(dim) for name, dim in dims.items()})
        total = sum(dims.values())
        self.mix = nn.Sequential(
            nn.LayerNorm(total), nn.Dropout(dropout), nn.Linear(total, width), nn.GELU(), nn.Dropout(dropout)
        )
        self.classifiers = nn.ModuleDict({task: nn.Linear(width, number) for task, number in classes.items()})
        self.decoder = decoder

    def forward(self, embeddings: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits {task: [B, C]} from {modality: [B, D]}, of which a row has those where `present` [B] is above 0."""
        parts = [
            torch.where(present[name].unsqueeze(1) > 0, embeddings[name], absent)
            for name, absent in self.absent.items()
        ]
        joint = self.mix(torch.cat(parts, dim=1))
        return {task: classifier(joint) for task, classifier in self.classifiers.items()}


class Decoder(nn.Module):
    """From each step of the signal encoder back to the `stride` samples that it stands for."""

    def __init__(self, width: int, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.project = channels, nn.Linear(width, channels * stride)

    def forward(self, sequence_BLW: Tensor, samples: int) -> Tensor:
        """[B, C, T] for T = `samples`."""
        # [B, L, C · stride] to [B, C, L · stride]; the last step may stand for samples beyond the window.
        patches = self.project(sequence_BLW).unflatten(2, (self.channels, -1))
        return patches.permute(0, 2, 1, 3).flatten(2)[:, :, :samples]
