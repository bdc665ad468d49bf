"""Pictures that show the same: re-encoded, resized, brightened, cropped by a little, in gray, or mirrored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hallmark.data.groups import connected_groups
from hallmark.data.hamming import pairs_within
from hallmark.data.images import perceptual_hashes

# Chosen on 3,724 photographs and on altered copies of them (docs/results/leakage.md): the most alike pictures that are
# no copies, two products photographed in the same way, correlate by .934, and mirrored by .960.
_HAMMING = 10
_HAMMING_CLOSE = 6
_CORRELATION, _CORRELATION_CLOSE = 0.97, 0.95  # of luma; the lesser one where the hashes are close, or after a crop
_CROPS = (0.0, 0.02, 0.04)  # shares of a side, cut off at either end
_WORTH_ALIGNING = 0.75  # correlation below which no crop of these sizes brings it to .95
# Drawings and products may differ in color alone: two pictures in color need colors that point the same way, least
# cosine of their chroma. A crop changes no color, clipped highlights do.
_COLORS, _COLORS_CROPPED = 0.7, 0.95
_GRAY = 3.0  # RMS chroma up to which a picture counts as gray
# Two decodings of a picture with so little contrast that noise rules its correlation.
_RMS = 8.0

_FLAT = 4.0  # a picture of which no value differs by more from its mean color shows a color and nothing else
_CELL = 2.0  # side of a cell of colors

_CROWD = 64  # rows that are alike; of a larger crowd each is linked to some, not to all
_THUMBNAILS = 4096  # at a time
_CANDIDATES = 1 << 18  # at a time

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CHROMA = np.array([[-0.168736, 0.5], [-0.331264, -0.418688], [0.5, -0.081312]], np.float32)  # Cb, Cr (ITU-R BT.601)


class Thumbnails(Protocol):
    """uint8 [N, 32, 32, 3]: an array, a memory map, or what reads rows when asked for them."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: NDArray, /) -> NDArray: ...


class Selection:
    """The thumbnails of some rows, read when asked for."""

    def __init__(self, thumbnails: Thumbnails, rows: NDArray) -> None:
        self._thumbnails, self._rows = thumbnails, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: NDArray, /) -> NDArray:
        return self._thumbnails[self._rows[rows]]


@dataclass(frozen=True)
class _Signatures:
    """What is held of every thumbnail, some hundred bytes.

    Attributes:
        codes: pHash as uint64 [N]; mirrored: that of the mirror image.
        coarse: luma uint8 [N, 8, 8].
        colors: mean color float32 [N, 3].
        flat: bool [N].
    """

    codes: NDArray
    mirrored: NDArray
    coarse: NDArray
    colors: NDArray
    flat: NDArray


def near_duplicates(thumbnails: Thumbnails) -> NDArray:
    """Pairs [M, 2], i < j, of thumbnails that show the same picture.

    Candidates are all pairs whose pHashes, one of them also of the mirror image, differ in at most 10 of 64 bits. Of
    these count the ones whose luma correlates by .97 (by .95 at 6 bits or less, and after a crop of up to 4 % at each
    edge; always by .97 for a mirror image) and whose colors agree unless one is gray, and the ones at 6 bits or less
    whose pixels are all but equal. Flat pictures share a hash whatever their color, and are compared by color alone. Of
    a crowd of more than 64 that are alike not all pairs are listed, but all are linked.
    """
    if not len(thumbnails):
        return np.empty((0, 2), int)
    signatures = _signatures(thumbnails)
    textured, copies = _without_crowds(thumbnails, signatures)
    clusters = _Clusters(len(thumbnails))
    clusters.add(copies)
    clusters.add(_flat_pairs(signatures))
    codes = signatures.codes[textured]
    for mirrored, mirror_codes in ((False, None), (True, signatures.mirrored[textured])):
        for i, j in _batches(pairs_within(codes, mirror_codes, _HAMMING)):
            pairs = np.sort(textured[np.stack([i, j], axis=1)][i != j], axis=1)
            pairs = pairs[_plausible(signatures, pairs, mirrored=mirrored)]
            for start in range(0, len(pairs), _THUMBNAILS):  # what one part joins need not be compared in the next
                part = pairs[start : start + _THUMBNAILS]
                part = part[clusters.undecided(part)]
                clusters.add(part[_alike(thumbnails, signatures, part, mirrored=mirrored)])
    return np.unique(np.concatenate(clusters.pairs), axis=0)


