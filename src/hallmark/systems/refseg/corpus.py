"""Referring expressions as a table: one row for every (image, sentence) pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from hallmark.data.images import has_damaged_metadata, read_image
from hallmark.data.masks import Rle, areas, parse_rle, rle_text
from hallmark.data.problems import Problems
from hallmark.storage.arrays import ArrayStore
from hallmark.storage.hashing import digest, digest_bytes
from hallmark.storage.printing import shortened
from hallmark.storage.regular import UnsafePathError
from hallmark.systems.refseg.sources import Pictures, open_source

# Kinds of problems, and the one for which `keep` has a meaning: the truth is then that there is no such object.
# For damaged metadata the pixels are as they are stored; a text of uncertain encoding is as it most plausibly reads.
REPAIRABLE = ("empty_mask", "damaged_metadata", "uncertain_encoding")
KINDS = (
    *REPAIRABLE, "unreadable_image", "mask_size", "damaged_mask", "damaged_record", "empty_sentence", "duplicate_id",
    "unsafe_path",
)  # fmt: skip
# Policies of kinds that the stored configurations of earlier runs do not name.
LATER_KINDS = {
    "damaged_metadata": "keep", "uncertain_encoding": "keep", "damaged_record": "skip", "unsafe_path": "skip",
}  # fmt: skip

NO_TARGET, UNKNOWN = "no target", "unknown"
SIZES = [NO_TARGET, "small", "medium", "large"]
SMALL, LARGE = 0.05, 0.2  # of the image: below the one, above the other
_SCAN = np.dtype([("thumbnail", "u1", (32, 32, 3)), ("size", "i4", (2,)), ("readable", "?"), ("metadata", "?")])


@dataclass(frozen=True)
class ExpressionCorpus:
    """All expressions of a source.

    Attributes:
        samples: a row an (image, sentence) pair: id, group (the image), target (COCO RLE as JSON; None where it is
            not known), sentence, image (row of `images`), image_digest, content, source (content without the mask),
            slice_size, slice_category, info_*.
            From the sample world also slice_kind, slice_words, own_split, program, shuffled and shuffled_target.
        images: a row an image: image_id, file_name, digest, height, width, split and objects (of the sample world).
        pictures: what is in the images, in the order of `images`, read when asked for.
        thumbnails: uint8 [len(images), 32, 32, 3].
    """

    samples: pd.DataFrame
    images: pd.DataFrame
    pictures: Pictures
    thumbnails: NDArray

    def slice_categories(self) -> dict[str, list[str]]:
        """All categories of each slice column in order."""
        names = [str(name) for name in self.samples if str(name).startswith("slice_")]
        categories = {name: sorted(self.samples[name].dropna().unique()) for name in names}
        return {**categories, "slice_size": SIZES}


def read_corpus(source: str, problems: Problems, cache: Path) -> ExpressionCorpus:
    """Every (image, sentence) pair of `source` (see `open_source`); what `problems` says to skip is left out.

    Image files are read one after the other, never all at once; what is found out about them is kept in `cache` by
    their content.

    Raises:
        SettingError: no such source.
        ValueError: a list that cannot be read.
    """
    records, pictures = open_source(source, problems)
    assert len(records) == len(pictures), f"{len(records)} annotations of {len(pictures)} images"
    digests = ["" if content is None else digest_bytes(content) for content in pictures.contents()]
    scans = _scans(pictures, digests, cache)
    images = pd.DataFrame({
        "image_id": [str(record["image_id"]) for record in records],
        "file_name": [record["file_name"] for record in records],
        "digest": digests, "height": scans["size"][:, 1], "width": scans["size"][:, 0],
        "split": [record.get("split") for record in records],
        "objects": [record.get("objects") for record in records],
    })  # fmt: skip
    rows, seen = [], set[str]()
    for position, (record, scan) in enumerate(zip(records, scans, strict=True)):
        image_id = str(record["image_id"])
        where = f"{record['file_name']} (image {image_id})"
        if not problems.add_unless_safe(image_id, where=f"{where}: "):
            continue
        if not scan["readable"]:
            kind, cause = "unreadable_image", "was unreadable when it was first scanned"
            try:
                pictures.read(position)
            except OSError as error:
                kind, cause = "unsafe_path" if isinstance(error, UnsafePathError) else kind, str(error)
            problems.add(image_id, kind, f"{where}: {cause}")
            continue
        damaged = f"{where}: metadata that cannot be read"
        if scan["metadata"] and not problems.add(image_id, "damaged_metadata", damaged):
            continue
        width, height = scan["size"].tolist()
        for number, sample in enumerate(record["samples"] or ()):
            try:
                rows += _rows(sample, where, (height, width), seen, problems, image=position, record=record)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                detail = f"{where}, sample {number} of its list: {shortened(repr(error))}"
                problems.add(image_id, "damaged_record", detail)
    samples = pd.DataFrame(rows, columns=None if rows else ["id", "group", "target", "sentence", "image"])
    if rows:
        samples["image_digest"] = [digests[position] for position in samples["image"]]
        samples["content"] = row_contents(samples)
        keys = zip(samples["image_digest"], samples["sentence"], strict=True)
        samples["source"] = [digest_bytes(*(f"{part}\0".encode() for part in key)) for key in keys]
    return ExpressionCorpus(samples, images, pictures, scans["thumbnail"])


def row_contents(samples: pd.DataFrame) -> list[str]:
    """Hash of image, sentence and target of each row."""
    keys = zip(samples["image_digest"], samples["sentence"], samples["target"].fillna(""), strict=True)
    return [digest_bytes(*(f"{part}\0".encode() for part in key)) for key in keys]


def _rows(
    sample: Mapping[str, Any], where: str, size: tuple[int, int], seen: set[str], problems: Problems, *, image: int,
    record: Mapping[str, Any],
) -> list[dict[str, Any]]:  # fmt: skip
    name, where = str(sample["id"]), f"{where}, sample {sample['id']}"
    if not problems.add_unless_safe(name, where=f"{where}: "):
        return []
    if name in seen:
        problems.add(name, "duplicate_id", f"{where}: listed more than once")
        return []
    seen.add(name)
    known = sample["mask"] is not None
    mask = _mask(sample, name, where, size, problems) if known else None
    if known and mask is None:
        return []
    share = None if mask is None else float(areas([mask])[0]) / (size[0] * size[1])
    about = {
        "target": None if mask is None else rle_text(mask),
        "slice_size": None if share is None else size_bucket(share),
        "slice_category": sample.get("category") or (NO_TARGET if sample.get("no_target") else UNKNOWN),
        "info_image": record["file_name"], "info_sample": name, "info_label": sample.get("label") or "",
        "info_supercategory": sample.get("supercategory") or "", "info_area": share,
        **({} if record.get("split") is None else {"own_split": record["split"]}),
        "group": str(record["image_id"]), "image": image,
    }  # fmt: skip
    if not isinstance(sample["sentences"], list | None):
        raise TypeError(f"expected a list of sentences; found {sample['sentences']!r}")
    rows = []
    sentences = sample["sentences"] or [""]
    for number, (text, extra) in enumerate(
        zip(sentences, sample.get("expressions") or [{}] * len(sentences), strict=True)
    ):
        if isinstance(text, Mapping):  # as in RefCOCO a struct with `sent` or `raw`
            text = next((text[key] for key in ("sent", "raw", "sentence") if text.get(key)), "")
        sentence, row_id = (text or "").strip(), f"{name}#{number}"
        if not sentence and not problems.add(row_id, "empty_sentence", f"{where}: sentence {number} is empty"):
            continue
        rows.append({"id": row_id, "sentence": sentence, "info_sentence": sentence, **about, **_made(extra)})
    return rows


def _mask(
    sample: Mapping[str, Any], name: str, where: str, size: tuple[int, int], problems: Problems
) -> Rle | None:  # fmt: skip
    try:
        mask = parse_rle(sample["mask"])
    except Exception as error:  # anything may stand there: infinities, words, numbers beyond any integer
        problems.add(name, "damaged_mask", f"{where}: {shortened(str(error) or type(error).__name__)}")
        return None
    if tuple(mask["size"]) != size:
        detail = f"{where}: the mask has {mask['size'][0]}×{mask['size'][1]} pixels, the image {size[0]}×{size[1]}"
        problems.add(name, "mask_size", detail)
        return None
    if not sample.get("no_target") and not areas([mask])[0]:
        return mask if problems.add(name, "empty_mask", f"{where}: no pixel in its mask") else None
    return mask


def _made(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What the sample world knows of an expression."""
    if not extra:
        return {}
    shuffled = extra["shuffled_target"]
    return {
        "slice_kind": extra["kind"],
        "slice_words": "unseen words" if extra["held_out"] else "known words",
        "info_canonical": extra["canonical"],
        "program": extra["program"],
        "shuffled": extra["shuffled"],
        "shuffled_target": None if shuffled is None else rle_text(parse_rle(shuffled)),
    }


