"""From embeddings to logits: one modality alone, early, gated and late fusion."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from hallmark.checks import require

Embeddings = Mapping[str, Tensor]
Criterion = Callable[[Tensor, Tensor], Tensor]


class Head(nn.Module):
    """Maps embeddings {modality: [B, D]} to logits [B, C].

    Args:
        dims: D by modality; classes: C; dropout: before the last layer.

    Attributes:
        takes_missing: whether `forward` also takes `present`, of the modalities that a sample lacks.
    """

    takes_missing: ClassVar[bool] = False

    def __init__(self, dims: Mapping[str, int], classes: int, *, dropout: float) -> None:
        super().__init__()
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        self.modalities = sorted(dims)
        self.norms = nn.ModuleDict({name: nn.LayerNorm(dims[name]) for name in self.modalities})
        self.dropout = nn.Dropout(dropout)

    def normed(self, embeddings: Embeddings) -> list[Tensor]:
        return [self.norms[name](embeddings[name]) for name in self.modalities]

    def loss(self, embeddings: Embeddings, target: Tensor, criterion: Criterion) -> Tensor:
        return criterion(self(embeddings), target)


class ConcatHead(Head):
    """A linear layer on the concatenated embeddings; with one modality, the plain linear probe."""

    def __init__(self, dims: Mapping[str, int], classes: int, *, dropout: float) -> None:
        super().__init__(dims, classes, dropout=dropout)
        self.classifier = nn.Linear(sum(dims.values()), classes)

    def forward(self, embeddings: Embeddings) -> Tensor:
        return self.classifier(self.dropout(torch.cat(self.normed(embeddings), dim=1)))


class InteractionHead(Head):
    """A linear layer on [i, t, i⊙t, |i−t|] of two embeddings of one width, as CLIP's are."""

    def __init__(self, dims: Mapping[str, int], classes: int, *, dropout: float) -> None:
        super().__init__(dims, classes, dropout=dropout)
        widths = set(dims.values())
        require(
            len(dims) == 2 and len(widths) == 1, "head", dict(dims), "two embeddings of one width; use GatedFusionHead"
        )
        self.classifier = nn.Linear(4 * widths.pop(), classes)

    def forward(self, embeddings: Embeddings) -> Tensor:
        first, second = self.normed(embeddings)
        joint = torch.cat([first, second, first * second, (first - second).abs()], dim=1)
        return self.classifier(self.dropout(joint))


class GatedFusionHead(Head):
    """Gated multimodal unit (Arevalo et al. 2017): h = Σ_m g_m ⊙ tanh(W_m e_m), g = softmax over modalities.

    Args:
        width: of h.
        modality_dropout: probability that a training sample misses one modality, drawn anew each time,
            so that neither is leant on alone (Neverova et al. 2016).
    """

    takes_missing = True

    def __init__(
        self, dims: Mapping[str, int], classes: int, *, dropout: float, width: int, modality_dropout: float
    ) -> None:
        super().__init__(dims, classes, dropout=dropout)
        require(0 <= modality_dropout < 1, "modality_dropout", modality_dropout, "in [0, 1)")
        require(width >= 1, "width", width, "at least 1")
        self.project = nn.ModuleDict({name: nn.Linear(dims[name], width) for name in self.modalities})
        self.gate = nn.Linear(sum(dims.values()), len(dims) * width)
        self.classifier = nn.Linear(width, classes)
        self.modality_dropout = modality_dropout

    def forward(self, embeddings: Embeddings, present: Mapping[str, Tensor] | None = None) -> Tensor:
        """Logits [B, C]; of a modality that is missing in a sample, nothing is seen.

        Args:
            present: whether a sample has the modality, bool [B]; those that are not named are in all samples.
        """
        normed = self.normed(embeddings)
        keeps = self._keeps(normed[0], present or {})
        # Zeros after the norm: a modality that is missing is the mean of all embeddings, not an odd one.
        normed = [embedding * keep for embedding, keep in zip(normed, keeps, strict=True)]
        hidden_BMW = torch.stack(
            [self.project[m](e).tanh() for m, e in zip(self.modalities, normed, strict=True)], dim=1
        )
        gates_BMW = self.gate(torch.cat(normed, dim=1)).view(hidden_BMW.shape).softmax(dim=1)
        return self.classifier(self.dropout((gates_BMW * hidden_BMW).sum(dim=1)))

    def _keeps(self, embedding: Tensor, present: Mapping[str, Tensor]) -> Tensor:
        """Which modalities are seen, bool [M, B, 1]; of a sample that lacks one already, no other is dropped."""
        batch, device = len(embedding), embedding.device
        everywhere = torch.ones(batch, dtype=torch.bool, device=device)
        keeps = torch.stack([present.get(name, everywhere) for name in self.modalities])
        if self.training and self.modality_dropout > 0 and len(keeps) > 1:
            drops = (torch.rand(batch, device=device) < self.modality_dropout) & keeps.all(dim=0)
            dropped_modality = torch.randint(len(keeps), (batch,), device=device)
            numbers = torch.arange(len(keeps), device=device).unsqueeze(1)
            keeps = keeps & ~(drops & (dropped_modality == numbers))
        return keeps.unsqueeze(2)


class LateFusionHead(Head):
    """One linear classifier a modality, each with its own loss; their probabilities are averaged."""

    def __init__(self, dims: Mapping[str, int], classes: int, *, dropout: float) -> None:
        super().__init__(dims, classes, dropout=dropout)
        self.classifiers = nn.ModuleDict({name: nn.Linear(dims[name], classes) for name in self.modalities})

    def forward(self, embeddings: Embeddings) -> Tensor:
        # The softmax that follows everywhere takes the logarithm back.
        return torch.stack([logits.softmax(dim=1) for logits in self._logits(embeddings)]).mean(dim=0).log()

    def loss(self, embeddings: Embeddings, target: Tensor, criterion: Criterion) -> Tensor:
        return torch.stack([criterion(logits, target) for logits in self._logits(embeddings)]).sum()

    def _logits(self, embeddings: Embeddings) -> list[Tensor]:
        normed = zip(self.modalities, self.normed(embeddings), strict=True)
        return [self.classifiers[name](self.dropout(embedding)) for name, embedding in normed]
