"""The joint model of body signals and touch: classification tasks and masked reconstruction on one network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool1d
from torchmetrics import MeanMetric, Metric

from hallmark.checks import require, setting
from hallmark.learning.balancing.base import Balancer
from hallmark.learning.classification import check_criterion, class_weights
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.module import Batch
from hallmark.learning.multiterm import MultiTermModule
from hallmark.learning.optim import Optimizer
from hallmark.learning.tasks import TaskLoss, TaskMetrics
from hallmark.storage.seeds import fold_in
from hallmark.systems.touch.networks import Decoder, FrameEncoder, JointHead, SignalEncoder

RECONSTRUCTION = "reconstruction"
_MASK_SEED = 30


class JointModule(MultiTermModule):
    """One network for all loss terms; only the tasks among `terms` are trained, measured and predicted.

    Batches are those of `WindowDataModule`. In training all terms share one pass, in which the spans to reconstruct
    are hidden; predictions see everything.

    Args:
        channels: names of the signals; classes: class names by task.
        terms: tasks, of which at least one, and `reconstruction`.
        signal_encoder: builds it from the number of channels; frame_encoder: None leaves frames out.
        width, dropout: of the joint embedding.
        mask_share: share of the signals that is hidden; mask_length: of a hidden span, in samples.
        label_smoothing: ε of Szegedy et al. 2016; class_balance: exponent of `class_weights`.
        balance, optimizer, freeze_epochs: of `MultiTermModule`.
    """

    def __init__(
        self, *, channels: Sequence[str], classes: Mapping[str, Sequence[str]], terms: Sequence[str],
        balance: Callable[[Sequence[str]], Balancer], signal_encoder: Callable[[int], SignalEncoder],
        frame_encoder: Callable[[], FrameEncoder] | None, width: int, dropout: float, mask_share: float,
        mask_length: int, label_smoothing: float, class_balance: float, optimizer: Optimizer, freeze_epochs: int,
    ) -> None:  # fmt: skip
        known = [*classes, RECONSTRUCTION]
        right = set(terms) <= set(known) and not set(terms) <= {RECONSTRUCTION}
        require(right, "terms", list(terms), f"some of {', '.join(known)}, and a task to predict among them")
        require(0 < mask_share < 1, "mask_share", mask_share, "a share of the signals in (0, 1)")
        require(mask_length >= 1, "mask_length", mask_length, "at least one sample")
        check_criterion(label_smoothing, class_balance)
        sizes = {task: len(names) for task, names in classes.items() if task in terms}
        with setting("signal_encoder"):
            signals = signal_encoder(len(channels))
        encoders: dict[str, Encoder] = {"signals": signals}
        if frame_encoder is not None:
            with setting("frame_encoder"):
                encoders["frames"] = frame_encoder()
        dims = {name: encoder.embedding_dim for name, encoder in encoders.items()}
        decoder = Decoder(signals.width, len(channels), signals.stride) if RECONSTRUCTION in terms else None
        head = JointHead(dims, sizes, width=width, dropout=dropout, decoder=decoder)
        super().__init__(
            terms=terms, balance=balance, encoders=encoders, head=head, optimizer=optimizer, freeze_epochs=freeze_epochs
        )
        self.class_balance, self.mask_share, self.mask_length = class_balance, mask_share, mask_length
        self.criteria = nn.ModuleDict({task: TaskLoss(size, label_smoothing) for task, size in sizes.items()})
        self.val = TaskMetrics(sizes)
        self.val_reconstruction = MeanMetric()

    @property
    def tasks(self) -> list[str]:
        return list(self.criteria)

    @property
    def reconstructs(self) -> bool:
        return RECONSTRUCTION in self.terms

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return dict(self.encoders.items())  # type: ignore[arg-type]

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        metrics: dict[str, Metric] = dict(self.val.by_name())
        return {**metrics, f"val/{RECONSTRUCTION}": self.val_reconstruction} if self.reconstructs else metrics

    def setup(self, stage: str) -> None:
        if stage == "fit":
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            for task in self.tasks:
                weights = class_weights(data.class_counts(task), self.class_balance)
                self.criteria[task].class_weights = weights.to(self.device)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Logits {task: [B, C]}."""
        return self._outputs(batch, batch["observed"])[0]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        observed = batch["observed"]
        hidden = self._spans(torch.rand(self._draws(observed), device=observed.device)) if self.reconstructs else None
        visible = observed if hidden is None else observed * ~hidden
        # One pass for all terms: the tasks are trained on what is visible, as by dropout of signals.
        logits, sequence = self._outputs(batch, visible)
        losses = {task: self.criteria[task](logits[task], batch["target"][task]) for task in self.tasks}
        if hidden is not None:
            losses[RECONSTRUCTION] = self._reconstruction(sequence, batch, hidden)[0]
        return losses

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        for task, logits in self(batch).items():
            self.val.count(task, logits, batch["target"][task])
        if self.reconstructs:
            hidden = self._fixed_spans(batch)
            _, sequence = self._outputs(batch, batch["observed"] * ~hidden)
            self.val_reconstruction.update(*self._reconstruction(sequence, batch, hidden))
        self.log_dict(self.validation_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        probabilities = {task: logits.float().softmax(dim=1) for task, logits in self(batch).items()}
        return {"index": batch["index"], "probabilities": probabilities}

    def _outputs(self, batch: Batch, observed: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Logits {task: [B, C]} and the signals' sequence [B, L, W], from what is `observed` [B, C, T]."""
        signals = self.encoders["signals"]
        assert isinstance(signals, SignalEncoder)
        x = torch.cat([batch["signals"] * observed, observed], dim=1)
        sequence = signals.sequence(x)
        embeddings = {"signals": signals.embedding(x, sequence)}
        present = {"signals": observed.flatten(1).amax(dim=1)}
        if "frames" in self.encoders:
            embeddings["frames"] = self.encoders["frames"](batch["frames"])
            present["frames"] = batch["has_frames"]
        return self.head(embeddings, present), sequence

    def _reconstruction(self, sequence: Tensor, batch: Batch, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean squared error of what was observed and then hidden, and how many samples that are."""
        signals = batch["signals"]
        scored = batch["observed"] * hidden
        decoded = self.head.decoder(sequence, signals.shape[2])  # type: ignore[operator]
        size = scored.sum()
        return ((decoded - signals) ** 2 * scored).sum() / size.clamp(min=1), size

    def _draws(self, observed: Tensor) -> tuple[int, ...]:
        # More draws than samples, for the spans that start before the window.
        return (*observed.shape[:-1], observed.shape[-1] + self.mask_length - 1)

    def _spans(self, uniform: Tensor) -> Tensor:
        """Hidden samples, bool [..., T], from draws in [0, 1) of the shape `_draws`.

        Each channel has its own spans (Zerveas et al. 2021), each of which starts at any sample, also before the
        window, with one probability and may overlap others (Baevski et al. 2020): every sample is hidden with the
        probability `mask_share`.
        """
        start = 1 - (1 - self.mask_share) ** (1 / self.mask_length)
        return max_pool1d((uniform < start).float(), self.mask_length, stride=1) > 0

    def _fixed_spans(self, batch: Batch) -> Tensor:
        """As `_spans`, of each row by its place in the split alone: the same at every epoch, for any batch size."""
        observed, generator = batch["observed"], torch.Generator()
        rows = []
        for index in batch["index"].tolist():
            generator.manual_seed(fold_in(_MASK_SEED, index))
            rows.append(torch.rand(self._draws(observed[0]), generator=generator))
        return self._spans(torch.stack(rows)).to(observed.device)
