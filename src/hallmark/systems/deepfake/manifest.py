"""Which frames there are: manifests of paths and labels, or the folders real/ and fake/."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.checks import SettingError
from hallmark.data.groups import connected_groups
from hallmark.data.pictures import IMAGES, visible_files
from hallmark.data.problems import Problems
from hallmark.storage.delimited import DELIMITERS, TableError, read_table
from hallmark.storage.regular import UnreadableFileError, path_below

CLASSES = ("real", "fake")
"""In the order of logits and probabilities: a score is P(fake)."""

SPLITS = ("train", "val", "calibration", "meta", "test")
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
_FILES = (*IMAGES, *VIDEOS)
COLUMNS = ("path", "label", "video", "method", "quality", "source", "split")

# Names that published lists use for these columns.
_ALIASES = {
    "path": ("file", "filename", "file_name", "image", "image_path", "img_path", "frame"),
    "label": ("target", "class"),
    "video": ("video_id", "video_name", "clip"),
    "method": ("manipulation", "family", "generator"),
    "quality": ("compression",),
    "source": ("sources", "original", "identity"),
    "split": (),
}
_LAYOUT = (
    "a folder with train_manifest.csv (path,label,video, and where known method,quality,source,split), or with the "
    "folders real and fake. Without data, profile=sample with data.folder=null generates videos"
)


def manifest_name(split: str) -> str:
    """The file that lists the frames of `split`."""
    return f"{split}_manifest.csv"


def relative_path(path: str, folder: Path) -> str:
    """A path that a list in `folder` names, relative to it, with slashes."""
    path = path.replace("\\", "/")
    return path.removeprefix(f"{folder}/").removeprefix(f"{folder.absolute()}/").removeprefix("./")


def read_listed(folder: Path, labels: Mapping[str, str], problems: Problems) -> pd.DataFrame:
    """What a folder lists, one row a file, before any is opened: the columns of `COLUMNS` as texts, "" where unknown.

    `path` is relative to `folder`; `label` is real, fake or "" (unlabelled); `video` names one video and no other;
    `split` is that of the manifest, or of its column, "" for rows that a split has yet to be made for.

    Args:
        labels: what other labels mean: label → real or fake.

    Raises:
        SettingError: no such folder, neither manifests nor the folders real and fake in it, or manifests without that
            of the training rows.
    """
    paths = {split: folder / manifest_name(split) for split in SPLITS if (folder / manifest_name(split)).exists()}
    if "train" in paths:
        rows = pd.concat([_read_manifest(folder, split, problems) for split in paths], ignore_index=True)
    elif paths:
        names = ", ".join(path.name for path in paths.values())
        cause = f"{folder} has {names} and no {manifest_name('train')}, beside which alone it is read"
        raise SettingError("folder", str(folder), f"{_LAYOUT}; {cause}")
    elif all((folder / name).is_dir() for name in CLASSES):
        rows = _read_folders(folder, problems)
    else:
        cause = f"{folder} has no {manifest_name('train')}" if folder.is_dir() else "there is no such folder"
        raise SettingError("folder", str(folder), f"{_LAYOUT}; {cause}")
    records: list[dict[Any, str]] = rows.to_dict("records")
    usable = [_is_usable(row, folder, labels, problems) for row in records]
    rows = rows[np.array(usable, bool)].reset_index(drop=True)
    known = dict.fromkeys(CLASSES) | dict(labels)
    rows["label"] = [known.get(label.lower()) or label.lower() for label in rows["label"]]
    repeated = rows.duplicated(["path", "split"])
    for path, split in rows.loc[repeated, ["path", "split"]].to_numpy().tolist():
        problems.add(path, "duplicate_path", f"{path} is listed more than once{f' in {split}' if split else ''}")
    rows = rows[~repeated].reset_index(drop=True)
    return rows[_of_one_label(rows, problems)].reset_index(drop=True)


def frame_ids(rows: pd.DataFrame) -> list[str]:
    """`<video>/<file name>` of each row, with the file's folders where different files would have one name."""
    paths, videos = rows["path"].tolist(), rows["video"].tolist()
    names = [f"{video}/{Path(path).stem}" for video, path in zip(videos, paths, strict=True)]
    files: dict[str, set[str]] = {}
    for name, path in zip(names, paths, strict=True):
        files.setdefault(name, set()).add(path)
    return [
        name if len(files[name]) == 1 else f"{video}/{path}"
        for name, video, path in zip(names, videos, paths, strict=True)
    ]


