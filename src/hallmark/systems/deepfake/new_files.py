"""Files that are asked about: pictures, folders of frames, videos, and lists of these."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hallmark.data.pictures import IMAGES
from hallmark.data.problems import Problems
from hallmark.storage.delimited import DELIMITERS, TableError, read_table
from hallmark.storage.regular import UnreadableFileError
from hallmark.systems.deepfake.manifest import COLUMNS, VIDEOS

LISTS = (".csv", ".tsv")


def list_new(inputs: Sequence[Path], problems: Problems) -> pd.DataFrame:
    """One row a picture or video file, with the columns of `COLUMNS`; paths are absolute.

    A picture and a video file are videos of their own. The pictures of a folder are the frames of one video, each of
    its subfolders likewise. A list has a column `path`, relative to its folder, and may have `video`.
    """
    rows: list[dict[str, str]] = []
    for source in inputs:
        path = source.expanduser().absolute()
        kind = path.suffix.lower()
        if path.is_dir():
            files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in (*IMAGES, *VIDEOS)]
            if not files:
                problems.add(str(source), "missing_file", f"{source}: no picture and no video in this folder")
            rows += [_row(file, str(source / file.relative_to(path)), of_folder=True) for file in files]
        elif not path.exists():
            problems.add(str(source), "missing_file", f"{source}: no such file or folder")
        elif kind in LISTS:
            rows += _listed(source, problems)
        elif kind in (*IMAGES, *VIDEOS):
            rows.append(_row(path, str(source), of_folder=False))
        else:
            known = ", ".join((*IMAGES, *VIDEOS, *LISTS))
            problems.add(str(source), "unreadable_image", f"{source}: expected a folder or a file that ends in {known}")
    table = pd.DataFrame(rows, columns=[*COLUMNS], dtype=object).fillna("")
    return table.drop_duplicates("path").reset_index(drop=True)


def _row(path: Path, name: str, *, of_folder: bool) -> dict[str, str]:
    frame = of_folder and path.suffix.lower() in IMAGES
    return {"path": str(path), "video": str(Path(name).parent) if frame else name}


def _listed(file: Path, problems: Problems) -> list[dict[str, str]]:
    try:
        table = read_table(file, required=["path"], delimiters=DELIMITERS, tidy=True).cells
    except (UnreadableFileError, TableError) as error:
        problems.add(str(file), "missing_file", str(error))
        return []
    videos = table["video"] if "video" in table else table["path"]
    return [
        {"path": str(file.absolute().parent / path), "video": video or path}
        for path, video in zip(table["path"], videos, strict=True)
        if path or problems.add(str(file), "empty_path", f"{file}: a row without a path")
    ]
