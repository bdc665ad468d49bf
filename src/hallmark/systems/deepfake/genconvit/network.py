"""What a network of GenConViT gives the module that trains it."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate, mse_loss

from hallmark.learning.encoders.base import ImageEncoder
from hallmark.learning.encoders.libraries import timm
from hallmark.learning.encoders.timm_image import TimmImageEncoder, checked_options, known_model
from hallmark.learning.encoders.weights import published
from hallmark.storage.requirements import Requirement


@dataclass(frozen=True)
class Redrawn:
    """Frames and what the autoencoder makes of them.

    Attributes:
        image: [B, 3, S, S], as it is to be drawn again.
        reconstruction: [B, 3, S, S], or smaller; None without an autoencoder.
        mean, log_variance: of the latent numbers, of one shape [B, …]; None for an autoencoder that is not variational.
    """

    image: Tensor
    reconstruction: Tensor | None = None
    mean: Tensor | None = None
    log_variance: Tensor | None = None

    def enlarged(self) -> Tensor:
        """The reconstruction in the size of the frames."""
        assert self.reconstruction is not None
        size = self.image.shape[-2:]
        if self.reconstruction.shape[-2:] == size:
            return self.reconstruction
        return interpolate(self.reconstruction, size, mode="bilinear", align_corners=False)

    def error(self) -> Tensor:
        """Mean squared error of the pixel values."""
        return mse_loss(self.enlarged(), self.image)

    def divergence(self) -> Tensor:
        """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) of a frame (Kingma & Welling 2014, appendix B), by pixel values."""
        assert self.mean is not None and self.log_variance is not None
        mean, log_variance = self.mean.flatten(1), self.log_variance.flatten(1)
        total = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
        return total.mean() / self.image[0].numel()


class GenConViTNetwork(ImageEncoder):
    """Base of the networks: frames uint8 [B, 3, S, S] to embeddings, by way of a reconstruction.

    Attributes:
        classifier: the last layer, from embeddings to logits [B, 2].
    """

    classifier: nn.Linear

    @abstractmethod
    def redraw(self, pixels: Tensor) -> Redrawn:
        """Frames uint8 [B, 3, S, S]; in evaluation mode each is a function of its pixels, whatever is beside it."""

    @abstractmethod
    def embed(self, redrawn: Redrawn) -> Tensor:
        """What the last layer sees, [B, D]."""

    @property
    @abstractmethod
    def autoencoder(self) -> Sequence[nn.Module]:
        """The modules that draw the reconstruction; none without one."""

    @abstractmethod
    def pictures(self, images: Tensor) -> Tensor:
        """Images as `Redrawn` has them, in [0, 1]."""

    def forward(self, pixels: Tensor) -> Tensor:
        return self.embed(self.redraw(pixels))


def created(name: str, weights: str, options: Mapping[str, Any], **arguments: Any) -> Any:
    """A model of timm; `weights` are `pretrained` or `random`.

    Raises:
        SettingError: no such model, or options that name files.
    """
    known, settings = known_model(name), checked_options(options)
    with published(f"timm model {known}"):
        return timm.create_model(known, pretrained=weights == "pretrained", **settings, **arguments)


def timm_requirement(name: str) -> Requirement:
    """timm's published weights of `name`, for `hallmark doctor`."""
    arguments = {"name": name, "weights": "pretrained"}
    return TimmImageEncoder.requirements(arguments)[0]
