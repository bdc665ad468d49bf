import io
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hallmark.systems.refseg.masks import areas, boxes, decode, encode, overlap
from hallmark.systems.refseg.sample import expressions as words
from hallmark.systems.refseg.sample import generate, world
from hallmark.systems.refseg.sample.expressions import ANCHORED, KINDS
from hallmark.systems.refseg.sample.lexicon import CANONICAL, COLOURS, HELD_OUT, LEXICON, SHAPES, SIZES, normalise
from hallmark.systems.refseg.sample.programs import MARGIN, anchors_of, run, the_one
from hallmark.systems.refseg.sample.scenes import SIDE, Thing, draw_scene, inside

ARGUMENTS = {"train": 60, "val": 20, "test": 80, "seed": 3, "synonyms": 0.5}
SMALL = {"train": 3, "val": 2, "test": 2, "seed": 0, "synonyms": 0.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("sample") / "world", **ARGUMENTS)


@pytest.fixture(scope="module")
def images(folder: Path) -> list[dict]:
    return [
        record
        for split in ("train", "val", "test")
        for record in pq.read_table(folder / f"{split}.parquet").to_pylist()
    ]


@pytest.fixture(scope="module")
def pairs(images) -> pd.DataFrame:
    """One row an (image, sentence) pair, with the scene's objects and the position of the target."""
    rows = []
    for record in images:
        things = [Thing(**{k: v for k, v in own.items() if k != "mask"}) for own in record["objects"]]
        for sample in record["samples"]:
            found = [k for k, own in enumerate(record["objects"]) if own["mask"] == sample["mask"]]
            for text, about in zip(sample["sentences"], sample["expressions"], strict=True):
                target = None if sample["no_target"] else found[0]
                program = json.loads(about["program"])
                rows.append({"split": record["split"], "text": text, "target": target, "things": things, **about,
                             "objects": record["objects"], "program": program, "mask": sample["mask"]})  # fmt: skip
    return pd.DataFrame(rows).astype({"target": object})


def place(value) -> int | None:
    return None if value is None or pd.isna(value) else int(value)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Programs


ROW = [  # x, y in pixels: a red star, a blue star, a red circle, a blue circle
    Thing("red", "star", "small", 10, 50), Thing("blue", "star", "large", 30, 48),
    Thing("red", "circle", "small", 60, 10), Thing("blue", "circle", "small", 80, 52),
]  # fmt: skip
STARS, ALL = {"op": "filter", "shape": "star"}, {"op": "filter"}
BLUE_CIRCLE = {"op": "filter", "colour": "blue", "shape": "circle"}
RED_STAR = {"op": "filter", "colour": "red", "shape": "star"}


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (STARS, {0, 1}),
        (ALL, {0, 1, 2, 3}),
        ({"op": "filter", "colour": "green"}, set()),
        ({"op": "extreme", "to": "left", "of": ALL}, {0}),
        ({"op": "extreme", "to": "top", "of": STARS}, {0, 1}),  # 2 pixels apart
        ({"op": "extreme", "to": "bottom", "of": ALL}, {0, 1, 3}),
        ({"op": "second", "from": "left", "of": ALL}, {1}),
        ({"op": "second", "from": "right", "of": STARS}, {0}),
        ({"op": "second", "from": "top", "of": STARS}, set()),  # nobody knows the first
        ({"op": "relate", "side": "left", "of": STARS, "anchor": BLUE_CIRCLE}, {0, 1}),
        ({"op": "relate", "side": "right", "of": ALL, "anchor": RED_STAR}, {1, 2, 3}),
        ({"op": "relate", "side": "left", "of": ALL, "anchor": STARS}, set()),  # two anchors
        ({"op": "nearest", "of": STARS, "anchor": BLUE_CIRCLE}, {1}),
        ({"op": "nearest", "of": ALL, "anchor": RED_STAR}, {1}),  # not the anchor itself
        ({"op": "between", "of": ALL, "anchors": [RED_STAR, BLUE_CIRCLE]}, {1}),  # the red circle is 40 aside
        ({"op": "between", "of": ALL, "anchors": [RED_STAR, RED_STAR]}, set()),
    ],
)
def test_programs_by_hand(program, expected):
    assert run(program, ROW) == expected
    assert the_one(program, ROW) == (next(iter(expected)) if len(expected) == 1 else None)
    assert json.loads(json.dumps(program)) == program


def test_what_is_in_doubt_is_not_the_one():
    program = {"op": "relate", "side": "top", "of": ALL, "anchor": BLUE_CIRCLE}
    assert run(program, ROW) == {0, 1, 2}
    assert run(program, ROW, slack=-1) == {2}  # the stars are 2 and 4 pixels above it
    assert the_one(program, ROW) is None
    aside = [ROW[0], ROW[3], Thing("red", "cross", "small", 45, 50 + 0.33 * 70)]
    between = {"op": "between", "of": ALL, "anchors": [RED_STAR, BLUE_CIRCLE]}
    assert (run(between, aside, -1), run(between, aside, 1)) == (set(), {2})
    assert the_one(between, aside) is None


