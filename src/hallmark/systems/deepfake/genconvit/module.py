"""GenConViT as a member of the cascade: three losses, trained in stages."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from lightning import Trainer
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from hallmark.checks import require, setting
from hallmark.learning.callbacks.pictures import tiled
from hallmark.learning.encoders.stored import restored_part, stored_part
from hallmark.learning.module import Batch
from hallmark.learning.optim import Optimizer
from hallmark.systems.deepfake.augment import Augment, FrameAugment
from hallmark.systems.deepfake.genconvit.described import DescribedNetwork
from hallmark.systems.deepfake.genconvit.memory import step_bytes
from hallmark.systems.deepfake.genconvit.network import GenConViTNetwork, Redrawn
from hallmark.systems.deepfake.genconvit.published import PublishedNetwork
from hallmark.systems.deepfake.module import FOR_PREDICTIONS, FrameModule

log = logging.getLogger(__name__)

AUTOENCODER, HEADS, JOINT = "autoencoder", "heads", "joint"
NETWORKS = {built.__name__: built for built in (DescribedNetwork, PublishedNetwork)}
_PICTURED = 8  # frames in the pictures of an epoch


class GenConViT(FrameModule):
    """Cross-entropy + mse_weight · reconstruction error + kl_weight · KL divergence, in stages of epochs.

    First the autoencoder alone learns to draw frames, then everything but the autoencoder learns to tell them apart by
    what it draws, then all parts are trained together. A stage is a function of the epoch, so that a resumed fit is in
    the stage that it was stopped in.

    Args:
        variant: `ed` or `vae`.
        network: builds it from the variant, `DescribedNetwork` or `PublishedNetwork`.
        stages: epochs of `autoencoder` and of `heads`; the others are joint.
        mse_weight: of the mean squared error of pixels; kl_weight: of the divergence of the latent numbers from the
            standard normal distribution, summed over them and divided by the number of pixel values. So both are of
            one scale, and their sum is the evidence bound for noise of variance kl_weight / (2 · mse_weight).
        classes, augment, pooling, optimizer, label_smoothing, class_balance: of `FrameModule`.
    """

    def __init__(
        self, *, variant: str, network: Callable[[str], GenConViTNetwork], stages: Mapping[str, int],
        mse_weight: float, kl_weight: float, classes: Sequence[str], augment: FrameAugment | Augment,
        pooling: str, optimizer: Optimizer | None, label_smoothing: float, class_balance: float,
    ) -> None:  # fmt: skip
        require(variant in ("ed", "vae"), "variant", variant, "ed or vae")
        require(set(stages) == {AUTOENCODER, HEADS}, "stages", dict(stages), f"epochs of {AUTOENCODER} and {HEADS}")
        for stage, epochs in stages.items():
            require(epochs >= 0, f"stages.{stage}", epochs, "a number of epochs from 0")
        require(mse_weight >= 0, "mse_weight", mse_weight, "at least 0")
        require(kl_weight >= 0, "kl_weight", kl_weight, "at least 0")
        with setting("network"):
            built = network(variant)
        trains = stages[AUTOENCODER] == 0 or (len(built.autoencoder) > 0 and mse_weight > 0)
        expected = "0, because nothing is reconstructed"
        require(trains, f"stages.{AUTOENCODER}", stages[AUTOENCODER], expected)
        super().__init__(
            classes=classes, encoder=built, head=nn.Identity(),
            arguments={"variant": variant, "network": stored_part(network)}, augment=augment, pooling=pooling,
            optimizer=optimizer, freeze_epochs=0, label_smoothing=label_smoothing, class_balance=class_balance,
        )  # fmt: skip
        self.stages, self.mse_weight, self.kl_weight = dict(stages), mse_weight, kl_weight
        self.val_reconstruction = MeanMetric()
        self._pictured = torch.empty(0)

    @classmethod
    def restored(cls, arguments: Mapping[str, Any]) -> Self:
        network = restored_part(arguments["network"], NETWORKS)
        unused: dict[str, Any] = {"stages": {AUTOENCODER: 0, HEADS: 0}, "mse_weight": 0.0, "kl_weight": 0.0}
        return cls(variant=arguments["variant"], network=network, **unused, **FOR_PREDICTIONS)

    @property
    def network(self) -> GenConViTNetwork:
        network = self.encoder
        assert isinstance(network, GenConViTNetwork)
        return network

    @property
    def member_names(self) -> Sequence[str]:
        name = f"genconvit_{self._arguments['variant']}"
        return [name, f"stage2_{name}", "stage2_genconvit"]

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        metrics = super().validation_metrics
        return {**metrics, "val/reconstruction": self.val_reconstruction} if self.network.autoencoder else metrics

    def stage(self, epoch: int) -> str:
        """What is trained in `epoch`."""
        if epoch < self.stages[AUTOENCODER]:
            return AUTOENCODER
        return HEADS if epoch < sum(self.stages.values()) else JOINT

    def check_trainer(self, trainer: Trainer) -> None:
        staged, epochs = sum(self.stages.values()), trainer.max_epochs
        tried = trainer.limit_train_batches != 1.0  # a few batches, as of debug=fast, to see that it runs at all
        if staged and not tried and epochs is not None and epochs >= 0:
            expected = f"fewer epochs in all than the {epochs} of trainer.max_epochs, so that one is joint"
            require(staged < epochs, "model.stages", self.stages, expected)

    def redraw(self, batch: Batch) -> Redrawn:
        return self.network.redraw(batch["image"])

    def embedding(self, batch: Batch) -> Tensor:
        return self.network.embed(self.redraw(batch))

    def forward(self, batch: Batch) -> Tensor:
        return self.network.classifier(self.embedding(batch))

    def loss(self, batch: Batch) -> Tensor:
        redrawn, stage = self.redraw(batch), self.stage(self.current_epoch)
        loss = redrawn.image.new_zeros(())
        if stage != AUTOENCODER:
            logits = self.network.classifier(self.network.embed(redrawn))
            loss = loss + self.criterion(logits, batch["target"])
        if stage != HEADS and self.mse_weight > 0 and redrawn.reconstruction is not None:
            loss = loss + self.mse_weight * redrawn.error()
        if stage != HEADS and self.kl_weight > 0 and redrawn.log_variance is not None:
            loss = loss + self.kl_weight * redrawn.divergence()
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        redrawn = self.redraw(batch)
        if redrawn.reconstruction is not None:
            self.val_reconstruction.update(redrawn.error(), len(redrawn.image))
            if batch_idx == 0:
                self._pictured = _sheet(self.network, redrawn)
        self.measure(self.network.classifier(self.network.embed(redrawn)), batch["target"])

    def epoch_figures(self, epoch: int) -> Mapping[str, Any]:
        """Some validation frames, and below each its reconstruction."""
        return {"reconstruction": tiled(self._pictured, len(self._pictured) // 2)} if len(self._pictured) else {}

    def on_fit_start(self) -> None:
        rows, size = self.trainer.datamodule.batch_size, self.network.image_size  # type: ignore[attr-defined]
        fixed, activations = step_bytes(self.network, (torch.zeros(1, 3, size, size, dtype=torch.uint8),), rows)
        log.warning(
            "memory of a step of %d frames: about %.2g GB, of which activations %.2g GB, the rest weights and Adam",
            rows, (fixed + activations) / 1e9, activations / 1e9,
        )  # fmt: skip

    def on_train_start(self) -> None:
        super().on_train_start()
        self._enter_stage()

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self._enter_stage()

    def _enter_stage(self) -> None:
        """Freeze what the stage of this epoch does not train, batch statistics and dropout with it."""
        stage = self.stage(self.current_epoch)
        drawing = {id(part) for module in self.network.autoencoder for part in module.modules()}
        for part in self.network.modules():
            trained = stage == JOINT or (stage == AUTOENCODER) == (id(part) in drawing)
            part.training = trained
            for parameter in part.parameters(recurse=False):
                parameter.requires_grad_(trained)


def _sheet(network: GenConViTNetwork, redrawn: Redrawn) -> Tensor:
    """Frames from all over a batch, then their reconstructions, [2 · N, 3, S, S] in [0, 1]."""
    rows = torch.linspace(0, len(redrawn.image) - 1, min(_PICTURED, len(redrawn.image))).long()
    return network.pictures(torch.cat([redrawn.image[rows], redrawn.enlarged()[rows]])).detach()
