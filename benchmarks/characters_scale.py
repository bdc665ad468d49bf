"""How long a picture takes among 10,000 roles, beyond the network: python -m benchmarks.characters_scale

Vectors are drawn in place of embeddings, and everything else is what `OnlineLearningSystem` does.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.results import Cell, number_cell, write_result
from hallmark.storage.vectors import VectorDatabase
from hallmark.systems.characters import online
from hallmark.systems.characters.online import OnlineLearningSystem
from hallmark.systems.characters.roles import mark_threshold

ROLES, PICTURES = 10_000, 2
DIMENSIONS = (512, 1280)
METHODS = ("cosine", "ncm")
REPEATS = 20
NETWORK = "test_efficientnet"  # which embeds nothing here


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--roles", type=int, default=ROLES)
    roles = parser.parse_args().roles
    rows: list[dict[str, Cell]] = []
    with TemporaryDirectory() as folder:
        model = Path(folder) / "model.pth"
        torch.save(timm.create_model(NETWORK).state_dict(), model)
        for dimension in DIMENSIONS:
            for method in METHODS:
                database = Path(folder) / f"{dimension}-{method}.db"
                times = measured(model, database, method, dimension, roles)
                rows.append({"method": method, "numbers": number_cell(dimension, 0), **times})
                print(rows[-1], flush=True)
    write_result(
        "characters_scale",
        rows=f"A database of {roles:,} roles of {PICTURES} pictures. A role of {PICTURES} pictures is added and a "
        f"picture recognized, {REPEATS} times in turn: medians, and in brackets those of the time of the processor, "
        "which waits neither for the disk nor for other programs. The first picture is that for which all is read and "
        "computed.",
        intervals="",
        tables={"times": rows},
    )


def measured(model: Path, path: Path, method: str, dimension: int, roles: int) -> dict[str, Cell]:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(dimension, dimension)) / np.sqrt(dimension)
    drawn = roles + REPEATS
    means = rng.normal(size=(drawn, dimension))
    vectors = means[:, None] + 0.5 * rng.normal(size=(drawn, PICTURES + 1, dimension)) @ mixing
    empty = OnlineLearningSystem(model, path.with_suffix(".empty"), method=method, architecture=NETWORK)
    database = VectorDatabase.create(path, dimension=dimension, about=empty.database.about)
    with database.change("filled") as change:
        for role in range(roles):
            change.add(f"role {role}", vectors[role, :PICTURES], [f"{role}-{n}" for n in range(PICTURES)])
        mark_threshold(change)
    system = OnlineLearningSystem(model, path, method=method, architecture=NETWORK)
    embedded: list[NDArray] = []
    vars(online)["embeddings"] = lambda encoder, pictures: embedded.pop()

    def recognize(role: int) -> str | None:
        embedded.append(vectors[role, PICTURES:].astype(np.float32))
        return system.recognize(picture(rng)).best[0]

    def add(role: int) -> None:
        embedded.append(vectors[role, :PICTURES].astype(np.float32))
        system.add_new_role(f"role {role}", [picture(rng) for _ in range(PICTURES)])

    first = timed(recognize, 0)
    times: dict[str, list[tuple[float, float]]] = {"add": [], "recognize": []}
    for role in range(roles, drawn):
        times["add"].append(timed(add, role))
        times["recognize"].append(timed(recognize, role))
    assert recognize(drawn - 1) == f"role {drawn - 1}"
    cells: dict[str, Cell] = {}
    for name, of_name in times.items():
        wall, processor = (1000 * float(np.median(column)) for column in zip(*of_name, strict=True))
        cells[name] = {"text": f"{wall:.1f} ms ({processor:.1f})", "wall_ms": wall, "processor_ms": processor}
    return {
        **cells,
        "first picture": number_cell(first[0], 1, " s"),
        "file": number_cell(path.stat().st_size / 1e6, 0, " MB"),
    }


def picture(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))


def timed(action: Callable[[int], object], role: int) -> tuple[float, float]:
    """Seconds that passed, and seconds of the processor."""
    start, processor = time.perf_counter(), time.process_time()
    action(role)
    return time.perf_counter() - start, time.process_time() - processor


if __name__ == "__main__":
    main()
