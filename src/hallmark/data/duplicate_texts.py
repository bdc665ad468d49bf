"""Texts in nearly the same words."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

JACCARD = 0.8
"""Least share of two texts' words that both have."""

MIN_WORDS = 5
"""Different words that a text needs to be compared: below, one word more or less is another text."""

# Han and kana are written without spaces; each of their characters is a word where spaces make too few.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_CANDIDATES = 1 << 20  # at a time


def near_duplicate_texts(texts: Sequence[str]) -> NDArray:
    """Pairs [M, 2], i < j, of texts whose sets of words have a Jaccard index of at least .8.

    Exact: a pair can reach the index only if the rarest words of both, a fifth of them and one, have one in common
    (prefix filter; Chaudhuri et al. 2006, Bayardo et al. 2007), and all such pairs are compared. Texts of the same set
    of words are linked to the first of them, whose pairs stand for all.

    Args:
        texts: normalized, as `normalize_text` gives them. Those of fewer than `MIN_WORDS` different words are in no
            pair.
    """
    words = [_words(text) for text in texts]
    first: dict[frozenset[str], int] = {}
    same = [(first.setdefault(of_row, row), row) for row, of_row in enumerate(words) if len(of_row) >= MIN_WORDS]
    linked = np.array([pair for pair in same if pair[0] != pair[1]], int).reshape(-1, 2)
    rows = np.array(list(first.values()), int)
    near = [rows[pairs] for pairs in _pairs(list(first))]
    return np.concatenate([linked, *near])


def _words(text: str) -> frozenset[str]:
    words = frozenset(text.split())
    return words if len(words) >= MIN_WORDS else words | frozenset(_UNSPACED.findall(text))


def _pairs(sets: Sequence[frozenset[str]]) -> Iterator[NDArray]:
    """Pairs [M, 2], i < j, of different sets with the least Jaccard index, in blocks."""
    frequency = Counter(word for words in sets for word in words)
    rarest_first = sorted(frequency, key=lambda word: (frequency[word], word))
    rank = {word: position for position, word in enumerate(rarest_first)}
    sizes = np.array([len(words) for words in sets], int)
    ranks = [np.sort([rank[word] for word in words]) for words in sets]
    # |A ∩ B| ≥ .8 |A ∪ B| ≥ .8 |A|: were all common words behind the first |A| − ⌈.8 |A|⌉ + 1, they were too few.
    lengths = sizes - np.ceil(JACCARD * sizes - 1e-9).astype(int) + 1
    complete = _indicator(ranks, len(rank))
    prefixes = _indicator([of_set[:n] for of_set, n in zip(ranks, lengths, strict=True)], len(rank))
    candidates = prefixes @ prefixes.sum(axis=0)  # of each row, at most
    for start, stop in _blocks(candidates):
        shared = (prefixes[start:stop] @ prefixes.T).tocoo()
        i, j = shared.row + start, shared.col
        similar = (i < j) & (np.minimum(sizes[i], sizes[j]) >= JACCARD * np.maximum(sizes[i], sizes[j]) - 1e-9)
        i, j = i[similar], j[similar]
        common = complete[i].multiply(complete[j]).sum(axis=1)
        near = common >= JACCARD * (sizes[i] + sizes[j] - common) - 1e-9
        yield np.stack([i[near], j[near]], axis=1)


def _indicator(columns: Sequence[NDArray], width: int) -> csr_array:
    """int32 [len(columns), width] with a 1 in each of the columns of a row."""
    ends = np.cumsum([0, *map(len, columns)])
    indices = np.concatenate([*columns, np.empty(0, int)]).astype(int)
    return csr_array((np.ones(len(indices), np.int32), indices, ends), shape=(len(columns), width))


def _blocks(costs: NDArray) -> Iterator[tuple[int, int]]:
    """Ranges of rows with about `_CANDIDATES` of `costs` each."""
    ends = np.cumsum(costs, dtype=np.int64)
    start = 0
    while start < len(costs):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _CANDIDATES, side="right")))
        yield start, stop
        start = stop