def test_anchors_of_a_program():
    nearest = {"op": "nearest", "of": {"op": "relate", "side": "left", "of": ALL, "anchor": RED_STAR}, "anchor": STARS}
    assert anchors_of(nearest) == [STARS, RED_STAR]
    assert anchors_of({"op": "extreme", "to": "left", "of": ALL}) == []


# Scenes


@settings(max_examples=25)
@given(st.integers(0, 2**40))
def test_any_scene(seed):
    scene = draw_scene(np.random.default_rng(seed))
    count = len(scene.things)
    assert 3 <= count <= 7
    assert scene.image.shape == (SIDE, SIDE, 3) and scene.image.dtype == np.uint8
    assert scene.masks.shape == (count, SIDE, SIDE) and (scene.masks.sum(axis=0) <= 1).all()
    for thing, mask in zip(scene.things, scene.masks, strict=True):
        assert (thing.colour in COLOURS, thing.shape in SHAPES, thing.size in SIZES) == (True, True, True)
        rows, columns = np.nonzero(mask)
        assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((thing.x, thing.y))
        assert len(rows) >= 40
        seen = np.median(scene.image[mask], axis=0)
        nearest = min(COLOURS, key=lambda name: np.linalg.norm(np.array(COLOURS[name]) - seen))
        assert np.linalg.norm(np.array(COLOURS[thing.colour]) - seen) < 75, (thing, nearest)


def test_shapes_have_one_area():
    line = (np.arange(400) + 0.5) / 100 - 2
    u, v = np.meshgrid(line, line)
    found = {shape: (inside(shape, u, v) < 0).mean() * 16 / np.pi for shape in SHAPES}
    assert found == pytest.approx(dict.fromkeys(SHAPES, 1), abs=0.06)


def test_objects_hide_parts_of_each_other_and_fill_all_sizes(images):
    touching = 0
    for record in images:
        masks = decode([own["mask"] for own in record["objects"]], (SIDE, SIDE))
        grown = [np.roll(mask, 1, axis) for mask in masks for axis in (0, 1)]
        touching += any((grown[2 * a + axis] & masks[b]).any() for a, b in itertools.permutations(range(len(masks)), 2)
                        for axis in (0, 1))  # fmt: skip
    assert 0.3 < touching / len(images) < 1
    share = np.concatenate([areas([own["mask"] for own in record["objects"]]) for record in images]) / SIDE**2
    assert (share < 0.05).mean() > 0.3 and ((share >= 0.05) & (share <= 0.2)).mean() > 0.3 and (share > 0.2).any()


# Expressions


def test_every_kind_is_there_and_every_program_means_its_target(pairs):
    counts = pairs["kind"].value_counts()
    assert set(counts.index) == set(KINDS)
    assert counts.min() > 20
    for row in pairs.itertuples():
        found = run(row.program, row.things)
        if row.kind == "no_target":
            assert found == set() and place(row.target) is None and not areas([row.mask])[0]
        elif row.kind == "ambiguous":
            assert len(found) >= 2 and place(row.target) in found
        else:
            assert found == {place(row.target)} == {the_one(row.program, row.things)}


def test_sides_are_those_of_the_masks(pairs):
    """The executor against plain geometry of the drawn masks, for one operation of each sort."""
    checked = 0
    for row in pairs[pairs["kind"].isin(["superlative", "nearest"])].itertuples():
        rows, columns = zip(
            *(np.nonzero(mask) for mask in decode([o["mask"] for o in row.objects], (SIDE, SIDE))), strict=True
        )
        x, y = np.array([c.mean() for c in columns]), np.array([r.mean() for r in rows])
        group = sorted(run(row.program["of"], row.things))
        if row.kind == "superlative":
            value = {"left": x, "right": -x, "top": y, "bottom": -y}[row.program["to"]]
        else:
            [anchor] = run(row.program["anchor"], row.things)
            value = np.hypot(x - x[anchor], y - y[anchor])
            group = [place for place in group if place != anchor]
        best, *others = sorted(group, key=lambda place: value[place])
        assert best == place(row.target)
        assert not others or value[others[0]] - value[best] >= MARGIN - 1e-3
        checked += bool(others)
    assert checked > 100


def test_shortcuts_fail_where_they_should(pairs):
    def shortcut(row) -> bool:
        group = row.program["of"]["of"] if row.kind == "same_side" else row.program["of"]
        side = row.program["of"].get("side") or row.program.get("side") or row.program.get("from")
        return place(row.target) in run({"op": "extreme", "to": side, "of": group}, row.things)

    found = {kind: rows.apply(shortcut, axis=1).mean() for kind, rows in pairs.groupby("kind")
             if kind in ("relation", "same_side", "second")}  # fmt: skip
    assert found["relation"] > 0.8  # the furthest to the left is usually the one that is left of something
    assert found["same_side"] == found["second"] == 0


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
        found = run(program, row.things, slack=1)
        if areas([row.shuffled_target])[0]:
            [target] = found
            assert target != place(row.target) and row.objects[target]["mask"] == row.shuffled_target
            others += 1
        else:
            assert found == set()
    assert others > 0.2 * len(controls)


