"""Seeds derived from where a draw happens, not from what was drawn before.

Each epoch, step and sample has its own seed, as JAX's `fold_in` does it. No generator state has to be
saved for an exact resume, and neither the number of workers nor the order of reads changes a draw.
"""

import numpy as np


def fold_in(*path: int) -> int:
    """A 63-bit seed for a place named by integers, such as (seed, epoch, batch)."""
    return int(fold_in_many(*path, count=1)[0])


def fold_in_many(*path: int, count: int) -> np.ndarray:
    """Seeds int64 [count] for the `count` members of a place."""
    # SeedSequence pads with zeros and splits at 32 bits: without length and halves (1, 2) and (1, 2, 0) were one place.
    entropy = [len(path), *(half for number in path for half in divmod(number, 1 << 32))]
    if min(entropy) >= 0 and max(entropy) < 1 << 32:  # the same words as of a list, in half the time
        words = np.random.SeedSequence(np.array(entropy, np.uint32)).generate_state(count, np.uint64)
    else:
        words = np.random.SeedSequence(entropy).generate_state(count, np.uint64)
    return (words >> np.uint64(1)).astype(np.int64)
