"""Order of the training samples: a function of seed and epoch, resumable within an epoch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from hallmark.storage.seeds import fold_in, fold_in_many


class Draw(NamedTuple):
    """One sample to read: its position in the split and the seed of its augmentation."""

    position: int
    seed: int


class EpochSampler(Sampler[Draw]):
    """Shuffles `size` samples anew each epoch; Lightning announces the epoch through `set_epoch`.

    Args:
        skip: samples of the first epoch that an interrupted run has already used.
    """

    def __init__(self, size: int, *, seed: int, skip: int = 0) -> None:
        self.size, self.seed, self.skip, self.epoch = size, seed, skip, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Draw]:
        skip, self.skip = self.skip, 0
        order = np.random.default_rng(fold_in(self.seed, self.epoch)).permutation(self.size)
        seeds = fold_in_many(self.seed, self.epoch, 1, count=self.size)
        for position in order[skip:]:
            yield Draw(int(position), int(seeds[position]))
