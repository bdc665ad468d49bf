"""Words of referring expressions: which stand for which, and which are opposites."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hallmark.checks import require
from hallmark.learning.encoders.weights import local_path

Texts = Mapping[str, str] | Path | str

SYNONYMS = "package:hallmark/systems/refseg/vlm/synonyms.json"
"""Synonym → common word, for colors, sizes, shapes and places of everyday pictures.

Written by hand for referring expressions in general, by the authors of the sample world: that it knows 25 of the 39
words which that world keeps from training is no measure of what a dictionary knows.
"""

_GAP = re.compile(r"[\s,;:!?()\"“”/]+|\.(?!\d)|(?<!\w)['‘]|['’](?!\w)")
_PAIRS = (
    ("left", "right"), ("leftmost", "rightmost"), ("top", "bottom"), ("topmost", "bottommost"), ("above", "below"),
    ("highest", "lowest"), ("upper", "lower"), ("front", "back"), ("first", "last"), ("nearest", "farthest"),
    ("closest", "farthest"), ("small", "large"), ("smallest", "largest"), ("little", "big"), ("short", "tall"),
    ("young", "old"), ("dark", "light"), ("black", "white"), ("red", "green"), ("blue", "yellow"),
    ("purple", "orange"), ("cyan", "pink"), ("brown", "gray"), ("circle", "square"), ("triangle", "star"),
    ("cross", "diamond"), ("man", "woman"), ("boy", "girl"), ("with", "without"), ("standing", "sitting"),
)  # fmt: skip
OPPOSITES: Mapping[str, str] = {
    a: b for first, second in reversed(_PAIRS) for a, b in ((second, first), (first, second))
}
FUNCTION_WORDS = frozenset(
    ("a", "an", "and", "are", "as", "at", "by", "for", "from", "her", "his", "in", "is", "it", "its", "of", "on", "one",
     "or", "that", "the", "their", "there", "this", "to", "which", "who", "with")
)  # fmt: skip


def read_texts(source: Texts, key: str) -> dict[str, str]:
    """A mapping of texts, given as such or as a JSON file that holds one object; `package:<package>/<path>` is one of a
    package.

    Raises:
        ValueError: there is no such file, or it holds something else; names the setting `key`.
    """
    if isinstance(source, Mapping):
        texts: Any = dict(source)
    else:
        packaged = local_path(str(source)) if str(source).startswith("package:") else None
        path, texts = packaged or Path(source), None
        require(path.is_file(), key, str(source), "a mapping, or a JSON file that holds one")
        try:
            texts = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            require(False, key, str(source), "a file that can be read as JSON")
    plain = isinstance(texts, dict) and all(isinstance(text, str) for pair in texts.items() for text in pair)
    require(plain, key, source if isinstance(source, Mapping) else str(source), "a mapping of texts to texts")
    return texts


def words(text: str) -> list[str]:
    """Lower-case words, with their inner hyphens and apostrophes."""
    return [word for word in _GAP.split(text.lower()) if word]
