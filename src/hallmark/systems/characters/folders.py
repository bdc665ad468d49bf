"""Which pictures there are: a folder for each character, named as the character is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hallmark.checks import SettingError
from hallmark.data.duplicate_images import near_duplicates
from hallmark.data.groups import connected_groups, shared_key_pairs
from hallmark.data.pictures import IMAGES, readable_pictures, visible_files
from hallmark.data.problems import Problems
from hallmark.storage.printing import printable
from hallmark.storage.regular import composed, is_class_name

_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
SIZES = ["under 64 px", "64-127 px", "128-255 px", "256+ px"]
_LAYOUT = (
    "a folder that holds one for each character, named as the character is, with its pictures. Without data, "
    "profile=sample with data.folder=null draws characters"
)


def list_pictures(folder: Path, classes: Sequence[str], problems: Problems) -> pd.DataFrame:
    """One row a file of the folders of `classes`: `id` (its path in `folder`), `target` and `file`, before any is read.

    Names are compared as Unicode composes them (NFC), because file systems write one name in two ways. What lies in no
    folder of a character is listed; other folders are left out. Hidden files and folders are not looked at.

    Raises:
        SettingError: no such folder, no folders in it, those of splits and not of characters, or none of a class.
    """
    if not folder.is_dir():
        raise SettingError("folder", str(folder), f"{_LAYOUT}; there is no such folder")
    held: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        name = composed(path.name)
        if name.startswith("."):
            continue
        if not path.is_dir():
            if path.suffix.lower() in IMAGES:
                problems.add(name, "other_file", f"{path}: a picture in no folder of a character")
        elif not problems.add_unless_safe(name, folder=folder, files=[path.name]):
            pass
        elif is_class_name(name):
            held.setdefault(name, []).append(path)
        else:
            problems.add(name, "unsafe_path", f"{path}: no character can have the name of this folder")
    if not held:
        raise SettingError("folder", str(folder), f"{_LAYOUT}; there is no folder in it")
    if set(held) <= _SPLITS and not any(_pictures(path, below=False) for paths in held.values() for path in paths):
        cause = f"{', '.join(held)} look like splits; give the folder of all characters, data.split does the rest"
        raise SettingError("folder", str(folder), f"{_LAYOUT}; {cause}")
    missing = [name for name in classes if composed(name) not in held]
    if missing:
        raise SettingError(
            "classes", missing[0], f"names of folders in {folder}, which holds {', '.join([*held][:10])}"
        )
    rows = []
    for name in classes:
        paths = held[composed(name)]
        files = [file for path in paths for file in visible_files(path)]
        if not any(_pictures(path) for path in paths):
            problems.add(name, "empty_folder", f"{folder / name}: no picture")
        for file in files:
            picture = file.relative_to(folder).as_posix()
            if not problems.add_unless_safe(picture, folder=folder, files=[picture]):
                continue
            if file.suffix.lower() in IMAGES:
                rows.append((picture, name, str(file)))
            else:
                problems.add(picture, "other_file", f"{file}: no file that ends in {', '.join(IMAGES)}")
    return pd.DataFrame(rows, columns=["id", "target", "file"], dtype=object)


def _pictures(folder: Path, *, below: bool = True) -> list[Path]:
    files = [file for file in visible_files(folder) if file.suffix.lower() in IMAGES]
    return files if below else [file for file in files if file.parent == folder]


def list_new(inputs: Sequence[Path], problems: Problems) -> pd.DataFrame:
    """One row a picture that is asked about, as `list_pictures` without a `target`; of a folder all that it shows.

    The `id` is the path as it was typed.
    """
    files: list[Path] = []
    for source in inputs:
        source = source.expanduser()
        if source.is_dir():
            held = visible_files(source)
            if not any(file.suffix.lower() in IMAGES for file in held):
                problems.add(str(source), "empty_folder", f"{source}: no picture")
            files += held
        elif not source.exists():
            problems.add(str(source), "missing_file", f"{source}: no such file or folder")
        else:
            files.append(source)
    rows = []
    for file in dict.fromkeys(files):
        if file.suffix.lower() in IMAGES:
            rows.append((printable(str(file)), None, str(file)))
        else:
            problems.add(str(file), "other_file", f"{file}: no file that ends in {', '.join(IMAGES)}")
    return pd.DataFrame(rows, columns=["id", "target", "file"], dtype=object)


def read_pictures(
    rows: pd.DataFrame, problems: Problems, cache: Path, *, least_side: int, classes_known: bool = True
) -> tuple[pd.DataFrame, np.ndarray]:
    """Samples of the listed rows that can be used, and their thumbnails uint8 [N, 32, 32, 3].

    Samples: id, group, target, content, info_path, slice_size. A group is all that shows one picture. What stands twice
    in a folder, or in the folders of two characters, is a problem of its own kind.

    Args:
        least_side: pixels of the shorter side below which a picture is a problem.
        classes_known: False for pictures that are asked about, each of which has an answer of its own.
    """
    rows, scans = readable_pictures(rows, problems, cache, name="id", doubts=["damaged_metadata"])
    small = scans["size"].min(axis=1) < least_side
    usable = np.ones(len(rows), bool)
    for position in np.flatnonzero(small).tolist():
        width, height = scans["size"][position].tolist()
        detail = f"{rows['file'][position]}: {width}×{height} pixels, of which the lesser is under {least_side}"
        usable[position] = problems.add(rows["id"][position], "small_image", detail)
    rows, scans = rows[usable].reset_index(drop=True), scans[usable]
    rows["group"] = rows["id"]
    if classes_known:
        pairs = [shared_key_pairs(rows["digest"].tolist()), near_duplicates(scans["thumbnail"])]
        rows["group"] = [f"g{number}" for number in connected_groups(len(rows), pairs)]
        usable = _once(rows, problems) & _of_one_character(rows, problems)
        rows, scans = rows[usable].reset_index(drop=True), scans[usable]
    side = pd.cut(scans["size"].min(axis=1), [-1, 63, 127, 255, np.inf], labels=SIZES).astype(str)
    samples = pd.DataFrame({
        "id": rows["id"], "group": rows["group"], "target": rows["target"], "content": rows["digest"],
        "info_path": rows["file"], "slice_size": side,
    })  # fmt: skip
    return samples.astype(object), scans["thumbnail"]


def _once(rows: pd.DataFrame, problems: Problems) -> np.ndarray:
    """Which rows stay, bool [N], of files that are byte for byte another one of their folder."""
    usable = np.ones(len(rows), bool)
    first: dict[tuple[str, str], str] = {}
    for position, (row_id, target, digest) in enumerate(rows[["id", "target", "digest"]].to_numpy().tolist()):
        original = first.setdefault((target, digest), row_id)
        if original != row_id:
            usable[position] = problems.add(row_id, "repeated_image", f"{row_id}: the same file as {original}")
    return usable


def _of_one_character(rows: pd.DataFrame, problems: Problems) -> np.ndarray:
    """Which rows stay, bool [N], of pictures that show what one in the folder of another character shows."""
    usable = np.ones(len(rows), bool)
    counts = rows.groupby("group", sort=False)["target"].nunique()
    for group in counts.index[counts > 1]:
        members = rows[rows["group"] == group]
        for position, row_id, target in zip(members.index, members["id"], members["target"], strict=True):
            other = members.loc[members["target"] != target, "id"].iloc[0]
            usable[position] = problems.add(row_id, "two_folders", f"{row_id}: the same picture as {other}")
    return usable
