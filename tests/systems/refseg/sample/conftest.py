"""One small world of each split, read again."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from hallmark.systems.refseg.sample.scenes import SceneObject
from hallmark.systems.refseg.sample.world import generate

ARGUMENTS = {"train": 60, "val": 20, "test": 80, "seed": 3, "synonyms": 0.5}
SMALL = {"train": 3, "val": 2, "test": 2, "seed": 0, "synonyms": 0.5}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("sample") / "world", **ARGUMENTS)


@pytest.fixture(scope="session")
def images(folder: Path) -> list[dict]:
    return [
        record
        for split in ("train", "val", "test")
        for record in pq.read_table(folder / f"{split}.parquet").to_pylist()
    ]


@pytest.fixture(scope="session")
def pairs(images) -> pd.DataFrame:
    """One row an (image, sentence) pair, with the scene's objects and the position of the target."""
    rows = []
    for record in images:
        objects = [SceneObject(**{k: v for k, v in fields.items() if k != "mask"}) for fields in record["objects"]]
        for sample in record["samples"]:
            indices = [k for k, fields in enumerate(record["objects"]) if fields["mask"] == sample["mask"]]
            for text, about in zip(sample["sentences"], sample["expressions"], strict=True):
                target = None if sample["no_target"] else indices[0]
                program = json.loads(about["program"])
                rows.append({"split": record["split"], "text": text, "target": target, "drawn": objects, **about,
                             "objects": record["objects"], "program": program, "mask": sample["mask"]})  # fmt: skip
    return pd.DataFrame(rows).astype({"target": object})


def place(value) -> int | None:
    return None if value is None or pd.isna(value) else int(value)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
