"""The classifier of digits: two convolutions and a linear layer."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from hallmark.checks import require
from hallmark.learning.classification import ClassificationModule
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.module import Batch
from hallmark.learning.optim import Optimizer


class DigitsClassifier(ClassificationModule):
    """Logits of digits from their pixels.

    Args:
        classes: the digits in the order of the logits.
        width: channels of the first convolution; the second has twice as many.
        dropout: before the last layer.
        optimizer: recipe.
    """

    def __init__(self, *, classes: Sequence[str], width: int, dropout: float, optimizer: Optimizer) -> None:
        require(width >= 1, "width", width, "at least 1")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1, stride=2), nn.ReLU(),
            nn.Flatten(), nn.Linear(2 * width * 16, 4 * width), nn.ReLU(),
        )  # fmt: skip
        logits = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * width, len(classes)))
        super().__init__(
            classes=classes, encoders={}, head=nn.Sequential(OrderedDict(features=features, logits=logits)),
            optimizer=optimizer, freeze_epochs=0, label_smoothing=0.0, class_balance=0.0,
        )  # fmt: skip

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"image": None}

    def features(self, image: Tensor) -> Tensor:
        """What the last layer sees of images [B, 1, 8, 8] in [0, 1]: [B, 4 · width]."""
        return self.head.features(image)  # type: ignore[operator]

    def forward(self, batch: Batch) -> Tensor:
        return self.head(batch["image"])
