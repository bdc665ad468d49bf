"""The folder of pictures and tweets: `data/GUID.jpg`, `data/GUID.txt`, and the lists of labels."""

from pathlib import Path

import emoji
import numpy as np
import pandas as pd

from hallmark.checks import SettingError
from hallmark.data.groups import connected_groups, shared_key_pairs
from hallmark.data.images import read_image, scan_images
from hallmark.data.leakage import near_duplicates
from hallmark.data.problems import Problems
from hallmark.data.text import decode_text, normalise_text
from hallmark.storage.hashing import digest_bytes, digest_file

LABELLED, UNLABELLED = "train.txt", "test_without_label.txt"
UNREADABLE = ""  # digest of an image that is kept although it cannot be read

# Kinds of problems, and those for which `keep` has a meaning: a grey picture, no text, RGB for CMYK.
REPAIRABLE = ("missing_image", "unreadable_image", "missing_text", "empty_text", "cmyk_image")
KINDS = (*REPAIRABLE, "unknown_tag", "duplicate_id")

SLICES = {
    "slice_text_length": ["0 words", "1-5 words", "6-10 words", "11-15 words", "16+ words"],
    "slice_emoji": ["no emoji", "1 emoji", "2+ emoji"],
    "slice_image_size": ["unreadable", "under 128 px", "128-255 px", "256-511 px", "512+ px"],
}


def read_corpus(folder: Path, classes: list[str], problems: Problems, cache: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Samples and their thumbnails uint8 [N, 32, 32, 3].

    Samples: id, group, target, content, image_digest, text, normalised, info_path, info_text, slice_*.
    Rows that `problems` says to skip are left out.

    Raises:
        SettingError: no such folder, or not this layout.
        ValueError: a list without the columns guid and tag.
    """
    rows = pd.concat([_read_list(folder, name, classes, problems) for name in (LABELLED, UNLABELLED)])
    repeated = rows["id"].duplicated()
    for row_id in rows.loc[repeated, "id"]:
        problems.add(row_id, "duplicate_id", f"{row_id} is listed more than once")
    rows = rows[~repeated].reset_index(drop=True)
    rows = _with_texts(rows, folder, problems)
    rows = _with_images(rows, folder, problems)
    scans = scan_images([Path(p) for p in rows["info_path"]], rows["image_digest"].tolist(), cache)
    kept = _readable(rows, scans, problems)
    rows, scans = rows[kept].reset_index(drop=True), scans[kept]
    rows.loc[~scans["readable"], "image_digest"] = UNREADABLE
    rows["content"] = [
        digest_bytes(i.encode(), t.encode()) for i, t in zip(rows["image_digest"], rows["text"], strict=True)
    ]
    rows["group"] = [f"g{number}" for number in _groups(rows, scans)]
    return _with_slices(rows, scans), scans["thumbnail"]


def _read_list(folder: Path, name: str, classes: list[str], problems: Problems) -> pd.DataFrame:
    path = folder / name
    if not path.is_file():
        if name == UNLABELLED and folder.is_dir():
            return pd.DataFrame({"id": [], "target": []}, dtype=object)
        raise SettingError("folder", str(folder), _layout(f"{path} is missing"))
    table = pd.read_csv(path, dtype=str, skipinitialspace=True, keep_default_na=False, encoding="utf-8-sig")
    table.columns = table.columns.str.strip().str.lower()
    if not {"guid", "tag"} <= set(table):
        raise ValueError(f"{path}: needs the columns guid and tag in its first line; found {', '.join(table.columns)}")
    table = table.apply(lambda column: column.str.strip())
    known = table["tag"].isin([*classes, "null", ""])
    for row in table[~known].itertuples():
        problems.add(
            row.guid, "unknown_tag", f"{path.name}: {row.guid} has the tag {row.tag!r}; known: {', '.join(classes)}"
        )
    table = table[known]
    target = table["tag"].where(table["tag"].isin(classes), None) if name == LABELLED else None
    return pd.DataFrame({"id": table["guid"], "target": target}, dtype=object)


def _layout(cause: str) -> str:
    return (
        f"a folder with train.txt (lines guid,tag), test_without_label.txt, data/GUID.jpg and data/GUID.txt; {cause}. "
        "Without data, profile=sample with data.folder=null generates a corpus in this layout"
    )


def _with_texts(rows: pd.DataFrame, folder: Path, problems: Problems) -> pd.DataFrame:
    texts, kept = [], []
    for row_id in rows["id"]:
        path = folder / "data" / f"{row_id}.txt"
        text = decode_text(path.read_bytes()) if path.is_file() else ""
        kind = "empty_text" if path.is_file() else "missing_text"
        kept.append(bool(text) or problems.add(row_id, kind, f"{path}: {kind.replace('_', ' ')}"))
        texts.append(text)
    rows = rows.assign(text=texts, info_text=texts)
    rows["normalised"] = [normalise_text(text) for text in texts]
    return rows[np.array(kept, bool)].reset_index(drop=True)


def _with_images(rows: pd.DataFrame, folder: Path, problems: Problems) -> pd.DataFrame:
    paths = [folder / "data" / f"{row_id}.jpg" for row_id in rows["id"]]
    present = [path.is_file() for path in paths]
    kept = [
        here or problems.add(row_id, "missing_image", f"{path}: no such picture")
        for row_id, path, here in zip(rows["id"], paths, present, strict=True)
    ]
    digests = [digest_file(path) if here else "0" * 32 for path, here in zip(paths, present, strict=True)]
    rows = rows.assign(info_path=[str(path) for path in paths], image_digest=digests)
    return rows[np.array(kept, bool)].reset_index(drop=True)


def _readable(rows: pd.DataFrame, scans: np.ndarray, problems: Problems) -> np.ndarray:
    kept = np.ones(len(rows), bool)
    for position in np.flatnonzero(~scans["readable"] | scans["cmyk"]):
        row = rows.iloc[position]
        if scans["cmyk"][position] and scans["readable"][position]:
            kept[position] = problems.add(row["id"], "cmyk_image", f"{row['info_path']}: a CMYK picture")
        elif Path(row["info_path"]).is_file():
            kept[position] = problems.add(row["id"], "unreadable_image", _why_unreadable(row["info_path"]))
    return kept


def _why_unreadable(path: str) -> str:
    try:
        read_image(Path(path))
    except OSError as error:
        return str(error)
    return f"{path}: was unreadable when it was first scanned"


def _groups(rows: pd.DataFrame, scans: np.ndarray) -> np.ndarray:
    pairs = [shared_key_pairs(rows[key].tolist()) for key in ("normalised", "image_digest")]
    readable = np.flatnonzero(scans["readable"])
    pairs.append(readable[near_duplicates(scans["thumbnail"][readable])])
    return connected_groups(len(rows), pairs)


def _with_slices(rows: pd.DataFrame, scans: np.ndarray) -> pd.DataFrame:
    words = rows["text"].map(lambda text: len(text.split()))
    emojis = rows["text"].map(emoji.emoji_count)
    side = scans["size"].min(axis=1)
    edges = {"slice_text_length": (words, [-1, 0, 5, 10, 15, np.inf]), "slice_emoji": (emojis, [-1, 0, 1, np.inf]),
             "slice_image_size": (side, [-1, 0, 127, 255, 511, np.inf])}  # fmt: skip
    cut = {name: pd.cut(values, bins, labels=SLICES[name]).astype(str) for name, (values, bins) in edges.items()}
    return rows.assign(**cut)
