"""What all members of the cascade are: classifiers of frames, and the one that is an encoder with a linear layer."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import pandas as pd
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import Metric
from torchmetrics.classification import BinaryAUROC

from hallmark.checks import require, setting
from hallmark.data.module import DataModule
from hallmark.learning.classification import ClassificationModule
from hallmark.learning.encoders.base import Encoder, ImageEncoder
from hallmark.learning.encoders.stored import restored_part, stored_part
from hallmark.learning.encoders.timm_image import TimmImageEncoder
from hallmark.learning.module import Batch
from hallmark.learning.optim import Optimizer
from hallmark.runs.metrics import MAIN
from hallmark.statistics.resampling import Resampling
from hallmark.systems.deepfake.augment import Augment, FrameAugment
from hallmark.systems.deepfake.manifest import CLASSES
from hallmark.systems.deepfake.networks import FilterNet, TextureNet
from hallmark.systems.deepfake.pooling import check_pooling
from hallmark.systems.deepfake.tables import detection_table
from hallmark.systems.deepfake.verdict import pooled_answers

PARTS = ("stage1", "effnet")
"""What a `FrameClassifier` may be in the cascade."""

ENCODERS = {built.__name__: built for built in (TimmImageEncoder, FilterNet, TextureNet)}
"""What a stored `FrameClassifier` may be made of."""

FOR_PREDICTIONS: dict[str, Any] = {
    "classes": [*CLASSES], "pooling": "mean", "augment": "none", "optimizer": None, "label_smoothing": 0.0,
    "class_balance": 0.0,
}  # fmt: skip
"""Arguments of a restored member that decide nothing of what it predicts."""

MEMBER = "member"
"""The entry of a checkpoint that says what its weights are of."""


class FrameModule(ClassificationModule):
    """Base of the members: logits [B, 2] of real and fake from the input `image`, uint8 [B, 3, S, S].

    A checkpoint holds, as plain values, what builds the member again, what its pixels are, and what its score means.

    Args:
        encoder: reads the pixels; its `transform` makes them.
        head: what is no part of the encoder.
        arguments: of the constructor of the subclass, as plain values, which `restored` takes.
        augment: of the training rows, or `none`; the data module applies it.
        pooling: from frames to their video, of `pooling.pool`.
        common: the arguments of `ClassificationModule`.
    """

    def __init__(
        self, *, classes: Sequence[str], encoder: ImageEncoder, head: nn.Module, arguments: Mapping[str, Any],
        augment: FrameAugment | Augment, pooling: str, optimizer: Optimizer | None, freeze_epochs: int,
        label_smoothing: float, class_balance: float,
    ) -> None:  # fmt: skip
        require(tuple(classes) == CLASSES, "classes", list(classes), f"{list(CLASSES)}: the score is P(fake)")
        check_pooling("pooling", pooling)
        super().__init__(
            classes=classes, encoders={"image": encoder}, head=head, optimizer=optimizer, freeze_epochs=freeze_epochs,
            label_smoothing=label_smoothing, class_balance=class_balance,
        )  # fmt: skip
        self.augment, self.pooling, self._arguments = augment, pooling, dict(arguments)
        self.val_auroc = BinaryAUROC()

    @classmethod
    @abstractmethod
    def restored(cls, arguments: Mapping[str, Any]) -> Self:
        """A member of the stored arguments without weights, for predictions alone."""

    @property
    @abstractmethod
    def member_names(self) -> Sequence[str]:
        """What a user may call it."""

    @abstractmethod
    def embedding(self, batch: Batch) -> Tensor:
        """What the last layer sees, [B, D]."""

    @property
    def encoder(self) -> ImageEncoder:
        encoder = self.encoders["image"]
        assert isinstance(encoder, ImageEncoder)
        return encoder

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"image": self.encoder}

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        return {**super().validation_metrics, "val/auroc": self.val_auroc}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.measure(self(batch), batch["target"])

    def measure(self, logits: Tensor, target: Tensor) -> None:
        """Take validation rows into the metrics, and log these."""
        self.val_loss.update(cross_entropy(logits, target), len(target))
        self.val_accuracy.update(logits, target)
        self.val_macro_f1.update(logits, target)
        self.val_auroc.update(probabilities_of(logits)[:, 1], target)
        self.log_dict(self.validation_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """`probabilities` {main: float64 [B, 2]}, of which log-odds of sure frames can still be computed."""
        return {"index": batch["index"], "probabilities": {MAIN: probabilities_of(self(batch))}}

    def table(self, outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
        """A row a frame, and a row a video."""
        return detection_table(outputs, data, split, self.pooling)

    def answers(self, table: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
        """The videos, each with an interval of P(fake) over its frames."""
        return pooled_answers(table, self.pooling, resampling)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[MEMBER] = {
            "class": type(self).__name__, "arguments": self._arguments, "preprocessing": self.encoder.preprocessing,
            "class_to_idx": {name: number for number, name in enumerate(self.classes)}, "score": "P(fake)",
        }  # fmt: skip


class FrameClassifier(FrameModule):
    """An encoder with a linear layer, such as MobileNetV4 as the filter and EfficientNetV2 as an expert.

    Args:
        member: what it is in the cascade, of `PARTS`; a checkpoint is known by it.
        encoder: builds the encoder; `TimmImageEncoder` takes any classifier of timm.
        dropout: before the linear layer.
        classes, augment, pooling, optimizer, freeze_epochs, label_smoothing, class_balance: of `FrameModule`.
    """

    def __init__(
        self, *, member: str, encoder: Callable[[], ImageEncoder], dropout: float, classes: Sequence[str],
        augment: FrameAugment | Augment, pooling: str, optimizer: Optimizer | None, freeze_epochs: int,
        label_smoothing: float, class_balance: float,
    ) -> None:  # fmt: skip
        require(member in PARTS, "member", member, f"{' or '.join(PARTS)}, by which a checkpoint is known")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        with setting("encoder"):
            built = encoder()
        head = nn.Sequential(nn.Dropout(dropout), nn.Linear(built.embedding_dim, len(classes)))
        super().__init__(
            classes=classes, encoder=built, head=head,
            arguments={"member": member, "encoder": stored_part(encoder)}, augment=augment, pooling=pooling,
            optimizer=optimizer, freeze_epochs=freeze_epochs, label_smoothing=label_smoothing,
            class_balance=class_balance,
        )  # fmt: skip

    @classmethod
    def restored(cls, arguments: Mapping[str, Any]) -> Self:
        encoder = restored_part(arguments["encoder"], ENCODERS)
        return cls(member=str(arguments["member"]), encoder=encoder, dropout=0.0, freeze_epochs=0, **FOR_PREDICTIONS)

    @property
    def member_names(self) -> Sequence[str]:
        member, name = self._arguments["member"], str(self._arguments["encoder"].get("name", ""))
        of_timm = [name, name.partition(".")[0], name.removeprefix("tf_")] if name else []
        return list(dict.fromkeys([member, f"stage2_{member}", *of_timm]))

    def embedding(self, batch: Batch) -> Tensor:
        return self.encoded("image", batch)

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.embedding(batch))


def probabilities_of(logits: Tensor) -> Tensor:
    """P(real), P(fake) in float64 [B, 2], of which the log-odds of frames that the model is sure of can be computed."""
    return logits.double().softmax(dim=1)
