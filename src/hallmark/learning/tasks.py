"""Losses and metrics of classification tasks, of which rows may lack some."""

from collections.abc import Mapping
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

UNLABELLED = -1


class TaskLoss(nn.Module):
    """Cross-entropy of the labelled rows with class weights and label smoothing, the weighted mean.

    Without a labelled row it is 0, and its gradient too.
    """

    def __init__(self, classes: int, label_smoothing: float) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.class_weights: Tensor
        self.register_buffer("class_weights", torch.ones(classes))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        total = cross_entropy(
            logits, target, self.class_weights, ignore_index=UNLABELLED, label_smoothing=self.label_smoothing,
            reduction="sum",
        )  # fmt: skip
        weights = self.class_weights[target.clamp(min=0)] * (target != UNLABELLED)
        return total / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


class MacroF1(MulticlassF1Score):
    """Unweighted mean over the classes that occur in the target, as final metrics are defined.

    That of torchmetrics takes in classes that were only predicted, as few validation subjects often leave some.
    """

    def compute(self) -> Tensor:
        tp, fp, _, fn = self._final_state()
        occurs = tp + fn > 0
        f1 = 2 * tp / (2 * tp + fp + fn).clamp(min=1)
        return (f1 * occurs).sum() / occurs.sum().clamp(min=1)


class TaskMetrics(nn.ModuleDict):
    """Metrics of the validation rows by name: `val/<task>/<metric>`, and `val/<metric>` as the mean over tasks.

    Args:
        classes: number of them by task.
    """

    def __init__(self, classes: Mapping[str, int]) -> None:
        metrics: dict[str, Metric] = {}
        for task, number in classes.items():
            metrics[f"val/{task}/loss"] = MeanMetric()
            metrics[f"val/{task}/accuracy"] = MulticlassAccuracy(number, average="micro", ignore_index=UNLABELLED)
            metrics[f"val/{task}/macro_f1"] = MacroF1(number, ignore_index=UNLABELLED)
        for name in ("loss", "accuracy", "macro_f1"):
            # A composed metric asks its parts when it is computed: they alone are updated, and agree over processes.
            metrics[f"val/{name}"] = reduce(add, [metrics[f"val/{task}/{name}"] for task in classes]) / len(classes)
        super().__init__(metrics)

    def by_name(self) -> dict[str, Metric]:
        return {name: self.metric(name) for name in self}

    def count(self, task: str, logits: Tensor, target: Tensor) -> None:
        """Take in a batch of logits [B, C] and targets [B], −1 where unlabelled."""
        size = (target != UNLABELLED).sum()
        total = cross_entropy(logits, target, ignore_index=UNLABELLED, reduction="sum")
        self.metric(f"val/{task}/loss").update(total / size.clamp(min=1), size)
        self.metric(f"val/{task}/accuracy").update(logits, target)
        self.metric(f"val/{task}/macro_f1").update(logits, target)

    def metric(self, name: str) -> Metric:
        metric = self[name]
        assert isinstance(metric, Metric)
        return metric
