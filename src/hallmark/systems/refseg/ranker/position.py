"""What words of place and size say about a region, by rules.

CLIP knows little of places. Ref-Diff (Ni et al. 2023, arXiv:2308.16777) therefore biases its scores towards the side
that an expression names, and ReCLIP (Subramanian et al. 2022, arXiv:2204.05991) ranks boxes by its superlatives. The
rules here know no grammar:

- A word of place or size counts until the expression turns to another object: `next to`, `near`, `behind`,
  `between`, `from`, `of` after a word of place … . So `left of the car` prefers the left, as what is left of something
  mostly is, and `dog next to the left car` prefers nothing.
- A word of size counts only before the first preposition: `man with the big hat` is no big man.
- `right` just before such a turn is an adverb (`right behind the car`).
"""

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

_PLACES: Mapping[str, tuple[str, ...]] = {
    "left": ("left", "leftmost", "leftest", "lefthand", "leftside"),
    "right": ("right", "rightmost", "rightest", "righthand", "rightside"),
    "top": ("top", "topmost", "upper", "uppermost", "highest", "higher", "above"),
    "bottom": ("bottom", "bottommost", "lower", "lowermost", "lowest", "below", "beneath", "underneath"),
    "middle": ("middle", "center", "centre", "central", "centered", "centred", "mid", "middlemost"),
}
_SIZES: Mapping[str, tuple[str, ...]] = {
    "large": ("big", "bigger", "biggest", "large", "larger", "largest", "huge", "giant"),
    "small": ("small", "smaller", "smallest", "little", "littlest", "tiny", "tiniest"),
}
_PLACE = {word: meaning for meaning, words in _PLACES.items() for word in words}
_SIZE = {word: meaning for meaning, words in _SIZES.items() for word in words}
_RELATIONS = frozenset(
    ("above", "adjacent", "amid", "behind", "below", "beneath", "beside", "besides", "between", "by", "closest",
     "from", "near", "nearest", "next", "than", "under", "underneath")
)  # fmt: skip
_PREPOSITIONS = _RELATIONS | frozenset(("at", "for", "has", "holding", "in", "of", "on", "to", "wearing", "with"))


def position_terms(query: str) -> list[str]:
    """What a query says of place and size: left, right, top, bottom, middle, large, small, each at most once."""
    words = re.findall(r"[a-z0-9]+", query.lower())
    terms: list[str] = []
    leading = True
    for position, word in enumerate(words):
        following = words[position + 1] if position + 1 < len(words) else ""
        leading = leading and word not in _PREPOSITIONS
        if word in _PLACE and not (word == "right" and following in _RELATIONS):
            terms.append(_PLACE[word])
        if leading and word in _SIZE:
            terms.append(_SIZE[word])
        if word in _RELATIONS or (word in _PLACE and following == "of"):
            break
    return list(dict.fromkeys(terms))


def position_bias(query: str, geometry: NDArray) -> NDArray:
    """How well each region fits the words of place and size, float64 [N] from −1 to 1; 0 without such words.

    The mean over the terms of the query. With the center x, y of the box as shares of the image: left 1 − 2x, right
    2x − 1, top 1 − 2y, bottom 2y − 1; middle 1 − 2d, d being the distance from the center of the image as a share of
    half its diagonal, both sides taken as 1; large is the rank by area among the regions from −1 to 1 (equal areas
    share theirs; 0 for a single region), small its negative.

    Args:
        geometry: [N, 5] as of `Regions`.
    """
    terms = position_terms(query)
    if not terms or not len(geometry):
        return np.zeros(len(geometry))
    geometry = np.asarray(geometry, np.float64)
    centers = (geometry[:, :2] + geometry[:, 2:4]) / 2
    x, y = centers.T
    large = 2 * (rankdata(geometry[:, 4]) - 1) / max(1, len(geometry) - 1) - (len(geometry) > 1)
    biases = {
        "left": 1 - 2 * x, "right": 2 * x - 1, "top": 1 - 2 * y, "bottom": 2 * y - 1,
        "middle": 1 - 2 * np.linalg.norm(centers - 0.5, axis=1) / np.sqrt(0.5), "large": large, "small": -large,
    }  # fmt: skip
    return np.mean([biases[term] for term in terms], axis=0)
