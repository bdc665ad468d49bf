"""Trains `DualNetwork`: regions of an image, and which of them each expression means."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric, Metric

from hallmark.checks import require
from hallmark.data.masks import empty, measured, rle_text
from hallmark.data.module import DataModule
from hallmark.learning.callbacks.finite import require_finite
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.module import Batch, TrainableModule
from hallmark.learning.optim import Optimizer
from hallmark.learning.tables import carried_columns
from hallmark.runs.metrics import MAIN
from hallmark.systems.refseg.ranker.dual import DualNetwork, word_dropout
from hallmark.systems.refseg.training.data import NAMES
from hallmark.systems.refseg.training.regions import NAMELESS, RegionDataModule

PARTS = ("crop", "alpha", "geometry", "context")
"""What a region is shown by, each with all before it."""

_USABLE = 0.3  # IoU of the best candidate below which there is nothing to learn from an expression
_CLOSE = 0.5  # share of the best candidate's IoU below which another one is wrong
_LAST = 0.1  # what is left of the weight of the naming loss at the end
_ABSENT = -1e4  # logit of a slot without a region


class EncoderModule(TrainableModule):
    """`DualNetwork` on batches of `RegionDataModule`.

    The loss is the cross-entropy of an expression's logits over the candidates of its image, which are its regions
    and none of them; and, less and less, that of the name (size, colour and shape) which a linear layer reads from
    each region by itself. Names make the network see objects early. They are not asked of the embeddings, where they
    would take the place of what is said of positions and neighbors.

    Args:
        shares: how often an image is shown by each of `PARTS` in training.
        temperature: IoU by which a candidate's part in the target falls to 1/e of the best one's.
        naming: weight of the naming loss at the start; it falls to a tenth.
        unknown: share of the words that are made unknown in training, so that an unknown word means doubt later.
        optimizer: of `TrainableModule`.
    """

    def __init__(
        self, *, shares: Mapping[str, float], temperature: float, naming: float, unknown: float, optimizer: Optimizer
    ) -> None:  # fmt: skip
        valid = set(shares) == set(PARTS) and min(shares.values()) >= 0 and sum(shares.values()) > 0
        require(valid, "shares", dict(shares), f"how often each of {', '.join(PARTS)} is shown")
        require(temperature > 0, "temperature", temperature, "above 0")
        require(naming >= 0, "naming", naming, "at least 0")
        require(0 <= unknown < 1, "unknown", unknown, "a share of the words in [0, 1)")
        network = DualNetwork()
        head = _Head(network, nn.Linear(network.width, len(NAMES)))
        super().__init__(encoders={}, head=head, optimizer=optimizer, freeze_epochs=0)
        self.temperature, self.naming, self.unknown = temperature, naming, unknown
        self.shares = torch.tensor([shares[part] for part in PARTS])
        self.val_loss = MeanMetric()
        self.val_miou = nn.ModuleList(MeanMetric() for _ in PARTS)

    @property
    def network(self) -> DualNetwork:
        assert isinstance(self.head, _Head)
        return self.head.network

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"regions": None, "sentence": None}

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        """`val/miou` is that of all parts together."""
        names = [*(f"val/miou_{part}" for part in PARTS[:-1]), "val/miou"]
        return {"val/loss": self.val_loss, **dict(zip(names, self.val_miou, strict=True))}  # type: ignore[arg-type]

    def setup(self, stage: str) -> None:
        if stage == "fit":
            self.network.learn_words(self.trainer.datamodule.sentences())  # type: ignore[attr-defined]

    def forward(self, batch: Batch, tokens: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [M, R+1], the last column none of the regions, and encoded regions [N, W].

        Args:
            part: of each image the last of `PARTS` that is shown, int64 [B].
        """
        # What is not shown is zero, or the vector for it: one batch trains every way to show an image.
        region_part, image = part[batch["image"]], batch["image"]
        alpha = (region_part >= PARTS.index("alpha"))[:, None, None, None] * batch["pixels"][:, 3:]
        encoded = self.network.encode_regions(
            torch.cat([batch["pixels"][:, :3], alpha], 1), batch["geometry"], region_part >= PARTS.index("geometry")
        )
        regions = self.network.embed_regions(encoded, batch["geometry"], image, region_part >= PARTS.index("context"))
        texts, slots = self.network.embed_tokens(tokens), batch["iou"].shape[1] - 1
        table = regions.new_zeros(len(part), slots, regions.shape[1]).index_put((image, batch["slot"]), regions)
        cosines = torch.einsum("md,mrd->mr", texts, table[batch["asked"]])
        logits = self.network.scale * torch.cat([cosines, (texts @ self.network.embed_nothing())[:, None]], 1)
        return logits.masked_fill(batch["iou"] < 0, _ABSENT), encoded

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        part = torch.multinomial(self.shares, len(batch["index"]), replacement=True).to(self.device)
        tokens = word_dropout(self.network.tokens(batch["sentences"]), self.unknown)
        logits, encoded = self(batch, tokens, part)
        assert isinstance(self.head, _Head)
        names = batch["name"]
        naming = cross_entropy(self.head.naming(encoded), names, ignore_index=NAMELESS, reduction="sum")
        terms = {"ranking": self._ranking(logits, batch), "naming": naming / (names != NAMELESS).sum().clamp(min=1)}
        require_finite(terms, self)
        # Names matter early, before pairs of regions mean anything; a square falls fast, and the last tenth keeps them.
        left = 1 - self.global_step / self.trainer.estimated_stepping_batches
        loss = terms["ranking"] + self.naming * (_LAST + (1 - _LAST) * left**2) * terms["naming"]
        self.log_train_loss(loss, len(batch["index"]))
        return loss

    def _ranking(self, logits: Tensor, batch: Batch) -> Tensor:
        targets = soft_targets(batch["iou"], self.temperature) * batch["weight"][:, None]
        return -(targets * logits.log_softmax(1)).sum() / targets.sum().clamp(min=1)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        tokens = self.network.tokens(batch["sentences"])
        _, *mious = self.validation_metrics.values()
        for part, metric in enumerate(mious):
            logits, _ = self(batch, tokens, torch.full_like(batch["index"], part))
            metric.update(batch["iou"].gather(1, logits.argmax(1, keepdim=True)))
        self.val_loss.update(self._ranking(logits, batch), len(tokens))
        self.log_dict(self.validation_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> list[list[float]]:
        """Probabilities of each expression over the regions of its image and none of them, by all parts."""
        part = torch.full_like(batch["index"], PARTS.index("context"))
        logits, _ = self(batch, self.network.tokens(batch["sentences"]), part)
        rows = zip(logits.double().softmax(1).cpu(), (batch["iou"] >= 0).cpu(), strict=True)
        return [row[there].tolist() for row, there in rows]

    def table(self, outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
        """One row an expression: the region that it is taken to mean, or no mask."""
        assert isinstance(data, RegionDataModule)
        scenes, predicted, rows = data.annotated(split), (row for output in outputs for row in output), []
        for scene in scenes:
            proposals = data.proposed(scene)
            for truth, probabilities in zip(scene.truths, predicted, strict=False):  # as many as the scene has truths
                chosen = int(np.argmax(probabilities))
                mask = proposals.rles[chosen] if chosen < len(proposals) else None
                rows.append({
                    "prediction": rle_text(mask or empty(proposals.size)), "confidence": probabilities[chosen],
                    "probabilities": probabilities, **measured(mask, truth),
                    "info_chosen": -1 if mask is None else chosen, "info_proposals": len(proposals),
                })  # fmt: skip
        expressions = pd.concat([scene.expressions for scene in scenes], ignore_index=True)
        frame = pd.DataFrame(rows).assign(
            split=split, task=MAIN, **expressions[["id", "group", "target"]], **carried_columns(expressions)
        )
        frame.attrs = {"classes": {}, "slices": data.slice_categories()}
        return frame


class _Head(nn.Module):
    def __init__(self, network: DualNetwork, naming: nn.Linear) -> None:
        super().__init__()
        self.network, self.naming = network, naming


def soft_targets(iou: Tensor, temperature: float) -> Tensor:
    """Parts of the candidates in the target, [M, R+1] from their IoU: those that come near to the best one.

    They add up to 1, or to 0 where no candidate is usable.
    """
    best = iou.amax(1, keepdim=True)
    parts = ((iou - best) / temperature).exp() * (iou >= _CLOSE * best) * (best >= _USABLE)
    return parts / parts.sum(1, keepdim=True).clamp(min=1)
