"""Proposals on disk: each image is given to a proposer once in its life."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hallmark.data.masks import Proposals, parse_rle
from hallmark.storage.cache import FileCache
from hallmark.storage.hashing import digest, digest_bytes
from hallmark.systems.refseg.proposers.base import Proposer


class CachedProposer(Proposer):
    """A proposer that remembers: a file an image, under a folder for its settings and weights.

    Attributes:
        requested: images asked for.
        computed: images that the proposer was run on.
    """

    def __init__(self, proposer: Proposer, folder: Path) -> None:
        self.proposer, self.trained_on = proposer, proposer.trained_on
        self.cache = FileCache(folder / digest(proposer.settings()), ".json")
        self.requested = self.computed = 0

    def __str__(self) -> str:
        return type(self.proposer).__name__

    def settings(self) -> dict[str, Any]:
        return self.proposer.settings()

    def propose(self, image: NDArray) -> Proposals:
        self.requested += 1
        key = digest_bytes(str(image.shape).encode(), image.tobytes())
        stored: Any = self.cache.get(key)
        size = image.shape[0], image.shape[1]
        try:
            if tuple(stored["size"]) == size:
                rles = [parse_rle({"size": size, "counts": counts}) for counts in stored["counts"]]
                return Proposals.of(rles, stored["scores"], size)
        except (ValueError, KeyError, TypeError):
            pass  # no file, or it holds something else than was written
        proposals = self.proposer.propose(image)
        self.computed += 1
        masks = [rle["counts"] for rle in proposals.rles]
        self.cache.put(key, {"size": proposals.size, "counts": masks, "scores": proposals.scores.tolist()})
        return proposals
