"""Loops of many expressions side by side: in each round their queries are ranked together and their rewriters asked."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from hallmark.systems.refseg.data import Expression, Scene
from hallmark.systems.refseg.loop import Asked, Outcome
from hallmark.systems.refseg.masks import Proposals


@dataclass(frozen=True)
class Seen:
    """An image after what is done once: its proposals and their embeddings [N, D]."""

    scene: Scene
    proposals: Proposals
    regions: NDArray


@dataclass
class Talk:
    """The loop of one expression.

    Attributes:
        query: to be ranked next; None once there is an `outcome`.
        seconds: of ranking and loop; vlm: of the rewriter.
    """

    seen: Seen
    expression: Expression
    steps: Generator[Asked, NDArray, Outcome]
    query: str | None = None
    outcome: Outcome | None = None
    seconds: float = 0.0
    vlm: float = 0.0

    def __post_init__(self) -> None:
        self.query = next(self.steps).query

    def hear(self, logits: NDArray) -> None:
        """Take the ranking of `query`, and ask the rewriter if the loop goes on."""
        begun, before = time.perf_counter(), self.vlm
        try:
            asked = self.steps.send(logits)
            self.query, self.vlm = asked.query, self.vlm + asked.seconds
        except StopIteration as done:
            self.query, self.outcome = None, done.value
            self.vlm = sum(rewrite.seconds for rewrite in done.value.rewrites)
        self.seconds += time.perf_counter() - begun - (self.vlm - before)


Rank = Callable[[Sequence[Talk]], list[NDArray]]


def carry_out(
    talks: Iterable[Talk], rank: Rank, parallel: int, timed: Callable[[str], AbstractContextManager[Any]]
) -> list[Talk]:
    """All `talks`, each with its outcome.

    Args:
        rank: logits of the query of each talk.
        parallel: rewriters asked at a time.
        timed: counts the seconds of a stage: `rank`, or `vlm` for those in which rewriters are asked.
    """
    everyone = list(talks)
    with ThreadPoolExecutor(parallel) as pool:
        apply: Callable[..., Iterable[None]] = map if parallel == 1 else pool.map
        while waiting := [talk for talk in everyone if talk.query is not None]:
            begun = time.perf_counter()
            with timed("rank"):
                logits = rank(waiting)
            share = (time.perf_counter() - begun) / len(waiting)
            for talk in waiting:
                talk.seconds += share
            with timed("vlm"):
                list(apply(Talk.hear, waiting, logits))
    return everyone
