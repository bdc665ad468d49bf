"""Drawn scenes: masks, colours, shapes and sizes."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.systems.refseg.sample.conftest import ARGUMENTS

from hallmark.data.masks import areas, decode, encode, overlap
from hallmark.systems.refseg.sample import world
from hallmark.systems.refseg.sample.lexicon import COLOURS, SHAPES, SIZES
from hallmark.systems.refseg.sample.scenes import SIDE, draw_scene, inside


@settings(max_examples=25)
@given(st.integers(0, 2**40))
def test_any_scene(seed):
    scene = draw_scene(np.random.default_rng(seed))
    count = len(scene.objects)
    assert 3 <= count <= 7
    assert scene.image.shape == (SIDE, SIDE, 3) and scene.image.dtype == np.uint8
    assert scene.masks.shape == (count, SIDE, SIDE) and (scene.masks.sum(axis=0) <= 1).all()
    for entity, mask in zip(scene.objects, scene.masks, strict=True):
        assert (entity.colour in COLOURS, entity.shape in SHAPES, entity.size in SIZES) == (True, True, True)
        rows, columns = np.nonzero(mask)
        assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((entity.x, entity.y))
        assert len(rows) >= 40
        seen = np.median(scene.image[mask], axis=0)
        nearest = min(COLOURS, key=lambda name: np.linalg.norm(np.array(COLOURS[name]) - seen))
        assert np.linalg.norm(np.array(COLOURS[entity.colour]) - seen) < 75, (entity, nearest)


def test_shapes_have_one_area():
    line = (np.arange(400) + 0.5) / 100 - 2
    u, v = np.meshgrid(line, line)
    shape_areas = {shape: (inside(shape, u, v) < 0).mean() * 16 / np.pi for shape in SHAPES}
    assert shape_areas == pytest.approx(dict.fromkeys(SHAPES, 1), abs=0.06)


def test_objects_hide_parts_of_each_other_and_fill_all_sizes(images):
    touching = 0
    for record in images:
        masks = decode([entry["mask"] for entry in record["objects"]], (SIDE, SIDE))
        grown = [np.roll(mask, 1, axis) for mask in masks for axis in (0, 1)]
        touching += any((grown[2 * a + axis] & masks[b]).any() for a, b in itertools.permutations(range(len(masks)), 2)
                        for axis in (0, 1))  # fmt: skip
    assert 0.3 < touching / len(images) < 1
    share = np.concatenate([areas([entry["mask"] for entry in record["objects"]]) for record in images]) / SIDE**2
    assert (share < 0.05).mean() > 0.3 and ((share >= 0.05) & (share <= 0.2)).mean() > 0.3 and (share > 0.2).any()


def test_masks_are_exact(images):
    """Drawn again from the seed, the masks are those in the file."""
    for row, record in enumerate(record for record in images[:5]):
        scene, _ = world.draw_row(ARGUMENTS["seed"], "train", row, 0.0)
        assert [
            overlap(entry["mask"], rle).iou for entry, rle in zip(record["objects"], encode(scene.masks), strict=True)
        ] == [1.0] * len(scene.objects)
