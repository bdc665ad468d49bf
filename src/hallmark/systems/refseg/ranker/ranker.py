"""Regions ranked by how well they fit a text; what is seen of an image is computed once in its life."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hallmark.checks import require
from hallmark.data.masks import Proposals
from hallmark.storage.cache import FileCache
from hallmark.storage.hashing import digest, digest_bytes
from hallmark.systems.refseg.ranker.encoder import RegionEncoder
from hallmark.systems.refseg.ranker.position import position_bias
from hallmark.systems.refseg.ranker.views import Regions, geometry


class SceneInput(NamedTuple):
    """An image as it is shown, uint8 [H, W, 3], that is with any perturbation, and what may be meant in it."""

    image: NDArray
    proposals: Proposals


@dataclass
class Counts:
    """What a ranker was asked for, and what of it was computed.

    Attributes:
        scores: pairs of a text and a region.
        requested: embeddings of regions; `computed` of them by the encoder, the others came from disk.
        texts: embedded.
    """

    scores: int = 0
    requested: int = 0
    computed: int = 0
    texts: int = 0


class Ranker:
    """Scores of regions for texts.

    Embeddings of an image's regions are one file under a folder for the encoder's settings; texts are embedded once in
    the life of the ranker.

    Args:
        encoder: embeds regions and texts; it may be moved to another device before the first use.
        position: logits that a region gains or loses at most by the query's words of place and size, see
            `position_bias`; 0 for none.
        batch_size: regions in one forward pass. A `joint` encoder takes all regions of an image, however many.
        cache: folder for embeddings; None keeps none.

    Raises:
        SettingError: a value out of range.
    """

    def __init__(self, encoder: RegionEncoder, *, position: float, batch_size: int, cache: Path | None) -> None:
        require(0 <= position < float("inf"), "position", position, "logits, 0 or more")
        require(batch_size >= 1, "batch_size", batch_size, "at least 1")
        self.encoder, self.position, self.batch_size = encoder, float(position), batch_size
        self.counts = Counts()
        self._cache = None if cache is None else FileCache(cache / digest(encoder.settings()), ".npy")
        self._texts: dict[str, NDArray] = {}

    def embed(self, images: Sequence[SceneInput]) -> list[NDArray]:
        """Unit embeddings float32 [N, D] of the regions of each image; N may be 0."""
        self.counts.requested += sum(len(image.proposals) for image in images)
        names = [_name(image) for image in images]
        # The same image twice in a batch is embedded once.
        by_name = dict(zip(names, images, strict=True))
        stored = {name: self._stored(name, len(image.proposals)) for name, image in by_name.items()}
        embeddings = {name: rows for name, rows in stored.items() if rows is not None}
        absent = {name: image for name, image in by_name.items() if name not in embeddings}
        for group in self._groups(absent):
            parts = [self.encoder.view.render(*scene) for scene in group.values()]
            regions = Regions.join(parts)
            # Regions of a joint encoder see each other: all of an image must come in one pass.
            step = len(regions) if self.encoder.joint else self.batch_size
            with torch.inference_mode():
                passes = [self.encoder(regions.part(at, at + step)) for at in range(0, len(regions), step)]
            rows = torch.cat(passes).float().cpu().numpy()
            self.counts.computed += len(rows)
            ends = np.cumsum([len(part) for part in parts])
            for name, embedded in zip(group, np.split(rows, ends[:-1]), strict=True):
                embeddings[name] = embedded
                if self._cache is not None:
                    self._cache.put(name, embedded)
        return [embeddings[name] for name in names]

    def logits(self, regions: NDArray, proposals: Proposals, queries: Sequence[str]) -> NDArray:
        """Scores float64 [Q, N] of embedded regions [N, D] for each query, or [Q, N+1] where the encoder can abstain:
        the last column is "no such object". Without regions there is no column at all."""
        assert len(regions) == len(proposals), f"{len(regions)} embeddings for {len(proposals)} proposals"
        self.counts.scores += len(queries) * len(proposals)
        if not len(proposals) or not len(queries):
            return np.zeros((len(queries), 0))
        none = [] if self.encoder.none is None else [self.encoder.none.detach().cpu().numpy()[None]]
        candidates = np.concatenate([regions, *none]).astype(np.float64)
        # Query by query, because the last bits of a product of matrices depend on how many rows there are.
        logits = self.encoder.scale * np.stack([candidates @ text for text in self.read(queries)])
        if self.position:
            places = geometry(proposals)
            bias = np.stack([position_bias(query, places) for query in queries])
            logits[:, : len(proposals)] += self.position * bias
        return logits

    @torch.inference_mode()
    def read(self, queries: Sequence[str]) -> list[NDArray]:
        """Unit vectors float64 [D] of the queries; new ones are embedded together."""
        new = [query for query in dict.fromkeys(queries) if query not in self._texts]
        for start in range(0, len(new), self.batch_size):
            batch = new[start : start + self.batch_size]
            embedded = self.encoder.embed_texts(batch).double().cpu().numpy()
            self._texts.update(zip(batch, embedded, strict=True))
        self.counts.texts += len(new)
        return [self._texts[query] for query in queries]

    def _groups(self, images: dict[str, SceneInput]) -> Iterator[dict[str, SceneInput]]:
        """Images whose regions come to `batch_size` together, or single ones with more."""
        group: dict[str, SceneInput] = {}
        regions = 0
        for name, image in images.items():
            if group and regions + len(image.proposals) > self.batch_size:
                yield group
                group, regions = {}, 0
            group[name] = image
            regions += len(image.proposals)
        if group:
            yield group

    def _stored(self, name: str, count: int) -> NDArray | None:
        """What the file of an image holds; None where there is none, or something else than was written."""
        if not count:
            return np.zeros((0, self.encoder.embedding_dim), np.float32)
        rows = None if self._cache is None else self._cache.get(name)
        if rows is None or rows.shape != (count, self.encoder.embedding_dim) or rows.dtype != np.float32:
            return None
        # A file of another size or of other numbers than unit vectors was not written by this encoder.
        return rows if np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3) else None


def _name(scene: SceneInput) -> str:
    """Of the embeddings of an image's regions: the same image and proposals in the same order have the same name."""
    image, proposals = scene
    return digest({
        "image": digest_bytes(str(image.shape).encode(), image.tobytes()), "size": list(proposals.size),
        "masks": [rle["counts"] for rle in proposals.rles], "boxes": proposals.boxes.tolist(),
    })  # fmt: skip
