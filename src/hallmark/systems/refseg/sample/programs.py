"""What an expression means: a program over the objects of a scene, kept as JSON, and what running it finds.

After the functional programs of CLEVR (Johnson et al. 2017, arXiv:1612.06890). A program is one of

    {"op": "filter", "colour"?, "shape"?, "size"?}         the objects with these attributes
    {"op": "extreme", "to": DIRECTION, "of": P}            the one furthest to a side
    {"op": "second", "from": DIRECTION, "of": P}           the one next to that
    {"op": "relate", "side": DIRECTION, "of": P, "anchor": P}   those on that side of the anchor
    {"op": "nearest", "of": P, "anchor": P}                the one with the least distance to the anchor
    {"op": "between", "of": P, "anchors": [P, P]}          those between two anchors

with other programs as P. Places are centres. An extreme, a second and a nearest one must lead by `MARGIN` pixels;
those that do not find all that are in question.
"""

from collections.abc import Sequence
from typing import Any

from hallmark.systems.refseg.sample.scenes import Thing

Program = dict[str, Any]
MARGIN = 5.0
_AXIS = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}


def run(program: Program, things: Sequence[Thing], slack: float = 0.0) -> frozenset[int]:
    """Positions of the objects that `program` means: one if it is unique, several if ambiguous, or none.

    An anchor that is not one object leaves nothing to relate to, and an anchor is never its own relation.

    Args:
        slack: how generous sides and betweenness are, from −1 (whatever is in doubt is out) to 1 (in).
    """
    operation = program["op"]
    if operation == "filter":
        wanted = {name: value for name, value in program.items() if name != "op"}.items()
        return frozenset(position for position, thing in enumerate(things) if wanted <= vars(thing).items())
    matches = run(program["of"], things, slack)
    if operation == "extreme":
        return _foremost(matches, things, program["to"])
    if operation == "second":
        first = _foremost(matches, things, program["from"])
        return _foremost(matches - first, things, program["from"]) if len(first) == 1 else frozenset()
    anchors = [run(anchor, things, slack) for anchor in program.get("anchors", [program.get("anchor")])]
    if any(len(anchor) != 1 for anchor in anchors):
        return frozenset()
    places = [next(iter(anchor)) for anchor in anchors]
    return _related(program, matches - set(places), [things[position] for position in places], things, slack)


def the_one(program: Program, things: Sequence[Thing]) -> int | None:
    """The position of the only object that `program` means, however one sees the doubtful; None if there is none."""
    strict = run(program, things, slack=-1)
    return next(iter(strict)) if len(strict) == 1 and strict == run(program, things, slack=1) else None


def anchors_of(program: Program) -> list[Program]:
    """The programs of all anchors, however deep."""
    if program["op"] == "filter":
        return []
    anchors = program.get("anchors", [program["anchor"]] if "anchor" in program else [])
    return [*anchors, *anchors_of(program["of"])]


def _reach(thing: Thing, direction: str) -> float:
    x, y = _AXIS[direction]
    return x * thing.x + y * thing.y


def _foremost(positions: frozenset[int], things: Sequence[Thing], direction: str) -> frozenset[int]:
    reach = {position: _reach(things[position], direction) for position in positions}
    return frozenset(position for position in positions if reach[position] > max(reach.values()) - MARGIN)


def _related(
    program: Program, positions: frozenset[int], anchors: list[Thing], things: Sequence[Thing], slack: float
) -> frozenset[int]:
    if program["op"] == "relate":
        edge = _reach(anchors[0], program["side"]) - slack * MARGIN
        return frozenset(position for position in positions if _reach(things[position], program["side"]) > edge)
    if program["op"] == "nearest":
        distance = {position: _distance(things[position], anchors[0]) for position in positions}
        return frozenset(position for position in positions if distance[position] < min(distance.values()) + MARGIN)
    assert program["op"] == "between", program["op"]
    first, second = anchors
    return frozenset(position for position in positions if _is_between(things[position], first, second, slack))


def _distance(first: Thing, second: Thing) -> float:
    return ((first.x - second.x) ** 2 + (first.y - second.y) ** 2) ** 0.5


def _is_between(thing: Thing, first: Thing, second: Thing, slack: float) -> bool:
    length = _distance(first, second)
    if not length:
        return False
    ux, uy = (second.x - first.x) / length, (second.y - first.y) / length
    along = (thing.x - first.x) * ux + (thing.y - first.y) * uy
    aside = abs((thing.x - first.x) * uy - (thing.y - first.y) * ux)
    return abs(along / length - 0.5) < 0.35 + 0.05 * slack and aside / length < 0.3 + 0.05 * slack
