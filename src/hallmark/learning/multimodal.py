"""The classifier of several modalities: an encoder of each under a fusion head."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from hallmark.checks import setting
from hallmark.learning.classification import ClassificationModule
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.heads import Embeddings, Head
from hallmark.learning.module import Batch
from hallmark.learning.optim import Optimizer


class MultimodalClassifier(ClassificationModule):
    """Encoders by modality (one is enough) and a head on their embeddings.

    Args:
        head: builds the head from the embedding widths and the number of classes.
        common: the arguments of `ClassificationModule`.
    """

    def __init__(
        self, *, encoders: Mapping[str, Encoder], head: Callable[..., Head], classes: Sequence[str],
        optimizer: Optimizer, freeze_epochs: int, label_smoothing: float, class_balance: float,
    ) -> None:  # fmt: skip
        dims = {name: encoder.embedding_dim for name, encoder in encoders.items()}
        with setting("head"):
            built = head(dims, len(classes))
        super().__init__(
            classes=classes, encoders=encoders, head=built, optimizer=optimizer,
            freeze_epochs=freeze_epochs, label_smoothing=label_smoothing, class_balance=class_balance,
        )  # fmt: skip

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return dict(self.encoders.items())  # type: ignore[arg-type]

    def embeddings(self, batch: Batch) -> Embeddings:
        """{modality: [B, D]}"""
        return {name: self.encoded(name, batch) for name in self.encoders}

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.embeddings(batch))

    def loss(self, batch: Batch) -> Tensor:
        return self.head.loss(self.embeddings(batch), batch["target"], self.criterion)  # type: ignore[operator]
