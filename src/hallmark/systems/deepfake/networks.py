"""Small networks that take the places of published ones on generated data."""

from torch import Tensor, cat, nn
from torch.nn.functional import avg_pool2d

from hallmark.checks import require
from hallmark.learning.encoders.base import ImageEncoder

_HALF = (0.5, 0.5, 0.5)


class FilterNet(ImageEncoder):
    """A few convolutions on a small picture, for a filter that is cheap: [B, 3, S, S] → [B, 32 · width / 12].

    Args:
        image_size: S in pixels.
        width: channels of the first convolution; a multiple of 3.
    """

    def __init__(self, *, image_size: int, width: int) -> None:
        require(image_size >= 16, "image_size", image_size, "at least 16 pixels")
        require(width >= 3 and width % 3 == 0, "width", width, "a multiple of 3")
        super().__init__(image_size=image_size, mean=_HALF, std=_HALF)
        self.embedding_dim = 8 * width // 3
        self.layers = nn.Sequential(
            _block(3, width, stride=2), _block(width, 2 * width), _block(2 * width, self.embedding_dim, stride=2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Tensor:
        return self.layers(self.normalized(pixels))


class TextureNet(ImageEncoder):
    """Convolutions on a picture and on what is left of it beside its local mean, which is where
    forgeries leave traces (Fridrich & Kodovský 2012): [B, 3, S, S] → [B, 3 · width].

    Args:
        image_size: S in pixels.
        width: channels of the first convolution.
    """

    def __init__(self, *, image_size: int, width: int) -> None:
        require(image_size >= 16, "image_size", image_size, "at least 16 pixels")
        require(width >= 2 and width % 2 == 0, "width", width, "an even number")
        super().__init__(image_size=image_size, mean=_HALF, std=_HALF)
        self.embedding_dim = 3 * width
        self.layers = nn.Sequential(
            _block(6, width, stride=2), _block(width, 3 * width // 2), _block(3 * width // 2, 2 * width, stride=2),
            _block(2 * width, self.embedding_dim), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Tensor:
        image = self.normalized(pixels)
        residual = image - avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)
        return self.layers(cat([image, 4 * residual], dim=1))


def _block(channels: int, width: int, *, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())
