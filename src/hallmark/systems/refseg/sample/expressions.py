"""Expressions of the sample world: a meaning, the words for it, and what makes each kind hard."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np

from hallmark.systems.refseg.sample.lexicon import DIRECTIONS, LEXICON
from hallmark.systems.refseg.sample.programs import Program, anchors_of, run, the_one
from hallmark.systems.refseg.sample.scenes import SceneObject

T = TypeVar("T")

_ATTRIBUTES = ("size", "colour", "shape")
_TRIES = 8
_SUPERLATIVE = {"left": "leftmost", "right": "rightmost", "top": "topmost", "bottom": "bottommost"}
_SIDE = {"left": "left of", "right": "right of", "top": "above", "bottom": "below"}

Voice = Mapping[str, str]
"""The word chosen for each entry of the lexicon."""


@dataclass(frozen=True)
class Shuffled:
    """The same expression with an anchor replaced: it means another object, or none beyond doubt."""

    text: str
    program: Program
    target: int | None


@dataclass(frozen=True)
class GeneratedExpression:
    """One way to refer.

    Attributes:
        kind: one of `KINDS`.
        target: position of the object meant, one of those possible if it is ambiguous; None if there is none.
        text: as it is given to a model; `canonical`: the same in canonical words.
        held_out: whether `text` has words that training never has.
        shuffled: the control of an expression with anchors; None where no other anchor changes its meaning.
    """

    kind: str
    target: int | None
    program: Program
    text: str
    canonical: str
    held_out: bool
    shuffled: Shuffled | None


class _Groups:
    """The descriptions by attributes of a scene, by how many objects they fit."""

    def __init__(self, objects: Sequence[SceneObject]) -> None:
        groups: dict[tuple[tuple[str, str], ...], set[int]] = {(): set(range(len(objects)))}
        for position, entity in enumerate(objects):
            for size in (1, 2, 3):
                for names in combinations(_ATTRIBUTES, size):
                    groups.setdefault(tuple((name, getattr(entity, name)) for name in names), set()).add(position)
        programs = [({"op": "filter", **dict(key)}, places) for key, places in groups.items()]
        self.shared = [program for program, places in programs if len(places) >= 2]
        self.several = [program for program, places in programs if len(places) >= 3]
        self.unique = [program for program, places in programs if len(places) == 1]
        self.names: dict[int, list[Program]] = {}
        for program, places in programs:
            if len(places) == 1:
                self.names.setdefault(next(iter(places)), []).append(program)
        self.proper = [program for program in self.shared if len(program) > 1]


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


KINDS = (
    "attribute", "superlative", "second", "relation", "nearest", "between", "same_side", "ambiguous", "no_target",
)  # fmt: skip
ANCHORED = ("relation", "nearest", "between", "same_side")
"""Kinds that must look at another object than the target."""


def _draw(rng: np.random.Generator, kind: str, objects: Sequence[SceneObject], groups: _Groups) -> Program | None:
    """A program of this kind; None where the scene, or this draw from it, does not suit the kind."""
    needed = {"second": groups.several, "ambiguous": groups.proper, "between": groups.unique[1:]}
    if not needed.get(kind, groups.unique or kind in ("superlative", "no_target")):
        return None
    match kind:
        case "attribute":
            return _pick(rng, groups.unique)
        case "superlative":
            return {"op": "extreme", "to": _pick(rng, DIRECTIONS), "of": _pick(rng, groups.shared)}
        case "second":
            return {"op": "second", "from": _pick(rng, DIRECTIONS), "of": _pick(rng, groups.several)}
        case "nearest":
            return {"op": "nearest", "of": _pick(rng, groups.shared), "anchor": _pick(rng, groups.unique)}
        case "between":
            anchors = [_pick(rng, groups.unique), _pick(rng, groups.unique)]
            if run(anchors[0], objects) == run(anchors[1], objects):
                return None
            return {"op": "between", "of": _pick(rng, groups.shared), "anchors": anchors}
        case "same_side":  # the nearest of several on one side, which is not the furthest to that side
            group, anchor, side = _pick(rng, groups.shared), _pick(rng, groups.unique), _pick(rng, DIRECTIONS)
            on_side = {"op": "relate", "side": side, "of": group, "anchor": anchor}
            if len(run(on_side, objects, slack=-1)) < 2:
                return None
            program = {"op": "nearest", "of": on_side, "anchor": anchor}
            furthest = run({"op": "extreme", "to": side, "of": group}, objects)
            return None if furthest & run(program, objects) else program
        case "ambiguous":
            return _pick(rng, groups.proper)
    # What nearly is there: a relation of nobody, or an object of the scene with one attribute of another object.
    if kind == "relation" or (groups.unique and rng.random() < 0.3):
        side, group = _pick(rng, DIRECTIONS), _pick(rng, groups.shared)
        return {"op": "relate", "side": side, "of": group, "anchor": _pick(rng, groups.unique)}
    entity, other = _pick(rng, objects), _pick(rng, objects)
    name = _pick(rng, _ATTRIBUTES)
    attributes = {key: getattr(entity, key) for key in ("colour", "shape", *(["size"] if rng.random() < 0.5 else []))}
    return {"op": "filter", **attributes, name: getattr(other, name)}


def expressions(
    rng: np.random.Generator, objects: Sequence[SceneObject], synonyms: float
) -> Iterator[GeneratedExpression]:
    """At most one expression of each kind for a scene; `synonyms` is the share with held-out words."""
    groups = _Groups(objects)
    for kind in KINDS:
        meaning = _meaning(rng, kind, objects, groups)
        if meaning is None:
            continue
        program, target = meaning
        held_out = bool(rng.random() < synonyms)
        voice = _voice(rng, program, held_out)
        shuffled = _shuffle(rng, program, target, objects, groups) if kind in ANCHORED else None
        yield GeneratedExpression(
            kind, target, program, say(program, voice), say(program, CANONICAL_VOICE), held_out,
            None if shuffled is None else Shuffled(say(shuffled, voice), shuffled, the_one(shuffled, objects)),
        )  # fmt: skip


def _meaning(
    rng: np.random.Generator, kind: str, objects: Sequence[SceneObject], groups: _Groups
) -> tuple[Program, int | None] | None:  # fmt: skip
    for _ in range(_TRIES):
        program = _draw(rng, kind, objects, groups)
        if program is None:
            continue
        if kind == "no_target":
            if not run(program, objects, slack=1):
                return program, None
        elif kind == "ambiguous":
            return program, _pick(rng, sorted(run(program, objects)))
        elif (target := the_one(program, objects)) is not None:
            return program, target
    return None


def _shuffle(
    rng: np.random.Generator, program: Program, target: int | None, objects: Sequence[SceneObject], groups: _Groups
) -> Program | None:
    """`program` with an anchor replaced so that it no longer means `target`; sooner another object than none."""
    old = anchors_of(program)[0]
    changed = []
    for position in rng.permutation(sorted(groups.names)).tolist():
        other = _replaced(program, old, _pick(rng, groups.names[position]))
        meant = the_one(other, objects)
        if meant is not None and meant != target:
            return other
        if not run(other, objects, slack=1):
            changed.append(other)
    return changed[0] if changed else None


def _replaced(program: Program, old: Program, new: Program) -> Program:
    changed = dict(program)
    if program["op"] == "filter":
        return changed
    changed["of"] = _replaced(program["of"], old, new)
    if "anchor" in program:
        changed["anchor"] = new if program["anchor"] == old else program["anchor"]
    if "anchors" in program:
        changed["anchors"] = [new if anchor == old else anchor for anchor in program["anchors"]]
    return changed


CANONICAL_VOICE: Voice = {name: words.canonical for name, words in LEXICON.items()}


def _voice(rng: np.random.Generator, program: Program, held_out: bool) -> Voice:
    """Words that training knows; with `held_out`, some or all that have a synonym are one of those."""
    # For every entry, used or not: so the words of one expression do not decide what is drawn after it.
    draws = rng.random((len(LEXICON), 2))
    voice = {
        name: words.known[int(draw * len(words.known))]
        for (name, words), draw in zip(LEXICON.items(), draws[:, 0], strict=True)
    }  # fmt: skip
    if not held_out:
        return voice
    entries: list[str] = []

    class Recorder(dict[str, str]):
        """Notes which entries of the lexicon `say` asks for."""

        def __missing__(self, name: str) -> str:
            entries.append(name)
            return name

    say(program, Recorder())
    used = sorted(set(entries))
    sure = _pick(rng, used)
    for name, draw in zip(LEXICON, draws[:, 1], strict=True):
        options = LEXICON[name].held_out
        if name == sure or (name in used and draw < 0.5):
            voice[name] = _pick(rng, options)
    return voice


def say(program: Program, voice: Voice) -> str:
    """The words of `program`."""
    operation = program["op"]
    if operation == "filter":
        names = [program[name] for name in ("size", "colour") if name in program]
        return " ".join(voice[name] for name in (*names, program.get("shape", "object")))
    if operation == "extreme":
        return f"{voice[_SUPERLATIVE[program['to']]]} {say(program['of'], voice)}"
    if operation == "second":
        return f"{voice['second']} {say(program['of'], voice)} from the {program['from']}"
    if operation == "between":
        first, second = (say(anchor, voice) for anchor in program["anchors"])
        return f"{say(program['of'], voice)} {voice['between']} the {first} and the {second}"
    anchor = say(program["anchor"], voice)
    if operation == "relate":
        return f"{say(program['of'], voice)} {voice[_SIDE[program['side']]]} the {anchor}"
    assert operation == "nearest", operation
    if program["of"]["op"] == "relate":
        return f"{voice['nearest']} {say(program['of'], voice)}"
    return f"{say(program['of'], voice)} {voice['nearest to']} the {anchor}"
