"""Expressions: each means its target; shortcuts, exchanged anchors and held-out words."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.systems.refseg.sample.conftest import place

from hallmark.data.masks import areas, decode
from hallmark.systems.refseg.sample import expressions as words
from hallmark.systems.refseg.sample.expressions import ANCHORED, KINDS
from hallmark.systems.refseg.sample.lexicon import CANONICAL, LEXICON
from hallmark.systems.refseg.sample.programs import MARGIN, run, the_one
from hallmark.systems.refseg.sample.scenes import SIDE, draw_scene


def test_every_kind_is_there_and_every_program_means_its_target(pairs):
    counts = pairs["kind"].value_counts()
    assert set(counts.index) == set(KINDS)
    assert counts.min() > 20
    for row in pairs.itertuples():
        indices = run(row.program, row.drawn)
        if row.kind == "no_target":
            assert indices == set() and place(row.target) is None and not areas([row.mask])[0]
        elif row.kind == "ambiguous":
            assert len(indices) >= 2 and place(row.target) in indices
        else:
            assert indices == {place(row.target)} == {the_one(row.program, row.drawn)}


def test_sides_are_those_of_the_masks(pairs):
    """The executor against plain geometry of the drawn masks, for one operation of each sort."""
    checked = 0
    for row in pairs[pairs["kind"].isin(["superlative", "nearest"])].itertuples():
        rows, columns = zip(
            *(np.nonzero(mask) for mask in decode([o["mask"] for o in row.objects], (SIDE, SIDE))), strict=True
        )
        x, y = np.array([c.mean() for c in columns]), np.array([r.mean() for r in rows])
        group = sorted(run(row.program["of"], row.drawn))
        if row.kind == "superlative":
            value = {"left": x, "right": -x, "top": y, "bottom": -y}[row.program["to"]]
        else:
            [anchor] = run(row.program["anchor"], row.drawn)
            value = np.hypot(x - x[anchor], y - y[anchor])
            group = [index for index in group if index != anchor]
        best, *others = sorted(group, key=lambda index: value[index])
        assert best == place(row.target)
        assert not others or value[others[0]] - value[best] >= MARGIN - 1e-3
        checked += bool(others)
    assert checked > 100


def test_shortcuts_fail_where_they_should(pairs):
    def shortcut(row) -> bool:
        group = row.program["of"]["of"] if row.kind == "same_side" else row.program["of"]
        side = row.program["of"].get("side") or row.program.get("side") or row.program.get("from")
        return place(row.target) in run({"op": "extreme", "to": side, "of": group}, row.drawn)

    rates = {kind: rows.apply(shortcut, axis=1).mean() for kind, rows in pairs.groupby("kind")
             if kind in ("relation", "same_side", "second")}  # fmt: skip
    assert rates["relation"] > 0.8  # the furthest to the left is usually the one that is left of something
    assert rates["same_side"] == rates["second"] == 0


def test_shuffled_anchors_change_the_meaning(pairs):
    assert pairs.loc[~pairs["kind"].isin(ANCHORED), "shuffled"].isna().all()
    controls = pairs[pairs["shuffled"].notna()]
    assert len(controls) > 0.6 * pairs["kind"].isin(ANCHORED).sum()
    others = 0
    for row in controls.itertuples():
        program = json.loads(row.shuffled_program)
        assert row.shuffled != row.text and program != row.program
        assert {key: program[key] for key in ("op", "side") if key in program} == {
            key: row.program[key] for key in ("op", "side") if key in row.program
        }
        indices = run(program, row.drawn, slack=1)
        if areas([row.shuffled_target])[0]:
            [target] = indices
            assert target != place(row.target) and row.objects[target]["mask"] == row.shuffled_target
            others += 1
        else:
            assert indices == set()
    assert others > 0.2 * len(controls)


def in_canonical_words(text: str) -> str:
    longest_first = sorted(CANONICAL, key=len, reverse=True)
    return re.sub(rf"\b({'|'.join(map(re.escape, longest_first))})\b", lambda match: CANONICAL[match[0]], text)


def test_held_out_words_are_never_trained_on(pairs):
    def held(text: str) -> bool:
        return any(re.search(rf"\b{re.escape(word)}\b", text) for words in LEXICON.values() for word in words.held_out)

    unseen = pairs["text"].map(held)
    assert (unseen == pairs["held_out"]).all()
    assert not unseen[pairs["split"] == "train"].any()
    assert unseen[pairs["split"] != "train"].mean() == pytest.approx(0.5, abs=0.1)
    assert not pairs["canonical"].map(held).any()
    assert pairs["text"].map(in_canonical_words).tolist() == pairs["canonical"].tolist()
    assert (pairs["text"] != pairs["canonical"])[pairs["split"] == "train"].mean() > 0.1  # synonyms training knows
    assert pairs["shuffled"].dropna().map(held).groupby(pairs["held_out"]).mean()[False] == 0


def test_no_word_stands_for_two_things():
    every = [word for entry in LEXICON.values() for word in (*entry.known, *entry.held_out)]
    assert len(set(every)) == len(every)
    assert set(CANONICAL) == {word for entry in LEXICON.values() for word in (*entry.known, *entry.held_out)} - {
        entry.canonical for entry in LEXICON.values()
    }


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_any_held_out_expression_has_canonical_words(seed):
    scene = draw_scene(np.random.default_rng(seed))
    expressions = list(words.expressions(np.random.default_rng(seed), scene.objects, 1.0))
    assert all(
        expression.held_out and in_canonical_words(expression.text) == expression.canonical
        for expression in expressions
    )