def video_groups(rows: pd.DataFrame) -> list[str]:
    """The group of each row: its video with all that share a source with it, named by the first of them.

    `source` holds what a video shows or was made from, identities and videos, separated by spaces or semicolons.
    Where no row has any, a forged video is taken to be made from the real ones that its name names: fake/x/000_003
    from real/000 and real/003.
    """
    videos = rows.drop_duplicates("video").reset_index(drop=True)
    names = videos["video"].tolist()
    number = {name: position for position, name in enumerate(names)}
    tokens = rows.groupby("video", sort=False)["source"].agg(lambda cells: " ".join(dict.fromkeys(cells)))
    keys = [re.split(r"[\s;]+", tokens[name].strip()) for name in names]
    if not rows["source"].any():
        real: dict[str, list[str]] = {}
        for name in videos.loc[videos["label"] == "real", "video"]:
            real.setdefault(_bare_name(name), []).append(name)
        parts = [[_bare_name(name), *_bare_name(name).split("_")] for name in names]
        keys = [[key for part in of_video for key in real.get(part, [])] for of_video in parts]
    first: dict[str, int] = {}
    pairs = [
        (number[key] if key in number else first.setdefault(key, position), position)
        for position, of_video in enumerate(keys) for key in of_video if key
    ]  # fmt: skip
    component = connected_groups(len(names), [np.array(pairs, int).reshape(-1, 2)])
    named = dict(zip(component[::-1].tolist(), names[::-1], strict=True))
    return [named[component[number[video]]] for video in rows["video"]]


def _bare_name(video: str) -> str:
    path = Path(video)
    return path.stem if path.suffix.lower() in _FILES else path.name


def evenly_spaced(n: int, most: int) -> NDArray:
    """Positions of at most `most` of `n` in order, each in the middle of a part of equal length."""
    if n <= most:
        return np.arange(n)
    return ((np.arange(most) + 0.5) * n / most).astype(int)


def thin_videos(rows: pd.DataFrame, most: int, problems: Problems) -> pd.DataFrame:
    """At most `most` rows of each video and split, evenly spaced in the order of the numbers in their paths."""
    usable = np.ones(len(rows), bool)
    count = rows.groupby(["video", "split"])["path"].transform("size")
    for (video, _), group in rows[count > most].groupby(["video", "split"], sort=False):
        ordered = np.array(sorted(group.index, key=lambda row: _natural(rows["path"][row])))
        usable[ordered] = False
        detail = f"{video} has {len(group):,} frames, of which {most} are used (data.frames_per_video)"
        if problems.add(str(video), "many_frames", detail):
            usable[ordered[evenly_spaced(len(ordered), most)]] = True
    return rows[usable].reset_index(drop=True)


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path)]


def _read_manifest(folder: Path, split: str, problems: Problems) -> pd.DataFrame:
    name = manifest_name(split)
    try:
        read = read_table(path_below(folder, name), delimiters=DELIMITERS, tidy=True)
    except (UnreadableFileError, TableError) as error:
        raise SettingError("folder", str(folder), f"{_LAYOUT}; {error}") from error
    if read.doubt:
        problems.add("", "uncertain_encoding", read.doubt)
    table = read.cells.rename(columns=_renamed(list(read.cells.columns)))
    missing = [column for column in ("path", "label", "video") if column not in table]
    if missing:
        columns = ", ".join(map(str, read.cells))
        raise SettingError("folder", str(folder), f"{_LAYOUT}; {name} has no {', '.join(missing)}; it has {columns}")
    table = table.reindex(columns=list(COLUMNS), fill_value="").astype(object)
    table["path"] = [relative_path(path, folder) for path in table["path"]]
    # One list of all rows may have their splits in a column.
    table["split"] = table["split"].where((table["split"] != "") & (split == "train"), split)
    return table.assign(where=[f"{name}, line {line}" for line in read.lines])


