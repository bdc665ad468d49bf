"""What an expression means: a program over the objects of a scene, kept as JSON, and what running it finds.

After the functional programs of CLEVR (Johnson et al. 2017, arXiv:1612.06890). A program is one of

    {"op": "filter", "colour"?, "shape"?, "size"?}         the objects with these attributes
    {"op": "extreme", "to": DIRECTION, "of": P}            the one furthest to a side
    {"op": "second", "from": DIRECTION, "of": P}           the one next to that
    {"op": "relate", "side": DIRECTION, "of": P, "anchor": P}   those on that side of the anchor
    {"op": "nearest", "of": P, "anchor": P}                the one with the least distance to the anchor
    {"op": "between", "of": P, "anchors": [P, P]}          those between two anchors

with other programs as P. Places are centers. An extreme, a second and a nearest one must lead by `MARGIN` pixels;
those that do not find all that are in question.
"""

from collections.abc import Sequence
from typing import Any

from hallmark.systems.refseg.sample.scenes import SceneObject

Program = dict[str, Any]
MARGIN = 5.0
_AXIS = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}


def run(program: Program, objects: Sequence[SceneObject], slack: float = 0.0) -> frozenset[int]:
    """Positions of the objects that `program` means: one if it is unique, several if ambiguous, or none.

    An anchor that is not one object leaves nothing to relate to, and an anchor is never its own relation.

    Args:
        slack: how generous sides and betweenness are, from −1 (whatever is in doubt is out) to 1 (in).
    """
    operation = program["op"]
    if operation == "filter":
        wanted = {name: value for name, value in program.items() if name != "op"}.items()
        return frozenset(position for position, entity in enumerate(objects) if wanted <= vars(entity).items())
    matches = run(program["of"], objects, slack)
    if operation == "extreme":
        return _foremost(matches, objects, program["to"])
    if operation == "second":
        first = _foremost(matches, objects, program["from"])
        return _foremost(matches - first, objects, program["from"]) if len(first) == 1 else frozenset()
    anchors = [run(anchor, objects, slack) for anchor in program.get("anchors", [program.get("anchor")])]
    if any(len(anchor) != 1 for anchor in anchors):
        return frozenset()
    places = [next(iter(anchor)) for anchor in anchors]
    reference, *ends = (objects[position] for position in places)
    candidates = matches - set(places)
    if operation == "relate":
        edge = _reach(reference, program["side"]) - slack * MARGIN
        return frozenset(position for position in candidates if _reach(objects[position], program["side"]) > edge)
    if operation == "nearest":
        distance = {position: _distance(objects[position], reference) for position in candidates}
        return frozenset(position for position in candidates if distance[position] < min(distance.values()) + MARGIN)
    assert operation == "between", operation
    return frozenset(position for position in candidates if _is_between(objects[position], reference, ends[0], slack))


def the_one(program: Program, objects: Sequence[SceneObject]) -> int | None:
    """The position of the only object that `program` means, however one sees the doubtful; None if there is none."""
    strict = run(program, objects, slack=-1)
    return next(iter(strict)) if len(strict) == 1 and strict == run(program, objects, slack=1) else None


def anchors_of(program: Program) -> list[Program]:
    """The programs of all anchors, however deep."""
    if program["op"] == "filter":
        return []
    anchors = program.get("anchors", [program["anchor"]] if "anchor" in program else [])
    return [*anchors, *anchors_of(program["of"])]


def _reach(entity: SceneObject, direction: str) -> float:
    x, y = _AXIS[direction]
    return x * entity.x + y * entity.y


def _foremost(positions: frozenset[int], objects: Sequence[SceneObject], direction: str) -> frozenset[int]:
    reach = {position: _reach(objects[position], direction) for position in positions}
    return frozenset(position for position in positions if reach[position] > max(reach.values()) - MARGIN)


def _distance(first: SceneObject, second: SceneObject) -> float:
    return ((first.x - second.x) ** 2 + (first.y - second.y) ** 2) ** 0.5


def _is_between(entity: SceneObject, first: SceneObject, second: SceneObject, slack: float) -> bool:
    length = _distance(first, second)
    if not length:
        return False
    ux, uy = (second.x - first.x) / length, (second.y - first.y) / length
    # Along the line within 35 % of its length of the middle, and aside of it by less than 30 % of that.
    along = (entity.x - first.x) * ux + (entity.y - first.y) * uy
    aside = abs((entity.x - first.x) * uy - (entity.y - first.y) * ux)
    return abs(along / length - 0.5) < 0.35 + 0.05 * slack and aside / length < 0.3 + 0.05 * slack
