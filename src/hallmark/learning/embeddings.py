"""Embeddings of every row that a loader gives."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hallmark.checks import UserError
from hallmark.learning.evaluating import evaluated
from hallmark.learning.module import Batch
from hallmark.storage.printing import shortened

_UNLABELLED = -1
_SHOWN = 80  # characters of labels that are none


@runtime_checkable
class Embedder(Protocol):
    """A module of torch that embeds batches."""

    def embedding(self, batch: Batch) -> Tensor:
        """What its last layer sees, [B, D]."""


def embedded(module: Any, loader: Iterable[Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings [N, D] and labels [N] of all rows in the order of the loader, in evaluation mode.

    Args:
        module: an `Embedder`.
        loader: of batches of tensors or arrays: mappings with `image` and `target`, or pairs (images, labels);
            `image_features` in the place
            of `image` is what a frozen encoder made of it. Labels are −1 where a row has none.

    Raises:
        UserError: batches of another kind, labels that are no whole numbers or not one a row, or no batch at all.
    """
    labels: list[NDArray[np.int64]] = []

    def batches() -> Iterator[Batch]:
        for raw in loader:
            batch = _batch(raw, first=sum(map(len, labels)))
            labels.append(batch["target"].cpu().numpy())
            yield batch

    parts = evaluated(module, batches(), lambda batch: module.embedding(batch).float())
    if not parts:
        raise UserError("the loader gives no batch")
    return np.concatenate(parts), np.concatenate(labels)


def _batch(raw: Any, *, first: int) -> Batch:
    """A batch as modules have it, of whatever a loader gives; `first` is the number of its first row."""
    batch = dict(raw) if isinstance(raw, dict) else {}
    if isinstance(raw, list | tuple) and len(raw) == 2:
        batch = dict(zip(("image", "target"), raw, strict=True))
    batch = {name: torch.from_numpy(value.copy()) if _is_numbers(value) else value for name, value in batch.items()}
    images = batch.get("image", batch.get("image_features"))
    if not isinstance(images, Tensor):
        raise UserError(f"a batch of {type(raw).__name__}: expected image and target by name, or a pair of them")
    batch["target"] = _labels(batch.get("target"), len(images))
    batch.setdefault("index", torch.arange(first, first + len(images)))
    return batch


def _is_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"


def _labels(given: Any, n: int) -> Tensor:
    """Labels of `n` rows, int64 [n]."""
    if given is None:
        return torch.full((n,), _UNLABELLED)
    try:
        labels = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"labels {shortened(repr(given), _SHOWN)}: expected a whole number for each row") from None
    if labels.is_floating_point() or labels.is_complex():
        raise UserError(f"labels of {str(labels.dtype).removeprefix('torch.')}: expected whole numbers of classes")
    if labels.shape != (n,):
        raise UserError(f"labels of shape {tuple(labels.shape)} for {n} images: expected one for each")
    return labels.long()
