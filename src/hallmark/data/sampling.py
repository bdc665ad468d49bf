"""Which samples a process reads, and in which order: a function of seed and epoch, resumable within an epoch."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import Sampler

from hallmark.storage.seeds import fold_in, fold_in_many

Transform = Callable[[Any, int], Any]
"""(raw input of one sample, seed) → the input changed: an augmentation or a perturbation."""


class SampleIndex(NamedTuple):
    """One sample to read: its position in the split and the seed of its transform."""

    position: int
    seed: int


class EpochSampler(Sampler[SampleIndex]):
    """Shuffles `size` samples anew each epoch; Lightning announces the epoch through `set_epoch`.

    Of several processes each takes every `world_size`-th sample of the one order, so that a step of all of them
    together reads what one process with as large a batch would read. All take equally many: the remainder, smaller
    than `world_size`, is left out of that epoch.

    Args:
        skip: samples of the first epoch that this process has already used in an interrupted run.
    """

    def __init__(self, size: int, *, seed: int, skip: int = 0, rank: int = 0, world_size: int = 1) -> None:
        self.size, self.seed, self.skip, self.epoch = size, seed, skip, 0
        self.rank, self.world_size = rank, world_size

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size // self.world_size

    def __iter__(self) -> Iterator[SampleIndex]:
        skip, self.skip = self.skip, 0
        order = np.random.default_rng(fold_in(self.seed, self.epoch)).permutation(self.size)
        seeds = fold_in_many(self.seed, self.epoch, 1, count=self.size)
        positions = order[self.rank : len(self) * self.world_size : self.world_size]
        for position in positions[skip:]:
            yield SampleIndex(int(position), int(seeds[position]))


def eval_batches(size: int, batch_size: int, *, rank: int, world_size: int) -> list[list[SampleIndex]]:
    """This process's part of `size` samples in order and without augmentation, each sample in one process only.

    All processes get equally many batches, because they wait for each other in every forward pass; the batches hold
    at most `batch_size` samples and differ by at most one. None is empty where `size` >= `world_size` and
    `batch_size` >= 2.
    """
    rounds = -(-size // (batch_size * world_size))
    parts = np.array_split(np.arange(size), rounds * world_size)
    return [[SampleIndex(int(position), 0) for position in part] for part in parts[rank::world_size]]