def test_held_out_words_are_never_trained_on(pairs):
    def held(text: str) -> bool:
        return any(re.search(rf"\b{re.escape(word)}\b", text) for word in HELD_OUT)

    unseen = pairs["text"].map(held)
    assert (unseen == pairs["held_out"]).all()
    assert not unseen[pairs["split"] == "train"].any()
    assert unseen[pairs["split"] != "train"].mean() == pytest.approx(0.5, abs=0.1)
    assert not pairs["canonical"].map(held).any()
    assert pairs["text"].map(normalise).tolist() == pairs["canonical"].tolist()
    assert (pairs["text"] != pairs["canonical"])[pairs["split"] == "train"].mean() > 0.1  # synonyms training knows
    assert pairs["shuffled"].dropna().map(held).groupby(pairs["held_out"]).mean()[False] == 0


def test_no_word_stands_for_two_things():
    every = [word for entry in LEXICON.values() for word in (*entry.known, *entry.held_out)]
    assert len(set(every)) == len(every)
    assert set(CANONICAL) == {word for entry in LEXICON.values() for word in (*entry.known, *entry.held_out)} - {
        entry.canonical for entry in LEXICON.values()
    }


# Files


def test_schema_of_refcoco_m(folder, images):
    assert sorted(path.name for path in folder.iterdir()) == [
        "sample.json",
        "test.parquet",
        "train.parquet",
        "val.parquet",
    ]
    ids = [sample["id"] for record in images for sample in record["samples"]]
    assert len(set(ids)) == len(ids)
    assert len({record["image_id"] for record in images}) == len(images) == 160
    for record in images:
        image = Image.open(io.BytesIO(record["image"]["bytes"]))
        assert image.size == (SIDE, SIDE)
        for sample in record["samples"]:
            assert sample["image_id"] == record["image_id"] and sample["sentences"]
            x0, y0, x1, y1 = boxes([sample["mask"]])[0]
            assert sample["bbox"] == [x0, y0, x1 - x0, y1 - y0]


def test_record_counts_the_files(folder, pairs):
    record = json.loads((folder / "sample.json").read_text())
    assert record["arguments"] == ARGUMENTS
    test = pairs[pairs["split"] == "test"]
    assert record["counts"]["test_held_out"] == test["held_out"].sum()
    assert record["counts"]["test_between"] == (test["kind"] == "between").sum()
    assert record["counts"]["val_images"] == 20


def test_same_arguments_give_the_same_bytes_in_another_process(tmp_path):
    here = generate(tmp_path / "here", **SMALL)
    code = (
        "import sys; from pathlib import Path; from hallmark.systems.refseg.sample import generate; "
        f"generate(Path(sys.argv[1]), **{SMALL!r})"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, tmp_path / "there"], check=True, env=environment)
    assert contents(here) == contents(tmp_path / "there")


def test_a_row_stands_for_itself(folder, tmp_path, images):
    """More images, other words or another split's size leave a row as it was."""
    other = generate(tmp_path / "other", **ARGUMENTS | {"train": 1, "val": 2, "test": 9, "synonyms": 0.0})
    found = pq.read_table(other / "test.parquet").to_pylist()
    originals = [record for record in images if record["split"] == "test"][:9]
    for record, original in zip(found, originals, strict=True):
        assert (record["image"], record["objects"]) == (original["image"], original["objects"])
    seeded = generate(tmp_path / "seeded", **ARGUMENTS | {"train": 1, "val": 1, "test": 1, "seed": 4})
    assert pq.read_table(seeded / "test.parquet").to_pylist()[0]["image"] != originals[0]["image"]


def test_a_complete_folder_is_left_alone(tmp_path, monkeypatch):
    folder = generate(tmp_path / "world", **SMALL)
    monkeypatch.setattr(world, "draw_scene", None)
    assert generate(folder, **SMALL) == folder
    with pytest.raises(ValueError, match="choose another folder"):
        generate(folder, **SMALL | {"test": 3})


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    calls, draw = itertools.count(), world.draw_scene

    def stop(rng):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return draw(rng)

    monkeypatch.setattr(world, "draw_scene", stop)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "world", **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "value"), [("train", -1), ("seed", -1), ("synonyms", 1.5)])
def test_bad_arguments_are_named(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"{name}={value}"):
        generate(tmp_path / "world", **SMALL | {name: value})
    with pytest.raises(ValueError, match="an image in some split"):
        generate(tmp_path / "world", **SMALL | {"train": 0, "val": 0, "test": 0})


def test_masks_are_exact(images):
    """Drawn again from the seed, the masks are those in the file."""
    for row, record in enumerate(record for record in images[:5]):
        scene, _ = world.draw_row(ARGUMENTS["seed"], "train", row, 0.0)
        assert [
            overlap(own["mask"], rle).iou for own, rle in zip(record["objects"], encode(scene.masks), strict=True)
        ] == [1.0] * len(scene.things)


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_any_held_out_expression_has_canonical_words(seed):
    scene = draw_scene(np.random.default_rng(seed))
    found = list(words.expressions(np.random.default_rng(seed), scene.things, 1.0))
    assert all(expression.held_out and normalise(expression.text) == expression.canonical for expression in found)