def _renamed(columns: Sequence[str]) -> dict[str, str]:
    """Names of this project for the columns of a list, where it has not got them already."""
    return {
        alias: name for name, aliases in _ALIASES.items() if name not in columns
        for alias in [next((alias for alias in aliases if alias in columns), None)] if alias
    }  # fmt: skip


def _read_folders(folder: Path, problems: Problems) -> pd.DataFrame:
    """real/ and fake/: the folder of a picture is its video, one more above it the method; a picture that lies in
    real/ or fake/ itself, and a video file, are videos of their own, which keep the end of their name where another
    video has it without that. Hidden files are none of it."""
    files: list[tuple[Path, Path]] = []
    labels = [label for label in CLASSES if problems.add_unless_safe(label, folder=folder, files=[label])]
    for path in [path for label in labels for path in visible_files(folder / label)]:
        within, kind = path.relative_to(folder), path.suffix.lower()
        if kind in _FILES:
            alone = kind in VIDEOS or len(within.parts) == 2
            files.append((within, within if alone else within.parent))
        else:
            name = within.as_posix()
            problems.add(name, "unreadable_image", f"{name}: no file that ends in {', '.join(_FILES)}")
    # Of each short name the videos that would have it.
    meant: dict[Path, set[Path]] = {}
    for within, video in files:
        meant.setdefault(video.with_suffix("") if within == video else video, set()).add(video)
    rows = []
    for within, video in files:
        short, label = video.with_suffix("") if within == video else video, within.parts[0]
        method = video.parts[1] if label == "fake" and len(video.parts) > 2 else ""
        title = short if len(meant[short]) == 1 else video
        rows.append({"path": within.as_posix(), "label": label, "video": title.as_posix(), "method": method})
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object).fillna("")
    return table.assign(where=table["path"])


def _is_usable(row: Mapping[Any, str], folder: Path, labels: Mapping[str, str], problems: Problems) -> bool:
    path, where = row["path"], row["where"]
    if not path:
        return problems.add("", "empty_path", f"{where}: no path")
    if not problems.add_unless_safe(path, folder=folder, files=[path], where=f"{where}: "):
        return False
    if not row["video"]:
        return problems.add(path, "empty_video", f"{where}: {path} has no video; a picture may be one of its own")
    if row["split"] not in ("", *SPLITS):
        return problems.add(path, "unknown_split", f"{where}: the split {row['split']!r}; known: {', '.join(SPLITS)}")
    label = row["label"].lower()
    if label in ("", *CLASSES, *labels):
        return True
    detail = f"{where}: {path} has the label {row['label']!r}; known: {', '.join(CLASSES)}"
    if re.fullmatch(r"-?\d+(\.\d+)?", label):
        detail += ". Some lists write 1 for fake and others 1 for real: say it, as in data.labels='{0: real, 1: fake}'"
    return problems.add(path, "unknown_label", detail)


def _of_one_label(rows: pd.DataFrame, problems: Problems) -> NDArray:
    """Which rows are of a video with one label, bool [N]."""
    labelled = rows[rows["label"] != ""]
    counts = labelled.groupby("video", sort=False)["label"].nunique()
    mixed = counts.index[counts > 1].tolist()
    for video in mixed:
        detail = f"{video} has real frames and fake ones; a video's name must be of one video, such as real/000"
        problems.add(str(video), "mixed_video", detail)
    return ~rows["video"].isin(mixed).to_numpy()
