"""Processes that write into a database of vectors: python -m tests.storage.growing <file> <name> <times> [kill]"""

import os
import signal
import sys
from pathlib import Path

import numpy as np

from hallmark.storage.vectors import VectorDatabase


def vectors_of(name: str, n: int = 3, dimension: int = 8) -> np.ndarray:
    return np.random.default_rng(list(name.encode())).normal(size=(n, dimension)).astype(np.float32)


def grow(database: VectorDatabase, name: str, n: int = 3) -> None:
    with database.change(f"add {name}") as change:
        change.add(name, vectors_of(name, n, database.dimension), [f"{name}-{row}" for row in range(n)])
        change.state = {"classes": change.labels(99)}


if __name__ == "__main__":
    file, name, times, *kill = sys.argv[1:]
    database = VectorDatabase(Path(file))
    for number in range(int(times)):
        if kill:
            with database.change("never") as change:
                change.remove(change.content.labels)
                # More than SQLite keeps in memory, so that pages are in the file when the process dies.
                for part in range(8):
                    change.add(f"{name}{part}", vectors_of(name, 400, 1024), [f"{part}-{row}" for row in range(400)])
                os.kill(os.getpid(), signal.SIGKILL)
        grow(database, f"{name}{number}")
        print(number, flush=True)
