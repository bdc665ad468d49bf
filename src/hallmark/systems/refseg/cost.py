"""What predicting cost: seconds by stage, work, and the calls of the rewriter."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd
import torch

from hallmark.systems.refseg.vlm.calls import CallCounts


class Stopwatch:
    """Wall seconds of a `with` block; the one clock of all timings."""

    seconds = 0.0

    def __enter__(self) -> "Stopwatch":
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start


@dataclass
class Timings:
    """Seconds by stage of one batch."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("propose", "embed", "rank", "vlm"), 0.0))

    @contextmanager
    def on(self, stage: str) -> Iterator[Stopwatch]:
        """Add the time that the block takes to `stage`."""
        with Stopwatch() as watch:
            yield watch
        self.seconds[stage] += watch.seconds


def total_calls(outputs: Sequence[Mapping[str, Any]]) -> CallCounts:
    """The calls for all batches of a split together."""
    return sum((CallCounts(**output["calls"]) for output in outputs), CallCounts())


def total_cost(outputs: Sequence[Mapping[str, Any]], expressions: int) -> dict[str, Any]:
    """What all batches of a split took together, with its number of expressions."""
    work = pd.DataFrame([output["work"] for output in outputs]).sum().to_dict()
    return {
        "images": sum(output["images"] for output in outputs),
        "expressions": expressions,
        **{name: {key: int(work[f"{name} {key}"]) for key in ("requested", "computed")} for name in
           ("proposer", "regions")},
        "scores": int(work["scores"]),
        "texts": int(work["texts"]),
        "vlm": {**asdict(total_calls(outputs)), "cost": work["cost"]},
        "seconds": pd.DataFrame([output["seconds"] for output in outputs]).sum().to_dict(),
        "peak_gpu_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
    }  # fmt: skip
