"""Files that are asked about: pictures, folders of frames, videos, and lists of these."""

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hallmark.data.pictures import IMAGES, visible_files
from hallmark.data.problems import Policy, Problems, listed_id
from hallmark.storage.delimited import DELIMITERS, TableError, read_table
from hallmark.storage.printing import printable
from hallmark.storage.regular import UnreadableFileError, UnsafePathError, path_below
from hallmark.systems.deepfake.manifest import COLUMNS, VIDEOS, relative_path

LISTS = (".csv", ".tsv")
_FILES = (*IMAGES, *VIDEOS)


def list_new(inputs: Sequence[Path], problems: Problems) -> pd.DataFrame:
    """One row a picture or video file, with the columns of `COLUMNS`, `file` to open, and whether it is `refused`.

    `path` and `video` are as they were typed, in characters that can be printed. A picture and a video file are videos
    of their own. The pictures of a folder are the frames of one video, each of its subfolders likewise; its other files
    are problems, and hidden ones are none of it. A list has a column `path`, relative to its folder, and may have
    `video`; videos of two lists are two videos whatever they are called, and a path that leads out of the list's folder
    is refused.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for source in inputs:
        source = source.expanduser()
        try:
            is_folder = stat.S_ISDIR(source.stat().st_mode)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            cause = "no such file or folder" if missing else error.strerror
            problems.add(str(source), "missing_file", f"{source}: {cause}")
            continue
        is_list = source.suffix.lower() in LISTS and not is_folder
        read = _of_folder if is_folder else _of_list if is_list else _of_file
        for row in read(source, problems):
            # A file that is named twice is asked once, but for lists that count it to several videos.
            rows.setdefault((str(Path(row["file"]).absolute()), row["video"] if is_list else ""), row)
    return pd.DataFrame(rows.values(), columns=[*COLUMNS, "file", "refused"], dtype=object).fillna("")


def left_out(listed: pd.DataFrame, problems: pd.DataFrame) -> pd.DataFrame:
    """What is not used of new files: `id`, the `video` that it is of, or the id itself, and `kind`, a problem's.

    Args:
        listed: of `list_new`.
        problems: of `Problems.table`.
    """
    lost = problems[problems["policy"] != Policy.KEEP]
    videos = listed.groupby(listed["path"].map(listed_id))["video"].unique().to_dict()
    # A frame of a video file is named below its file.
    of_video = [videos.get(name, videos.get(name.rpartition("/")[0], [name])) for name in lost["id"]]
    return lost[["id", "kind"]].assign(video=of_video).explode("video")


def _row(file: Path, video: str, *, refused: bool = False) -> dict[str, Any]:
    return {"path": printable(str(file)), "file": str(file), "video": printable(video), "refused": refused}


def _of_folder(source: Path, problems: Problems) -> Iterator[dict[str, Any]]:
    files = visible_files(source)
    if not any(file.suffix.lower() in _FILES for file in files):
        problems.add(str(source), "missing_file", f"{source}: no picture and no video in this folder")
    for file in files:
        if file.suffix.lower() in _FILES:
            yield _row(file, str(file.parent if file.suffix.lower() in IMAGES else file))
        else:
            problems.add(str(file), "unreadable_image", f"{file}: no file that ends in {', '.join(_FILES)}")


def _of_file(source: Path, problems: Problems) -> Iterator[dict[str, Any]]:
    if source.suffix.lower() in _FILES:
        yield _row(source, str(source))
    else:
        known = ", ".join((*_FILES, *LISTS))
        problems.add(str(source), "unreadable_image", f"{source}: expected a folder or a file that ends in {known}")


def _of_list(source: Path, problems: Problems) -> Iterator[dict[str, Any]]:
    try:
        table = read_table(source, required=["path"], delimiters=DELIMITERS, tidy=True)
    except (UnreadableFileError, TableError) as error:
        problems.add(str(source), "unreadable_list", str(error))
        return
    if table.cells.empty:
        problems.add(str(source), "unreadable_list", f"{source}: no rows")
    if table.doubt:
        problems.add(str(source), "uncertain_encoding", table.doubt)
    videos = table.cells["video"] if "video" in table.cells else [""] * len(table.lines)
    for line, name, video in zip(table.lines, table.cells["path"], videos, strict=True):
        name = relative_path(name, source.parent)
        row = _row(source.parent / name, f"{source}/{video}" if video else str(source.parent / name))
        try:
            path_below(source.parent, name)
        except UnsafePathError as error:
            problems.add(row["path"], "unsafe_path", f"{source}, line {line}: {error}")
            row["refused"] = True
        if name:
            yield row
        else:
            problems.add(str(source), "empty_path", f"{source}, line {line}: no path")
