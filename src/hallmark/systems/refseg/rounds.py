"""Loops of many expressions side by side: in each round their queries are ranked together and their rewriters asked."""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from numpy.typing import NDArray

from hallmark.data.masks import Proposals
from hallmark.systems.refseg.cost import Stopwatch, Timings
from hallmark.systems.refseg.data import Expression, Scene
from hallmark.systems.refseg.loop import Outcome
from hallmark.systems.refseg.proposers.cache import CachedProposer
from hallmark.systems.refseg.ranker.ranker import Ranker, SceneInput


@dataclass(frozen=True)
class EncodedScene:
    """An image after what is done once: its proposals and their embeddings [N, D]."""

    scene: Scene
    proposals: Proposals
    regions: NDArray


def encode(scenes: Sequence[Scene], proposer: CachedProposer, ranker: Ranker, timings: Timings) -> list[EncodedScene]:
    """Each image with its proposals and their embeddings, all images embedded together."""
    with timings.on("propose"):
        images = [scene.read() for scene in scenes]
        proposals = [proposer.propose(image) for image in images]
    with timings.on("embed"):
        regions = ranker.embed(list(map(SceneInput, images, proposals)))
    return [EncodedScene(*parts) for parts in zip(scenes, proposals, regions, strict=True)]


@dataclass
class Dialogue:
    """The loop of one expression.

    Attributes:
        query: to be ranked next; None once there is an `outcome`.
        seconds: of ranking and loop; the rewriter's are taken off at the end.
    """

    scene: EncodedScene
    expression: Expression
    loop: Generator[str, NDArray, Outcome]
    query: str | None = None
    outcome: Outcome | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.query = next(self.loop)

    def step(self, logits: NDArray) -> None:
        """Take the ranking of `query`, and ask the rewriter if the loop goes on."""
        with Stopwatch() as watch:
            try:
                self.query = self.loop.send(logits)
            except StopIteration as stop:
                self.query, self.outcome = None, stop.value
        self.seconds += watch.seconds
        if self.outcome is not None:
            self.seconds -= sum(rewrite.seconds for rewrite in self.outcome.rewrites)


def query_logits(ranker: Ranker, dialogues: Sequence[Dialogue]) -> list[NDArray]:
    """Logits of the query of each dialogue; each query is ranked once for an image, whoever asks."""
    # The queries of all images first, since texts are embedded in one batch.
    ranker.read([str(dialogue.query) for dialogue in dialogues])
    by_scene: dict[int, list[Dialogue]] = {}
    for dialogue in dialogues:
        by_scene.setdefault(id(dialogue.scene), []).append(dialogue)
    logits: dict[int, NDArray] = {}
    for members in by_scene.values():
        scene, queries = members[0].scene, list(dict.fromkeys(str(dialogue.query) for dialogue in members))
        rows = dict(zip(queries, ranker.logits(scene.regions, scene.proposals, queries), strict=True))
        logits |= {id(dialogue): rows[str(dialogue.query)] for dialogue in members}
    return [logits[id(dialogue)] for dialogue in dialogues]


Rank = Callable[[Sequence[Dialogue]], list[NDArray]]


def answer_all(dialogues: Iterable[Dialogue], rank: Rank, parallel: int, timings: Timings) -> list[Dialogue]:
    """All `dialogues`, each with its outcome.

    Args:
        rank: logits of the query of each dialogue.
        parallel: rewriters asked at a time.
        timings: gets the seconds of `rank`, with the loop's own, and of `vlm`, in which rewriters are waited for.
    """
    everyone = list(dialogues)
    with ThreadPoolExecutor(parallel) as pool:
        # One rewriter at a time is asked on this thread, in the order of the expressions.
        apply: Callable[..., Iterable[None]] = map if parallel == 1 else pool.map
        while waiting := [dialogue for dialogue in everyone if dialogue.query is not None]:
            with timings.on("rank") as ranking:
                logits = rank(waiting)
            for dialogue in waiting:
                dialogue.seconds += ranking.seconds / len(waiting)
            with timings.on("vlm"):
                list(apply(Dialogue.step, waiting, logits))
    # A step waits for its rewriter and does the loop's own work, which belongs to ranking.
    of_loop = sum(dialogue.seconds for dialogue in everyone) - timings.seconds["rank"]
    timings.seconds["rank"] += of_loop
    timings.seconds["vlm"] = max(0.0, timings.seconds["vlm"] - of_loop)
    return everyone
