"""The classifier of characters: an encoder of pictures with a linear layer."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from hallmark.checks import UserError, require, setting
from hallmark.learning.classification import ClassificationModule
from hallmark.learning.encoders.base import Encoder, ImageEncoder
from hallmark.learning.encoders.stored import restored_part, stored_part
from hallmark.learning.encoders.timm_image import TimmImageEncoder
from hallmark.learning.module import Batch
from hallmark.learning.optim import Optimizer

CLASSIFIER = "character_classifier"
"""The entry of a checkpoint that says what its encoder is, and whom it answers."""

_ENCODERS = {built.__name__: built for built in (TimmImageEncoder,)}
_PREFIX = "encoders.image."


class CharacterClassifier(ClassificationModule):
    """Logits [B, C] of characters from the input `image`, uint8 [B, 3, S, S], or from its embeddings.

    Args:
        encoder: builds that of pictures; a frozen one is read from the feature store.
        dropout: before the linear layer.
        norm_eval: of the encoder, of `Encoder`: for few pictures, whose batches have statistics of their own.
        classes, optimizer, freeze_epochs, label_smoothing, class_balance: of `ClassificationModule`.
    """

    def __init__(
        self, *, encoder: Callable[[], ImageEncoder], dropout: float, norm_eval: bool, classes: Sequence[str],
        optimizer: Optimizer, freeze_epochs: int, label_smoothing: float, class_balance: float,
    ) -> None:  # fmt: skip
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        with setting("encoder"):
            # Layers by depth, of which these networks are made, are up to twice as fast on a CPU with channels last.
            built = encoder().to(memory_format=torch.channels_last)
        built.norm_eval = norm_eval
        super().__init__(
            classes=classes, encoders={"image": built},
            head=nn.Sequential(nn.Dropout(dropout), nn.Linear(built.embedding_dim, len(classes))),
            optimizer=optimizer, freeze_epochs=freeze_epochs, label_smoothing=label_smoothing,
            class_balance=class_balance,
        )  # fmt: skip
        self._stored_encoder = stored_part(encoder)

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return dict(self.encoders.items())  # type: ignore[arg-type]

    @property
    def encoder(self) -> ImageEncoder:
        encoder = self.encoders["image"]
        assert isinstance(encoder, ImageEncoder)
        return encoder

    def embedding(self, batch: Batch) -> Tensor:
        """What the linear layer sees, [B, D]."""
        return self.encoded("image", batch)

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.embedding(batch))

    def pixels(self, image: Tensor) -> Tensor:
        """What the encoder sees of pictures [B, 3, H, W] in [0, 1] of any size, such as drawn ones."""
        side = self.encoder.image_size
        if image.shape[-2:] != (side, side):
            image = interpolate(image, (side, side), mode="bilinear", antialias=True)
        return 255 * image

    def features(self, image: Tensor) -> Tensor:
        """Embeddings [B, D] of pictures [B, 3, H, W] in [0, 1]."""
        return self.encoder(self.pixels(image))

    def logits(self, image: Tensor) -> Tensor:
        """Logits [B, C] of pictures [B, 3, H, W] in [0, 1]."""
        return self.head(self.features(image))

    def maps(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps [B, C_l, H_l, W_l] of the encoder's stages for pictures [B, 3, H, W] in [0, 1], and their logits."""
        maps, embedding = self.encoder.maps(self.pixels(image))  # type: ignore[operator]
        return maps, self.head(embedding)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[CLASSIFIER] = {"encoder": self._stored_encoder, "classes": self.classes}


def encoder_of(saved: Any) -> ImageEncoder:
    """The encoder of a checkpoint of a `CharacterClassifier`, frozen.

    Raises:
        UserError: a checkpoint of something else, or one that does not hold what it says.
        MissingWeightsError: of a frozen encoder, whose published weights are not at hand.
    """
    try:
        stored = saved[CLASSIFIER]["encoder"]
        encoder = restored_part(stored, _ENCODERS)()
        if not encoder.frozen:
            state = saved["state_dict"]
            encoder.load_state_dict(
                {name.removeprefix(_PREFIX): tensor for name, tensor in state.items() if name.startswith(_PREFIX)}
            )
    except (AttributeError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"no checkpoint of a classifier of characters ({error})") from error
    encoder.freeze()
    assert isinstance(encoder, ImageEncoder)
    return encoder
