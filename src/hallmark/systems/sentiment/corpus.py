"""The folder of pictures and tweets: `data/GUID.jpg`, `data/GUID.txt`, and the lists of labels."""

from collections.abc import Sequence
from pathlib import Path

import emoji
import numpy as np
import pandas as pd

from hallmark.checks import SettingError
from hallmark.data.duplicate_images import near_duplicates
from hallmark.data.duplicate_texts import near_duplicate_texts
from hallmark.data.groups import connected_groups, shared_key_pairs
from hallmark.data.images import read_image, scan_images
from hallmark.data.problems import Problems
from hallmark.data.text import normalize_text
from hallmark.storage.decoding import DecodedText, decode_bytes, doubt_beside
from hallmark.storage.delimited import read_table
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.regular import MissingFileError, UnreadableFileError, UnsafePathError, path_below, read_regular

LABELLED, UNLABELLED = "train.txt", "test_without_label.txt"
UNREADABLE = ""  # digest of an image that stays in the corpus although it cannot be read
_NO_FILE = "0" * 32  # the same until its row is scanned

# Kinds of problems, and those for which `keep` has a meaning: a gray picture, no text, RGB for CMYK, the pixels as they
# are stored, the most plausible reading.
REPAIRABLE = (
    "missing_image", "unreadable_image", "missing_text", "unreadable_text", "empty_text", "cmyk_image",
    "damaged_metadata", "uncertain_encoding",
)  # fmt: skip
KINDS = (*REPAIRABLE, "unknown_tag", "duplicate_id", "empty_id", "unsafe_path")
# Policies of kinds that the stored configurations of earlier runs do not name.
LATER_KINDS = {
    "unreadable_text": "skip", "damaged_metadata": "keep", "uncertain_encoding": "keep", "empty_id": "fatal",
    "unsafe_path": "skip",
}  # fmt: skip

SLICES = {
    "slice_text_length": ["0 words", "1-5 words", "6-10 words", "11-15 words", "16+ words"],
    "slice_emoji": ["no emoji", "1 emoji", "2+ emoji"],
    "slice_image_size": ["unreadable", "under 128 px", "128-255 px", "256-511 px", "512+ px"],
}


