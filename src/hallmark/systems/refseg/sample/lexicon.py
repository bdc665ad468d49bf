"""The words of the sample world: those that training sees, and synonyms that only the other splits use."""

from collections.abc import Mapping
from dataclasses import dataclass, field

COLOURS = {
    "red": (214, 48, 49), "green": (46, 160, 67), "blue": (45, 98, 214), "yellow": (240, 204, 48),
    "purple": (136, 66, 190), "orange": (238, 130, 38), "cyan": (60, 200, 212), "pink": (244, 143, 188),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
SIZES = ("small", "large")
DIRECTIONS = ("left", "right", "top", "bottom")


@dataclass(frozen=True)
class Words:
    """Ways to say the same: `known` ones, the canonical first, and those `held_out` of training."""

    known: tuple[str, ...]
    held_out: tuple[str, ...] = field(default=())

    @property
    def canonical(self) -> str:
        return self.known[0]


LEXICON: Mapping[str, Words] = {
    "red": Words(("red",), ("crimson", "scarlet")),
    "green": Words(("green",), ("emerald",)),
    "blue": Words(("blue",), ("azure", "navy")),
    "yellow": Words(("yellow",), ("golden",)),
    "purple": Words(("purple",), ("violet",)),
    "orange": Words(("orange",), ("tangerine",)),
    "cyan": Words(("cyan",), ("turquoise", "teal")),
    "pink": Words(("pink",), ("rosy",)),
    "circle": Words(("circle",), ("disc", "ball")),
    "square": Words(("square",), ("box", "block")),
    "triangle": Words(("triangle",), ("pyramid", "wedge")),
    "star": Words(("star",), ("asterisk",)),
    "cross": Words(("cross",), ("plus",)),
    "diamond": Words(("diamond",), ("rhombus", "lozenge")),
    "object": Words(("object", "thing"), ("item",)),
    "small": Words(("small", "little"), ("tiny", "mini")),
    "large": Words(("large", "big"), ("huge", "giant")),
    "leftmost": Words(("leftmost",), ("westernmost",)),
    "rightmost": Words(("rightmost",), ("easternmost",)),
    "topmost": Words(("topmost", "highest"), ("uppermost",)),
    "bottommost": Words(("bottommost", "lowest"), ("southernmost",)),
    "left of": Words(("left of", "to the left of"), ("west of",)),
    "right of": Words(("right of", "to the right of"), ("east of",)),
    "above": Words(("above",), ("over",)),
    "below": Words(("below",), ("beneath", "underneath")),
    "nearest": Words(("nearest", "closest"), ("adjacent",)),
    "nearest to": Words(("nearest to", "closest to"), ("adjacent to",)),
    "between": Words(("between",), ("amid",)),
    "second": Words(("second",), ("2nd",)),
}

CANONICAL: Mapping[str, str] = {
    word: words.canonical for words in LEXICON.values() for word in (*words.known[1:], *words.held_out)
}
"""Every other way to say something → its canonical one: what a normalizer of queries has to know."""


class Synonyms(dict[str, str]):
    """`CANONICAL` as a plain table, for configurations."""

    def __init__(self) -> None:
        super().__init__(CANONICAL)
