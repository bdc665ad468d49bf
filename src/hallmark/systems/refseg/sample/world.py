"""The sample world on disk: parquet files in the schema of refcoco-m, with what only a made world knows beside it."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from hallmark.checks import require
from hallmark.data.generated import generated, sample_folder
from hallmark.data.masks import Rle, boxes, empty, encode
from hallmark.systems.refseg.sample.expressions import Expression, expressions
from hallmark.systems.refseg.sample.scenes import SIDE, Scene, Thing, draw_scene

VERSION = 1
SPLITS = ("train", "val", "test")
_ROW_GROUP = 64
_JPEG_QUALITY = 92


class _Stream(IntEnum):
    """Independent random streams of one row: its scene stays when, say, the words change."""

    SCENE = 1
    WORDS = 2


_MASK = pa.struct({"counts": pa.string(), "size": pa.list_(pa.int32())})
_EXPRESSION = pa.struct({
    "kind": pa.string(), "program": pa.string(), "canonical": pa.string(), "held_out": pa.bool_(),
    "shuffled": pa.string(), "shuffled_program": pa.string(), "shuffled_target": _MASK,
})  # fmt: skip
_SAMPLE = pa.struct({
    "id": pa.int64(), "image_id": pa.int64(), "category": pa.string(), "supercategory": pa.string(),
    "label": pa.string(), "sentences": pa.list_(pa.string()), "bbox": pa.list_(pa.float32()), "mask": _MASK,
    "no_target": pa.bool_(), "expressions": pa.list_(_EXPRESSION),
})  # fmt: skip
_OBJECT = pa.struct({
    "colour": pa.string(), "shape": pa.string(), "size": pa.string(), "x": pa.float32(), "y": pa.float32(),
    "mask": _MASK,
})  # fmt: skip
SCHEMA = pa.schema({
    "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "image_id": pa.int64(),
    "file_name": pa.string(), "samples": pa.list_(_SAMPLE), "split": pa.string(), "objects": pa.list_(_OBJECT),
})  # fmt: skip


def draw_row(seed: int, split: str, row: int, synonyms: float) -> tuple[Scene, list[Expression]]:
    """Scene and expressions of one row; they depend on nothing else."""
    stream_key = (seed, SPLITS.index(split), row)
    scene = draw_scene(np.random.default_rng((*stream_key, _Stream.SCENE)))
    words = np.random.default_rng((*stream_key, _Stream.WORDS))
    return scene, list(expressions(words, scene.things, synonyms))


def _record(scene: Scene, described: list[Expression], split: str, row: int) -> dict[str, Any]:
    image_id = 1_000_000 * SPLITS.index(split) + row
    rles, name = encode(scene.masks), f"{split}_{row:06d}.jpg"
    samples = [
        _sample(image_id, position, None if position < 0 else scene.things[position],
                [*rles, empty((SIDE, SIDE))][position],
                [(e, _shuffled_mask(e, rles)) for e in described if (-1 if e.target is None else e.target) == position])
        for position in sorted({-1 if e.target is None else e.target for e in described})
    ]  # fmt: skip
    objects = [{**vars(thing), "mask": rle} for thing, rle in zip(scene.things, rles, strict=True)]
    return {
        "image": {"bytes": _jpeg(scene), "path": name}, "image_id": image_id, "file_name": name, "samples": samples,
        "split": split, "objects": objects,
    }  # fmt: skip


def _shuffled_mask(expression: Expression, rles: list[Rle]) -> Rle | None:
    if expression.shuffled is None:
        return None
    target = expression.shuffled.target
    return empty((SIDE, SIDE)) if target is None else rles[target]


def _sample(
    image_id: int, position: int, thing: Thing | None, mask: Rle, described: list[tuple[Expression, Rle | None]]
) -> dict[str, Any]:
    x0, y0, x1, y1 = boxes([mask])[0].tolist()
    return {
        "id": 100 * image_id + position + 1, "image_id": image_id, "category": thing.shape if thing else "",
        "supercategory": thing.size if thing else "",
        "label": f"{thing.size} {thing.colour} {thing.shape}" if thing else "",
        "sentences": [expression.text for expression, _ in described], "bbox": [x0, y0, x1 - x0, y1 - y0], "mask": mask,
        "no_target": thing is None, "expressions": [_described(*pair) for pair in described],
    }  # fmt: skip


def _described(expression: Expression, shuffled_mask: Rle | None) -> dict[str, Any]:
    shuffled = expression.shuffled
    return {
        "kind": expression.kind, "program": json.dumps(expression.program), "canonical": expression.canonical,
        "held_out": expression.held_out, "shuffled": shuffled.text if shuffled else None,
        "shuffled_program": json.dumps(shuffled.program) if shuffled else None, "shuffled_target": shuffled_mask,
    }  # fmt: skip


def _jpeg(scene: Scene) -> bytes:
    with io.BytesIO() as file:
        Image.fromarray(scene.image).save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        return file.getvalue()


def _records(seed: int, split: str, rows: int, synonyms: float, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for row in range(rows):
        scene, described = draw_row(seed, split, row, synonyms)
        counts.update([f"{split}_images", *(f"{split}_{expression.kind}" for expression in described)])
        counts.update(f"{split}_held_out" for expression in described if expression.held_out)
        yield _record(scene, described, split, row)


def _build(folder: Path, arguments: dict[str, Any]) -> Counter[str]:
    counts = Counter[str]()
    for split in SPLITS:
        synonyms = 0.0 if split == "train" else arguments["synonyms"]
        records = _records(arguments["seed"], split, arguments[split], synonyms, counts)
        with pq.ParquetWriter(folder / f"{split}.parquet", SCHEMA, compression="zstd") as writer:
            while group := [record for _, record in zip(range(_ROW_GROUP), records, strict=False)]:
                writer.write_table(pa.Table.from_pylist(group, SCHEMA), row_group_size=_ROW_GROUP)
    return counts


def generate(folder: Path, *, train: int, val: int, test: int, seed: int, synonyms: float) -> Path:
    """Write a generated world in the schema of refcoco-m, and return `folder`.

    `train`, `val` and `test` images of 96×96 pixels with 3 to 7 shapes, a file a split, about eight expressions an
    image. A share `synonyms` of the expressions of val and test has words that train never has. More columns than
    refcoco-m's: `split`, `objects` (all shapes with their exact visible masks), and of each sample `no_target` and
    `expressions` (of each sentence its kind, functional program, canonical words and anchor-shuffle control).
    The same arguments give the same bytes, and a row does not depend on how many others there are.

    `sample.json` records the arguments and is there only when everything else is: a complete folder is left alone,
    and the world appears under its name in one step, whoever else writes it too.

    Raises:
        ValueError: an argument is out of range, or `folder` already holds something else.
    """
    arguments = {"train": train, "val": val, "test": test, "seed": seed, "synonyms": synonyms}
    for name in ("train", "val", "test", "seed"):
        require(arguments[name] >= 0, name, arguments[name], "must be at least 0")
    require(0 <= synonyms <= 1, "synonyms", synonyms, "a share from 0 to 1")
    require(train + val + test > 0, "train", train, "an image in some split")
    return generated(folder, arguments, VERSION, lambda built: _build(built, arguments))


class CanonicalWordings(dict[str, str]):
    """Row id → canonical wording of every expression of a generated world, for configurations.

    Args:
        cache: root of generated worlds.
        sample: arguments of `generate`.
    """

    def __init__(self, *, cache: str, sample: Mapping[str, Any] | None) -> None:
        expected = "a mapping of row ids to wordings, or a JSON file of one"
        folder = sample_folder(Path(cache), "refseg", generate, sample, key="expressions", expected=expected)
        for file in sorted(folder.glob("*.parquet")):
            for row in pq.read_table(file, columns=["samples"])["samples"].to_pylist():
                for sample_row in row:
                    wordings = enumerate(sample_row["expressions"])
                    self.update(
                        {f"{sample_row['id']}#{number}": expression["canonical"] for number, expression in wordings}
                    )