def read_corpus(folder: Path, classes: list[str], problems: Problems, cache: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Samples and their thumbnails uint8 [N, 32, 32, 3].

    Samples: id, group, target, content, image_digest, text, normalized, info_path, info_text, slice_*.
    Rows that `problems` says to skip are left out.

    Raises:
        SettingError: no such folder, or not this layout.
        ValueError: a list that is no table with the columns guid and tag.
    """
    rows = pd.concat([_read_list(folder, name, classes, problems) for name in (LABELLED, UNLABELLED)])
    repeated = rows["id"].duplicated()
    for row_id in rows.loc[repeated, "id"]:
        problems.add(row_id, "duplicate_id", f"{row_id} is listed more than once")
    rows = rows[~repeated].reset_index(drop=True)
    files = [(f"data/{row_id}.txt", f"data/{row_id}.jpg") for row_id in rows["id"]]
    safe = [problems.add_unless_safe(i, folder=folder, files=names) for i, names in zip(rows["id"], files, strict=True)]
    rows = rows[np.array(safe, bool)].reset_index(drop=True)
    rows = _with_texts(rows, folder, problems)
    paths = [folder / "data" / f"{row_id}.jpg" for row_id in rows["id"]]
    rows = _with_digests(rows.assign(info_path=[str(path) for path in paths]), paths, problems)
    scans = scan_images([Path(p) for p in rows["info_path"]], rows["image_digest"].tolist(), cache)
    usable = _readable(rows, scans, problems)
    rows, scans = rows[usable].reset_index(drop=True), scans[usable]
    rows.loc[~scans["readable"], "image_digest"] = UNREADABLE
    rows["content"] = [
        digest_bytes(i.encode(), t.encode()) for i, t in zip(rows["image_digest"], rows["text"], strict=True)
    ]
    # Rows belong together that the leakage gate would call alike.
    pairs = [shared_key_pairs(rows[key].tolist()) for key in ("normalized", "image_digest")]
    pairs.append(near_duplicate_texts(rows["normalized"].tolist()))
    readable = np.flatnonzero(scans["readable"])
    pairs.append(readable[near_duplicates(scans["thumbnail"][readable])])
    rows["group"] = [f"g{number}" for number in connected_groups(len(rows), pairs)]
    emojis = rows["text"].map(lambda text: 0 if text.isascii() else emoji.emoji_count(text))
    measures = {
        "slice_text_length": (rows["text"].map(lambda text: len(text.split())), [-1, 0, 5, 10, 15, np.inf]),
        "slice_emoji": (emojis, [-1, 0, 1, np.inf]),
        "slice_image_size": (scans["size"].min(axis=1), [-1, 0, 127, 255, 511, np.inf]),
    }
    cut = {name: pd.cut(values, bins, labels=SLICES[name]).astype(str) for name, (values, bins) in measures.items()}
    return rows.assign(**cut), scans["thumbnail"]


def usable_extra_rows(
    table: pd.DataFrame, file: Path, *, known_ids: set[str], classes: list[str], problems: Problems, cache: Path
) -> tuple[pd.DataFrame, list[str], np.ndarray]:
    """The rows of an extra table that can be trained on, with the digests and the scans of their pictures.

    Args:
        table: columns id, target and image (a path) among others.
        file: its name, for `problems`.
        known_ids: of all other rows.
    """
    usable = []
    for row_id, target in zip(table["id"].tolist(), table["target"].tolist(), strict=True):
        if target not in classes:
            detail = f"{file}: {row_id} has the tag {target!r}; known: {', '.join(classes)}"
            usable.append(problems.add(row_id, "unknown_tag", detail))
        elif row_id in known_ids:
            usable.append(problems.add(row_id, "duplicate_id", f"{file}: {row_id} is listed more than once"))
        else:
            usable.append(True)
        known_ids.add(row_id)
    rows = _with_digests(table[np.array(usable, bool)], [Path(path) for path in table["image"][usable]], problems)
    scans = scan_images([Path(path) for path in rows["image"]], rows["image_digest"].tolist(), cache)
    readable = _readable(rows.assign(info_path=rows["image"]), scans, problems)
    rows, scans = rows[readable].reset_index(drop=True), scans[readable]
    digests = rows["image_digest"].where(scans["readable"], UNREADABLE).tolist()
    return rows, digests, scans


def _read_list(folder: Path, name: str, classes: list[str], problems: Problems) -> pd.DataFrame:
    try:
        path = path_below(folder, name)
    except UnsafePathError as error:
        raise SettingError("folder", str(folder), _layout(str(error))) from error
    if not path.is_file():
        if name == UNLABELLED and folder.is_dir():
            return pd.DataFrame({"id": [], "target": []}, dtype=object)
        raise SettingError("folder", str(folder), _layout(f"{path} is missing"))
    listed = read_table(path, required=("guid", "tag"), tidy=True)
    if listed.doubt:
        problems.add("", "uncertain_encoding", listed.doubt)
    table = listed.cells
    named = table["guid"] != ""
    for position in np.flatnonzero(~named):
        problems.add("", "empty_id", f"{path}, line {listed.lines[position]}: no guid")
    table = table[named]
    known = table["tag"].isin([*classes, "null", ""])
    for row_id, tag in table.loc[~known, ["guid", "tag"]].to_numpy().tolist():
        problems.add(row_id, "unknown_tag", f"{path.name}: {row_id} has the tag {tag!r}; known: {', '.join(classes)}")
    table = table[known]
    target = table["tag"].where(table["tag"].isin(classes), None) if name == LABELLED else None
    return pd.DataFrame({"id": table["guid"], "target": target}, dtype=object)


def _layout(cause: str) -> str:
    return (
        f"a folder with train.txt (lines guid,tag), test_without_label.txt, data/GUID.jpg and data/GUID.txt; {cause}. "
        "Without data, profile=sample with data.folder=null generates a corpus in this layout"
    )


def _with_texts(rows: pd.DataFrame, folder: Path, problems: Problems) -> pd.DataFrame:
    paths = [folder / "data" / f"{row_id}.txt" for row_id in rows["id"]]
    readings: list[DecodedText | UnreadableFileError] = []
    for path in paths:
        try:
            readings.append(decode_bytes(read_regular(path)))
        except UnreadableFileError as error:
            readings.append(error)
    # An encoding is in doubt only beside others of the same corpus, so all files are read before one is judged.
    encodings = {reading.encoding for reading in readings if isinstance(reading, DecodedText)}
    texts, usable = [], []
    for row_id, path, reading in zip(rows["id"], paths, readings, strict=True):
        text = reading.text.strip() if isinstance(reading, DecodedText) else ""
        if isinstance(reading, UnreadableFileError):
            kind = "missing_text" if isinstance(reading, MissingFileError) else "unreadable_text"
            usable.append(problems.add(row_id, kind, str(reading)))
        elif not text:
            usable.append(problems.add(row_id, "empty_text", f"{path}: empty text"))
        elif doubt := doubt_beside(reading, encodings):
            usable.append(problems.add(row_id, "uncertain_encoding", f"{path}: {doubt}: {text[:60]!r}"))
        else:
            usable.append(True)
        texts.append(text)
    rows = rows.assign(text=texts, info_text=texts)
    rows["normalized"] = [normalize_text(text) for text in texts]
    return rows[np.array(usable, bool)].reset_index(drop=True)


def _with_digests(rows: pd.DataFrame, paths: Sequence[Path], problems: Problems) -> pd.DataFrame:
    digests, usable = [], []
    for row_id, path in zip(rows["id"], paths, strict=True):
        try:
            digests.append(digest_bytes(read_regular(path)))
            usable.append(True)
        except UnreadableFileError as error:
            kind = "missing_image" if isinstance(error, MissingFileError) else "unreadable_image"
            digests.append(_NO_FILE)
            usable.append(problems.add(row_id, kind, str(error)))
    return rows.assign(image_digest=digests)[np.array(usable, bool)].reset_index(drop=True)


def _readable(rows: pd.DataFrame, scans: np.ndarray, problems: Problems) -> np.ndarray:
    """Which rows stay, bool [N], of those that `scan_images` has opened."""
    usable = np.ones(len(rows), bool)
    for position in np.flatnonzero(~scans["readable"] | (scans["mode"] == b"CMYK") | scans["metadata"]):
        row, scan = rows.iloc[position], scans[position]
        row_id, path = row["id"], row["info_path"]
        if not scan["readable"] and row["image_digest"] != _NO_FILE:  # which is listed already
            cause = f"{path}: was unreadable when it was first scanned"
            try:
                read_image(Path(path))
            except OSError as error:
                cause = str(error)
            usable[position] = problems.add(row_id, "unreadable_image", cause)
        if scan["mode"] == b"CMYK":
            usable[position] &= problems.add(row_id, "cmyk_image", f"{path}: a CMYK picture")
        if scan["metadata"]:
            usable[position] &= problems.add(row_id, "damaged_metadata", f"{path}: metadata that cannot be read")
    return usable
