"""The networks as the authors' code computes them, for their weights.

The names of all tensors are those of the released files under timm 1 (`released.py` maps older ones). ConvNeXt's logits
of frame and reconstruction are the features; a Swin is among the weights, twice, and never runs. `width` and the models
of timm are arguments, so that a network of the same layout can be small.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, relu

from hallmark.checks import require, setting
from hallmark.learning.encoders.libraries import timm
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.requirements import Requirement
from hallmark.systems.deepfake.genconvit.network import GenConViTNetwork, Redrawn, created, timm_requirement
from hallmark.systems.deepfake.genconvit.released import load_released, released_requirement

_PATCH_DIM = 768  # of the layer in front of ConvNeXt that its forward pass does not read


class PublishedNetwork(GenConViTNetwork):
    """Autoencoder, ConvNeXt, and two linear layers on its logits of frame and reconstruction.

    ED: reconstruction first, GELU. VAE: frame first, ReLU; the reconstruction has half the side, and is enlarged only
    to be compared. All pixels are normalized.

    Args:
        variant: `ed` or `vae`.
        image_size: S, divisible by 32. The VAE has linear layers of it: its released weights are of 224.
        convnext: `name` of a model of timm and `options` for `timm.create_model`; `swin` likewise.
        weights: of both `pretrained` or `random`; or those of all that were released: a file, or a snapshot folder of
            Deressa/GenConViT.
        width: channels of the autoencoder's first convolution.
    """

    def __init__(
        self, variant: str, *, image_size: int, convnext: Mapping[str, Any], swin: Mapping[str, Any], weights: str,
        width: int,
    ) -> None:  # fmt: skip
        require(variant in ("ed", "vae"), "variant", variant, "ed or vae")
        require(image_size % 32 == 0, "image_size", image_size, "pixels that 32 divides")
        require(width >= 1, "width", width, "at least 1")
        start = weights if weights == "pretrained" else "random"
        with setting("convnext"):
            backbone = created(convnext["name"], start, convnext.get("options", {}))
        with setting("swin"):
            swin_model = created(swin["name"], start, swin.get("options", {}))
        config = timm.data.resolve_data_config(backbone.pretrained_cfg)
        super().__init__(image_size=image_size, mean=config["mean"], std=config["std"])
        self.variational = variant == "vae"
        n = backbone.num_classes
        self.embedding_dim = n // 2
        self.encoder = VariationalEncoder(width, image_size) if self.variational else plain_encoder(width)
        self.decoder = variational_decoder(width) if self.variational else plain_decoder(width)
        self.embedder = swin_model
        backbone.patch_embed = UnusedEmbedding(swin_model, swin_model.num_classes)
        if self.variational:
            self.convnext_backbone = backbone
        else:
            self.backbone = backbone
        self.fc = nn.Linear(2 * n, self.embedding_dim)
        if self.variational:
            self.fc3 = nn.Linear(n, self.embedding_dim)
        self.fc2 = nn.Linear(self.embedding_dim, 2)
        if weights != start:
            load_released(self, weights, variant)

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The weights, unless they are random."""
        weights = arguments["weights"]
        if weights == "pretrained":
            return [timm_requirement(arguments[name]["name"]) for name in ("convnext", "swin")]
        return [] if weights == "random" else [released_requirement(weights)]

    @property
    def autoencoder(self) -> Sequence[nn.Module]:
        return [self.encoder, self.decoder]

    @property
    def classifier(self) -> nn.Linear:  # type: ignore[override]
        """`fc2`, by the name that the released files have for it."""
        return self.fc2

    def pictures(self, images: Tensor) -> Tensor:
        return ((images * self._std + self._mean) / 255).clamp(0, 1)

    def redraw(self, pixels: Tensor) -> Redrawn:
        image = self.normalized(pixels)
        if not self.variational:
            return Redrawn(image, self.decoder(self.encoder(image)))
        mean, log_variance = self.encoder(image)
        noise = torch.randn_like(mean) if self.training else frame_noise(pixels, mean.shape[1])
        # The standard deviation is that of the mean: so the released weights were trained.
        latent = mean + (0.5 * mean).exp() * noise
        drawn = self.decoder(latent.unflatten(1, (-1, self.image_size // 32, self.image_size // 32)))
        return Redrawn(image, drawn, mean, log_variance)

    def embed(self, redrawn: Redrawn) -> Tensor:
        if self.variational:
            logits = [self.convnext_backbone(image) for image in (redrawn.image, redrawn.reconstruction)]
            return relu(self.fc(relu(torch.cat(logits, dim=1))))
        logits = [self.backbone(image) for image in (redrawn.reconstruction, redrawn.image)]
        return gelu(self.fc(gelu(torch.cat(logits, dim=1))))


def frame_noise(pixels: Tensor, size: int) -> Tensor:
    """Standard normal numbers [B, size] on their device for frames [B, 3, S, S] from 0 to 255, equal for equal ones.

    Their seed is the content in whole numbers, so that a frame has one score in whatever batch, split or list of files
    it stands, and where it was normalized before as well.
    """
    frames = pixels.round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    seeds = (int(digest_bytes(frame.tobytes()), 16) for frame in frames)
    rows = np.array([np.random.default_rng(seed).standard_normal(size, np.float32) for seed in seeds])
    return torch.from_numpy(rows).to(pixels.device)


class UnusedEmbedding(nn.Module):
    """Swin and a projection, which are in the released weights; `forward` of ConvNeXt does not ask them."""

    def __init__(self, swin: nn.Module, logits: int) -> None:
        super().__init__()
        self.backbone = swin
        self.proj = nn.Conv2d(logits, _PATCH_DIM, 1)


class VariationalEncoder(nn.Module):
    """Images [B, 3, S, S] to mean and log variance [B, 16·width·(S/32)²]."""

    def __init__(self, width: int, image_size: int) -> None:
        super().__init__()
        widths = [3, *(width * 2**level for level in range(4))]
        self.features = nn.Sequential(*(
            layer for before, after in pairwise(widths)
            for layer in (nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.LeakyReLU())
        ))  # fmt: skip
        flat = widths[-1] * (image_size // 16) ** 2
        latent = 2 * widths[-1] * (image_size // 32) ** 2
        self.fc1, self.fc2 = nn.Linear(flat, 16 * width), nn.Linear(16 * width, 8 * width)  # in the files; not used
        self.mu, self.var = nn.Linear(flat, latent), nn.Linear(flat, latent)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.features(image).flatten(1)
        return self.mu(hidden), self.var(hidden)


def plain_encoder(width: int) -> nn.Module:
    widths = [3, *(width * 2**level for level in range(5))]
    return _Features(
        layer for before, after in pairwise(widths)
        for layer in (nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    )  # fmt: skip


def plain_decoder(width: int) -> nn.Module:
    widths = [*(width * 2**level for level in reversed(range(5))), 3]
    return _Features(
        layer for before, after in pairwise(widths)
        for layer in (nn.ConvTranspose2d(before, after, 2, stride=2), nn.ReLU())
    )  # fmt: skip


def variational_decoder(width: int) -> nn.Module:
    widths = [16 * width, 4 * width, 2 * width, width, 3]
    return _Features(
        layer for before, after in pairwise(widths)
        for layer in (nn.ConvTranspose2d(before, after, 2, stride=2), nn.LeakyReLU())
    )  # fmt: skip


class _Features(nn.Module):
    """Layers in order, below the name that they have in the released files."""

    def __init__(self, layers: Any) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)
