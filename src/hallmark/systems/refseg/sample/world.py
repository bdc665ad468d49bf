"""The sample world on disk: parquet files in the schema of refcoco-m, with what only a made world knows beside it."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from hallmark.checks import require
from hallmark.data.generated import generated, sample_folder
from hallmark.data.images import encoded
from hallmark.data.masks import Rle, boxes, empty, encode
from hallmark.systems.refseg.sample.expressions import GeneratedExpression, expressions
from hallmark.systems.refseg.sample.scenes import SIDE, GeneratedScene, draw_scene

VERSION = 1
SPLITS = ("train", "val", "test")
_ROW_GROUP = 64
_JPEG_QUALITY = 92
_SCENE, _WORDS = 1, 2  # independent random streams of a row: its scene stays when, say, the words change


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


def draw_row(seed: int, split: str, row: int, synonyms: float) -> tuple[GeneratedScene, list[GeneratedExpression]]:
    """Scene and expressions of one row; they depend on nothing else."""
    stream_key = (seed, SPLITS.index(split), row)
    scene = draw_scene(np.random.default_rng((*stream_key, _SCENE)))
    words = np.random.default_rng((*stream_key, _WORDS))
    return scene, list(expressions(words, scene.objects, synonyms))


def _record(scene: GeneratedScene, described: list[GeneratedExpression], split: str, row: int) -> dict[str, Any]:
    image_id, name = 1_000_000 * SPLITS.index(split) + row, f"{split}_{row:06d}.jpg"
    rles = encode(scene.masks)
    masks = [*rles, empty((SIDE, SIDE))]  # by target; the last one, at -1, of what is not there
    by_target: dict[int, list[GeneratedExpression]] = {}
    for expression in described:
        by_target.setdefault(_position(expression.target), []).append(expression)
    samples = []
    for position, expressions_of_target in sorted(by_target.items()):
        entity = None if position < 0 else scene.objects[position]
        x0, y0, x1, y1 = boxes([masks[position]])[0].tolist()
        samples.append({
            "id": 100 * image_id + position + 1, "image_id": image_id, "category": entity.shape if entity else "",
            "supercategory": entity.size if entity else "",
            "label": f"{entity.size} {entity.colour} {entity.shape}" if entity else "",
            "sentences": [expression.text for expression in expressions_of_target],
            "bbox": [x0, y0, x1 - x0, y1 - y0], "mask": masks[position], "no_target": entity is None,
            "expressions": [_described(expression, masks) for expression in expressions_of_target],
        })  # fmt: skip
    jpeg = encoded(Image.fromarray(scene.image), "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return {
        "image": {"bytes": jpeg, "path": name}, "image_id": image_id, "file_name": name, "samples": samples,
        "split": split,
        "objects": [{**vars(entity), "mask": rle} for entity, rle in zip(scene.objects, rles, strict=True)],
    }  # fmt: skip


def _position(target: int | None) -> int:
    return -1 if target is None else target


def _described(expression: GeneratedExpression, masks: list[Rle]) -> dict[str, Any]:
    shuffled = expression.shuffled
    return {
        "kind": expression.kind, "program": json.dumps(expression.program), "canonical": expression.canonical,
        "held_out": expression.held_out, "shuffled": shuffled.text if shuffled else None,
        "shuffled_program": json.dumps(shuffled.program) if shuffled else None,
        "shuffled_target": masks[_position(shuffled.target)] if shuffled else None,
    }  # fmt: skip


def _build(folder: Path, *, seed: int, synonyms: float, **rows: int) -> Counter[str]:
    """Fill `folder` with a file a split, and count what is in it."""
    counts = Counter[str]()
    for split in SPLITS:
        with pq.ParquetWriter(folder / f"{split}.parquet", SCHEMA, compression="zstd") as writer:
            for start in range(0, rows[split], _ROW_GROUP):
                group = []
                for row in range(start, min(start + _ROW_GROUP, rows[split])):
                    scene, described = draw_row(seed, split, row, 0.0 if split == "train" else synonyms)
                    counts.update([f"{split}_images", *(f"{split}_{expression.kind}" for expression in described)])
                    counts.update(f"{split}_held_out" for expression in described if expression.held_out)
                    group.append(_record(scene, described, split, row))
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
    arguments: dict[str, Any] = {"train": train, "val": val, "test": test, "seed": seed, "synonyms": synonyms}
    for name in ("train", "val", "test", "seed"):
        require(arguments[name] >= 0, name, arguments[name], "must be at least 0")
    require(0 <= synonyms <= 1, "synonyms", synonyms, "a share from 0 to 1")
    require(train + val + test > 0, "train", train, "an image in some split")
    return generated(folder, arguments, VERSION, lambda built: _build(built, **arguments))


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
            for samples in pq.read_table(file, columns=["samples"])["samples"].to_pylist():
                for row in samples:
                    wordings = enumerate(row["expressions"])
                    self.update({f"{row['id']}#{number}": wording["canonical"] for number, wording in wordings})
