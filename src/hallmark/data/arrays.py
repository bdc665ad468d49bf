"""Datasets of rows that are in memory as tensors."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from hallmark.data.sampling import SampleIndex, Transform


class TensorRows(Dataset):
    """The rows of a split, read a batch at a time.

    Args:
        tensors: by name, each [N, ...]; a batch holds the rows of each, and `index` (int64 [B], their positions).
        transform: of the rows of `transformed`, with the seed of each row; None leaves them as they are.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], *, transform: Transform | None = None, transformed: str = ""
    ) -> None:
        assert transform is None or transformed in tensors
        self.tensors, self.transform, self.transformed = dict(tensors), transform, transformed

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitems__(self, draws: Sequence[SampleIndex]) -> dict[str, Tensor]:
        index = torch.tensor([draw.position for draw in draws])
        batch = {"index": index, **{name: tensor[index] for name, tensor in self.tensors.items()}}
        if self.transform is not None:
            rows = zip(batch[self.transformed], draws, strict=True)
            batch[self.transformed] = torch.stack([self.transform(row, draw.seed) for row, draw in rows])
        return batch
