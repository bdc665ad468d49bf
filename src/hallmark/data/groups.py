"""Groups as connected components: rows that share any key belong together."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def shared_key_pairs(keys: Sequence[str]) -> NDArray:
    """Pairs [M, 2] that link each row to the first row with the same non-empty key."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(key, row), row) for row, key in enumerate(keys) if key]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], dtype=int).reshape(-1, 2)


def connected_groups(n: int, pairs: Iterable[NDArray]) -> NDArray:
    """Component number [n] of each row under all `pairs` (arrays [M, 2]) together."""
    links = np.concatenate([np.empty((0, 2), int), *pairs])
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]
