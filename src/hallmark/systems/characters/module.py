"""The classifier of characters: an encoder of pictures with a linear layer."""

from collections.abc import Sequence

from torch import Tensor, nn

from hallmark.checks import require
from hallmark.learning.classification import ClassificationModule
from hallmark.learning.encoders.base import Encoder, ImageEncoder
from hallmark.learning.module import Batch
from hallmark.learning.optim import Optimizer


class CharacterClassifier(ClassificationModule):
    """Logits [B, C] of characters from the input `image`, uint8 [B, 3, S, S], or from its embeddings.

    Args:
        encoder: of pictures; a frozen one is read from the feature store.
        dropout: before the linear layer.
        classes, optimizer, freeze_epochs, label_smoothing, class_balance: of `ClassificationModule`.
    """

    def __init__(
        self, *, encoder: ImageEncoder, dropout: float, classes: Sequence[str], optimizer: Optimizer,
        freeze_epochs: int, label_smoothing: float, class_balance: float,
    ) -> None:  # fmt: skip
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        super().__init__(
            classes=classes, encoders={"image": encoder},
            head=nn.Sequential(nn.Dropout(dropout), nn.Linear(encoder.embedding_dim, len(classes))),
            optimizer=optimizer, freeze_epochs=freeze_epochs, label_smoothing=label_smoothing,
            class_balance=class_balance,
        )  # fmt: skip

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return dict(self.encoders.items())  # type: ignore[arg-type]

    def embedding(self, batch: Batch) -> Tensor:
        """What the linear layer sees, [B, D]."""
        return self.encoded("image", batch)

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.embedding(batch))