def _signatures(thumbnails: Thumbnails) -> _Signatures:
    parts = []
    for start in range(0, len(thumbnails), _THUMBNAILS):
        pixels = thumbnails[np.arange(start, min(start + _THUMBNAILS, len(thumbnails)))]
        mean = pixels.mean(axis=(1, 2), dtype=np.float32)
        flat = np.abs(pixels - mean[:, None, None]).max(axis=(1, 2, 3)) <= _FLAT
        coarse = (pixels @ _LUMA).reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4))
        parts.append((_code(pixels), _code(pixels[:, :, ::-1]), coarse.round().astype(np.uint8), mean, flat))
    return _Signatures(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _code(pixels: NDArray) -> NDArray:
    return np.packbits(perceptual_hashes(pixels), axis=1).view(np.uint64).ravel()


def _without_crowds(thumbnails: Thumbnails, signatures: _Signatures) -> tuple[NDArray, NDArray]:
    """Rows that are not flat, less those whose thumbnail many others have byte for byte; and the pairs of those."""
    rows = np.flatnonzero(~signatures.flat)
    _, code, count = np.unique(signatures.codes[rows], return_inverse=True, return_counts=True)
    crowded = rows[count[code] > _CROWD]
    rows_by_pixels: dict[bytes, list[int]] = {}
    for start in range(0, len(crowded), _THUMBNAILS):
        part = crowded[start : start + _THUMBNAILS]
        for row, pixels in zip(part.tolist(), thumbnails[part], strict=True):
            rows_by_pixels.setdefault(pixels.tobytes(), []).append(row)
    crowds = [same for same in rows_by_pixels.values() if len(same) > _CROWD]
    left_out = [row for same in crowds for row in same[1:]]
    return np.setdiff1d(rows, left_out, assume_unique=True), _joined(crowds)


def _flat_pairs(signatures: _Signatures) -> NDArray:
    """Flat pictures of one color, as close as re-encoding leaves it."""
    rows = np.flatnonzero(signatures.flat)
    if not len(rows):
        return np.empty((0, 2), int)
    colors = signatures.colors[rows]
    _, first, cell = np.unique(np.rint(colors / _CELL), axis=0, return_index=True, return_inverse=True)
    by_cell = np.argsort(cell, kind="stable")
    cells = np.split(rows[by_cell], np.cumsum(np.bincount(cell))[:-1])
    near = cKDTree(colors[first]).query_pairs(_RMS * np.sqrt(3), output_type="ndarray")
    return np.concatenate([_joined([cell.tolist() for cell in cells]), np.sort(rows[first[near]], axis=1)])


def _joined(clusters: Iterable[list[int]]) -> NDArray:
    """All pairs of each cluster; of a crowd those with its first."""
    pairs = [
        pair
        for rows in clusters
        for pair in (combinations(rows, 2) if len(rows) <= _CROWD else product(rows[:1], rows[1:]))
    ]
    return np.array(pairs, int).reshape(-1, 2)


class _Clusters:
    """Confirmed pairs, and what they connect."""

    def __init__(self, n: int) -> None:
        self.pairs = [np.empty((0, 2), int)]
        self._cluster, self._size = np.arange(n), np.ones(n, int)

    def add(self, pairs: NDArray) -> None:
        if not len(pairs):
            return
        self.pairs.append(pairs)
        touched, ends = np.unique(self._cluster[pairs], return_inverse=True)
        merged = np.arange(len(self._cluster))
        merged[touched] = touched[connected_groups(len(touched), [ends.reshape(-1, 2)])]
        self._cluster = merged[self._cluster]
        self._size = np.bincount(self._cluster, minlength=len(merged))

    def undecided(self, pairs: NDArray) -> NDArray:
        """Where a pair would say something: not where both rows are in one crowd."""
        first, second = self._cluster[pairs].T
        return (first != second) | (self._size[first] <= _CROWD)


def _batches(blocks: Iterator[tuple[NDArray, NDArray]]) -> Iterator[tuple[NDArray, NDArray]]:
    """The same pairs in fewer blocks."""
    waiting: list[tuple[NDArray, NDArray]] = []
    n = 0
    for block in blocks:
        waiting.append(block)
        n += len(block[0])
        if n >= _CANDIDATES:
            yield np.concatenate([i for i, _ in waiting]), np.concatenate([j for _, j in waiting])
            waiting, n = [], 0
    if n:
        yield np.concatenate([i for i, _ in waiting]), np.concatenate([j for _, j in waiting])


def _plausible(signatures: _Signatures, pairs: NDArray, *, mirrored: bool) -> NDArray:
    """bool [len(pairs)]: worth reading the thumbnails of, by what is held of them."""
    first, second = (signatures.coarse[rows].astype(np.float32) for rows in pairs.T)
    correlates = _correlation(first, second[:, :, ::-1] if mirrored else second) >= _WORTH_ALIGNING
    return correlates if mirrored else correlates | _maybe_equal(signatures, pairs)


def _maybe_equal(signatures: _Signatures, pairs: NDArray) -> NDArray:
    first, second = pairs.T
    difference = signatures.colors[first] - signatures.colors[second]
    distance = np.bitwise_count(signatures.codes[first] ^ signatures.codes[second])
    return (distance <= _HAMMING_CLOSE) & (np.sqrt((difference**2).mean(axis=1)) <= _RMS)


def _alike(thumbnails: Thumbnails, signatures: _Signatures, pairs: NDArray, *, mirrored: bool) -> NDArray:
    """bool [len(pairs)]: shows the same picture."""
    rows, ends = np.unique(pairs, return_inverse=True)  # a row has many pairs
    first, second = ends.reshape(-1, 2).T
    pixels = thumbnails[rows]
    luma, chroma = pixels @ _LUMA, _block_means(pixels) @ _CHROMA
    standardized = _standardized(luma)
    step = -1 if mirrored else 1
    correlation = (standardized[first] * standardized[second][:, :, ::step]).sum(axis=(1, 2))
    colors = _color_agreement(chroma[first], chroma[second][:, :, ::step])
    distance = np.bitwise_count(signatures.codes[pairs[:, 0]] ^ signatures.codes[pairs[:, 1]])
    least = np.where((distance <= _HAMMING_CLOSE) & (not mirrored), _CORRELATION_CLOSE, _CORRELATION)
    alike = (correlation >= least) & (colors >= _COLORS)
    unsure = np.flatnonzero(~alike & (correlation >= _WORTH_ALIGNING) & (colors >= _COLORS_CROPPED))
    aligned = _aligned_correlation(luma[first[unsure]], luma[second[unsure]][:, :, ::step])
    alike[unsure] = aligned >= (_CORRELATION if mirrored else _CORRELATION_CLOSE)
    if not mirrored:
        faint = np.flatnonzero(~alike & _maybe_equal(signatures, pairs))
        difference = pixels[first[faint]].astype(np.float32) - pixels[second[faint]]
        alike[faint] = np.sqrt((difference**2).mean(axis=(1, 2, 3))) <= _RMS
    return alike


def _color_agreement(first: NDArray, second: NDArray) -> NDArray:
    """Cosine [N] of chroma [N, 8, 8, 2], place by place; 1 where one of two is gray."""
    a, b = (chroma.reshape(-1, 128) for chroma in (first, second))
    strength_a, strength_b = (np.sqrt((values**2).mean(axis=1)) for values in (a, b))
    cosine = (a * b).mean(axis=1) / np.maximum(strength_a * strength_b, 1e-6)
    return np.where(np.minimum(strength_a, strength_b) <= _GRAY, 1, cosine)


def _block_means(pixels: NDArray) -> NDArray:
    """float32 [N, 8, 8, 3] of uint8 [N, 32, 32, 3]."""
    rows = pixels.reshape(-1, 8, 4, 96).sum(axis=2, dtype=np.uint16)
    return rows.reshape(-1, 8, 8, 4, 3).sum(axis=3, dtype=np.uint16) / np.float32(16)


def _correlation(first: NDArray, second: NDArray) -> NDArray:
    """Pearson correlation [N] of float32 [N, H, W]; 0 where one of two is constant."""
    return (_standardized(first) * _standardized(second)).sum(axis=(1, 2))


def _standardized(luma: NDArray) -> NDArray:
    centered = luma - luma.mean(axis=(1, 2), keepdims=True)
    return centered / np.maximum(np.sqrt((centered**2).sum(axis=(1, 2), keepdims=True)), 1)


def _aligned_correlation(first: NDArray, second: NDArray) -> NDArray:
    """Correlation [N] of luma [N, 32, 32] when either is cropped as suits it best: first its rows, then its columns."""
    best = np.full(len(first), -1.0, np.float32)
    for copy, source in ((_standardized(first), second), (_standardized(second), first)):
        by_rows = np.stack([(copy * _standardized(window @ source)).sum(axis=(1, 2)) for window in _WINDOWS])
        cropped = _WINDOWS[by_rows.argmax(axis=0)] @ source
        by_columns = np.stack([(copy * _standardized(cropped @ window.T)).sum(axis=(1, 2)) for window in _WINDOWS])
        best = np.maximum(best, by_columns.max(axis=0))
    return best


def _window(start: float, end: float, size: int = 32) -> NDArray:
    """Matrix [size, size] that averages `size` cells of a line, less a share of it at either end, into `size` cells."""
    edges = size * (start + (1 - start - end) * np.arange(size + 1) / size)
    cells = np.arange(size)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    weights = overlap.clip(0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


_WINDOWS = np.stack([_window(start, end) for start, end in product(_CROPS, _CROPS)])
