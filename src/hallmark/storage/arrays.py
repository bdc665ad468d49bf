"""Content-addressed arrays on disk: rows are computed once and shared by all processes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from hallmark.storage.files import atomic_path

Compute = Callable[[Sequence[int]], NDArray]


class ArrayStore:
    """Rows of one shape and dtype, each named by a content hash of 32 characters.

    A folder holds immutable shards `<name>.npy` with their row names in `<name>.keys.npy`, both renamed into
    place, the names last: a shard without names does not count. Writers take a lock, so two processes that
    want the same rows compute them once; readers need no lock.

    Args:
        folder: one folder for one family of rows (same encoder, same preprocessing).
        shard_rows: rows computed and written at a time; what a killed process can lose.
    """

    def __init__(self, folder: Path, *, shard_rows: int = 1024) -> None:
        self.folder = folder
        self.shard_rows = shard_rows
        self._shards: dict[str, NDArray] = {}
        self._index: dict[str, tuple[str, int]] = {}

    def rows(self, keys: Sequence[str], compute: Compute) -> "Rows":
        """The rows of `keys`; `compute(positions)` gives those of `keys[p]` that no process has stored yet."""
        self._refresh()
        if any(key not in self._index for key in keys):
            self._fill(keys, compute)
        places = [self._index[key] for key in keys]
        return Rows([self._shards[shard] for shard, _ in places], np.array([row for _, row in places], int))

    def _fill(self, keys: Sequence[str], compute: Compute) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            self._refresh()
            first = {key: position for position, key in reversed(list(enumerate(keys)))}
            wanted = sorted(position for key, position in first.items() if key not in self._index)
            for number, start in enumerate(range(0, len(wanted), self.shard_rows), start=len(self._shards)):
                positions = wanted[start : start + self.shard_rows]
                names, rows = [keys[position] for position in positions], compute(positions)
                assert len(rows) == len(names), f"computed {len(rows)} rows for {len(names)} keys"
                stem = f"{number:05d}-{names[0][:8]}"
                for suffix, array in ((".npy", rows), (".keys.npy", np.array(names, dtype="S32"))):
                    with atomic_path(self.folder / f"{stem}{suffix}") as temporary:
                        np.save(temporary, array, allow_pickle=False)
            self._refresh()

    def _refresh(self) -> None:
        for names in sorted(self.folder.glob("[!.]*.keys.npy")):
            shard = names.name.removesuffix(".keys.npy")
            if shard in self._shards:
                continue
            self._shards[shard] = np.load(self.folder / f"{shard}.npy", mmap_mode="r", allow_pickle=False)
            keys = np.load(names, allow_pickle=False)
            self._index.update({key.decode(): (shard, row) for row, key in enumerate(keys)})


class Rows:
    """A sequence of stored rows in the order asked for, read from memory maps on access."""

    def __init__(self, shards: list[NDArray], rows: NDArray) -> None:
        self._shards, self._rows = shards, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: int) -> NDArray:
        return self._shards[position][self._rows[position]]

    def take(self, positions: Sequence[int]) -> NDArray:
        """Copy of the rows at `positions`, shape [len(positions), ...]."""
        return np.stack([self[position] for position in positions])
