"""The files of a world: schema, record, the same bytes each time."""

import io
import itertools
import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.systems.refseg.sample.conftest import ARGUMENTS, SMALL, contents

from hallmark.data.masks import boxes
from hallmark.systems.refseg.sample import world
from hallmark.systems.refseg.sample.scenes import SIDE
from hallmark.systems.refseg.sample.world import generate


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
        "import sys; from pathlib import Path; from hallmark.systems.refseg.sample.world import generate; "
        f"generate(Path(sys.argv[1]), **{SMALL!r})"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, tmp_path / "there"], check=True, env=environment)
    assert contents(here) == contents(tmp_path / "there")


def test_a_row_stands_for_itself(folder, tmp_path, images):
    """More images, other words or another split's size leave a row as it was."""
    other = generate(tmp_path / "other", **ARGUMENTS | {"train": 1, "val": 2, "test": 9, "synonyms": 0.0})
    records = pq.read_table(other / "test.parquet").to_pylist()
    originals = [record for record in images if record["split"] == "test"][:9]
    for record, original in zip(records, originals, strict=True):
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