def size_bucket(share: float) -> str:
    """Bucket of an object that covers `share` of its image."""
    if not share:
        return NO_TARGET
    return "small" if share < SMALL else "large" if share > LARGE else "medium"


def _scans(pictures: Pictures, digests: Sequence[str], cache: Path) -> NDArray:
    """Structured array [N]: thumbnail, size (width, height), whether the image can be read, and whether its metadata
    cannot. What could not be read is tried again, as after a shortage of memory."""
    scans = np.zeros(len(digests), _SCAN)
    present = [position for position, digest in enumerate(digests) if digest]
    if present:
        keys = [digests[position] for position in present]
        store = ArrayStore(cache / "refseg" / "scans" / digest(_SCAN.descr))
        rows = store.rows(keys, lambda places: np.array([_scan(pictures, present[p]) for p in places], _SCAN))
        scans[present] = rows.take(range(len(present)))
        for position in present:
            if not scans[position]["readable"]:
                scans[position] = _scan(pictures, position)
    return scans


def _scan(pictures: Pictures, position: int) -> tuple[NDArray, tuple[int, int], bool, bool]:
    try:
        content = pictures.content(position)
        image = read_image(content, name=pictures.name(position))
    except OSError:
        return np.zeros((32, 32, 3), np.uint8), (0, 0), False, False
    return np.asarray(image.resize((32, 32), Image.Resampling.BOX)), image.size, True, has_damaged_metadata(content)
