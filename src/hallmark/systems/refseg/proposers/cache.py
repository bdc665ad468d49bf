"""Proposals on disk: each image is given to a proposer once in its life."""

import json
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hallmark.storage.files import write_text
from hallmark.storage.hashing import digest, digest_bytes
from hallmark.systems.refseg.masks import Proposals, parse_rle
from hallmark.systems.refseg.proposers.base import Proposer


class CachedProposer(Proposer):
    """A proposer that remembers: a file an image, under a folder for its settings and weights.

    A file is whole or absent, so processes may share the folder; two that meet the same new image both work on it
    and write the same.

    Attributes:
        requested: images asked for.
        computed: images that the proposer was run on.
    """

    def __init__(self, proposer: Proposer, folder: Path) -> None:
        self.proposer, self.trained_on = proposer, proposer.trained_on
        self.folder = folder / digest(proposer.settings())
        self.requested = self.computed = 0

    def __str__(self) -> str:
        return type(self.proposer).__name__

    def settings(self) -> dict[str, Any]:
        return self.proposer.settings()

    def propose(self, image: NDArray) -> Proposals:
        self.requested += 1
        name = digest_bytes(str(image.shape).encode(), image.tobytes())
        path = self.folder / name[:2] / f"{name}.json"
        size = (image.shape[0], image.shape[1])
        found = _read(path, size)
        if found is None:
            found = self.proposer.propose(image)
            self.computed += 1
            held = {"size": size, "counts": [rle["counts"] for rle in found.rles], "scores": found.scores.tolist()}
            write_text(path, json.dumps(held))
        return found


def _read(path: Path, size: tuple[int, int]) -> Proposals | None:
    """The proposals in a file; None where there are none, or something else than was written."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if tuple(held["size"]) != size:
            return None
        rles = [parse_rle({"size": size, "counts": counts}) for counts in held["counts"]]
        return Proposals.of(rles, held["scores"], size)
    except (OSError, ValueError, KeyError, TypeError):
        return None
