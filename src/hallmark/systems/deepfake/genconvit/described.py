"""The network that the paper describes: feature maps of ConvNeXt and Swin, of a frame and of its reconstruction."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hallmark.checks import require, setting
from hallmark.learning.encoders.libraries import timm
from hallmark.storage.requirements import Requirement
from hallmark.systems.deepfake.genconvit.autoencoder import Autoencoder
from hallmark.systems.deepfake.genconvit.network import GenConViTNetwork, Redrawn, created, timm_requirement

_NAMES = ("convnext", "swin")


class DescribedNetwork(GenConViTNetwork):
    """Stage by stage the maps of both networks, of frame and reconstruction, are joined where they lie.

    At each of the four strides a 1×1 convolution sees all maps of a place at a time, and so what differs between frame
    and reconstruction; its output is averaged over places. A linear layer joins the stages into the embedding.

    Args:
        variant: `ed` or `vae`.
        image_size: S, divisible by 32.
        convnext: `name` of a model of timm and `options` for `timm.create_model`; None leaves it out. `swin` likewise.
        weights: of both, `pretrained` or `random`.
        reconstruction: whether there is an autoencoder; without one the frame is all that is seen.
        width: channels of the autoencoder's first convolution; latent: of its latent maps.
        joined: channels of a stage after it was joined; embedding_dim: D.
        dropout: before the embedding and before the last layer.
    """

    def __init__(
        self, variant: str, *, image_size: int, convnext: Mapping[str, Any] | None, swin: Mapping[str, Any] | None,
        weights: str, reconstruction: bool, width: int, latent: int, joined: int, embedding_dim: int, dropout: float,
    ) -> None:  # fmt: skip
        stride = Autoencoder.STRIDE
        require(image_size % stride == 0, "image_size", image_size, f"pixels that {stride} divides")
        require(weights in ("pretrained", "random"), "weights", weights, "pretrained or random")
        require(convnext is not None or swin is not None, "swin", None, "one network or both; convnext is null as well")
        for name, value in {"width": width, "latent": latent, "joined": joined, "embedding_dim": embedding_dim}.items():
            require(value >= 1, name, value, "at least 1")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        networks = []
        for name, node in zip(_NAMES, (convnext, swin), strict=True):
            if node is not None:
                with setting(name):
                    sized = {"img_size": image_size} if name == "swin" else {}
                    networks.append(Backbone(node["name"], weights, {**sized, **node.get("options", {})}))
        # Each network normalizes for itself; an encoder says one of them.
        config = networks[0].config
        super().__init__(image_size=image_size, mean=config["mean"], std=config["std"])
        self.embedding_dim = embedding_dim
        self.networks = nn.ModuleList(networks)
        self.drawing = Autoencoder(width, latent, variational=variant == "vae") if reconstruction else None
        views = 2 if reconstruction else 1
        stages = zip(*(network.channels for network in networks), strict=True)
        self.joins = nn.ModuleList(_join(views * sum(channels), joined) for channels in stages)
        self.embed_stages = nn.Sequential(
            nn.LayerNorm(len(self.joins) * joined), nn.Dropout(dropout),
            nn.Linear(len(self.joins) * joined, embedding_dim), nn.GELU(), nn.Dropout(dropout),
        )  # fmt: skip
        self.classifier = nn.Linear(embedding_dim, 2)

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The weights of both networks, unless they are random."""
        nodes = [arguments[name] for name in _NAMES if arguments[name] is not None]
        return [timm_requirement(node["name"]) for node in nodes] if arguments["weights"] == "pretrained" else []

    @property
    def autoencoder(self) -> Sequence[nn.Module]:
        return [] if self.drawing is None else [self.drawing]

    def pictures(self, images: Tensor) -> Tensor:
        return images

    def redraw(self, pixels: Tensor) -> Redrawn:
        image = pixels.to(self._mean.dtype) / 255
        if self.drawing is None:
            return Redrawn(image)
        reconstruction, mean, log_variance = self.drawing(image)
        return Redrawn(image, reconstruction, None if log_variance is None else mean, log_variance)

    def embed(self, redrawn: Redrawn) -> Tensor:
        views = [redrawn.image] if redrawn.reconstruction is None else [redrawn.image, redrawn.reconstruction]
        # Frame and reconstruction go through a network as one batch, which is faster than twice.
        together = torch.cat(views)
        maps = [[torch.cat(stage.chunk(len(views)), dim=1) for stage in network(together)] for network in self.networks]
        joined = [join(torch.cat(stage, dim=1)) for join, *stage in zip(self.joins, *maps, strict=True)]
        return self.embed_stages(torch.cat(joined, dim=1))


class Backbone(nn.Module):
    """Feature maps of a model of timm at its four stages, for images in [0, 1].

    Attributes:
        channels: of each stage.
        config: its mean and std, among others.
    """

    def __init__(self, name: str, weights: str, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = created(name, weights, options, features_only=True)
        self.channels = self.model.feature_info.channels()
        self.config = timm.data.resolve_data_config(self.model.pretrained_cfg)
        self.mean: Tensor
        self.std: Tensor
        for key in ("mean", "std"):
            self.register_buffer(key, torch.tensor(self.config[key]).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """NCHW, one a stage."""
        maps = self.model((image - self.mean) / self.std)
        if self.model.output_fmt == "NHWC":  # of Swin
            maps = [stage.permute(0, 3, 1, 2) for stage in maps]
        return list(maps)


def _join(before: int, after: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 1), nn.BatchNorm2d(after), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
