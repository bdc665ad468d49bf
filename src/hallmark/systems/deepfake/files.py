"""From listed files to frames that can be read: videos are decoded, damaged files named, faces cropped."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.data.images import GRAY_MODES, read_image, scan_images
from hallmark.data.problems import Problems
from hallmark.storage.hashing import digest, digest_bytes
from hallmark.storage.regular import MissingFileError, UnreadableFileError, read_regular
from hallmark.systems.deepfake.faces import FaceCrops
from hallmark.systems.deepfake.manifest import VIDEOS
from hallmark.systems.deepfake.videos import BrokenVideoError, extract_frames


def with_frames(rows: pd.DataFrame, folder: Path, most: int | None, problems: Problems, cache: Path) -> pd.DataFrame:
    """Rows of `read_listed` with `file`, the path of a picture; a video becomes at most `most` rows, its frames."""
    if not rows["path"].str.lower().str.endswith(VIDEOS).any():
        return rows.assign(file=[str(folder / path) for path in rows["path"]])
    records: list[dict[Any, Any]] = []
    for row in rows.to_dict("records"):
        path = folder / row["path"]
        if path.suffix.lower() not in VIDEOS:
            records.append({**row, "file": str(path)})
            continue
        try:
            frames = extract_frames(path, most, cache)
        except UnreadableFileError as error:
            kind = "missing_file" if isinstance(error, MissingFileError) else "broken_video"
            problems.add(row["path"], kind, str(error))
        except BrokenVideoError as error:
            problems.add(row["path"], "broken_video", str(error))
        else:
            records += [{**row, "path": f"{row['path']}/{file.stem}", "file": str(file)} for file in frames]
    return pd.DataFrame(records, columns=[*rows.columns, "file"], dtype=object)


def readable_rows(rows: pd.DataFrame, problems: Problems, cache: Path) -> tuple[pd.DataFrame, NDArray]:
    """The rows whose `file` can be decoded, with `digest`, and what `scan_images` says of them, [N].

    A file is read for its digest, by which everything else is cached, and where it was never seen before once more to
    be scanned, since all files would not fit into memory in between.
    """
    digests = []
    for file, name in rows[["file", "path"]].to_numpy().tolist():
        try:
            digests.append(digest_bytes(read_regular(Path(file))))
        except UnreadableFileError as error:
            kind = "missing_file" if isinstance(error, MissingFileError) else "unreadable_image"
            problems.add(name, kind, str(error))
            digests.append("")
    exists = np.array([content != "" for content in digests], bool)
    rows = rows.assign(digest=digests)[exists].reset_index(drop=True)
    files = [Path(file) for file in rows["file"]]
    scans = scan_images(files, rows["digest"].tolist(), cache)
    for position in np.flatnonzero(~scans["readable"]).tolist():
        cause = f"{files[position]}: was unreadable when it was first scanned"
        try:
            read_image(files[position])
        except OSError as error:
            cause = str(error)
        problems.add(rows["path"].iloc[position], "unreadable_image", cause)
    readable = scans["readable"]
    rows, scans = rows[readable].reset_index(drop=True), scans[readable]
    doubts = {
        "deep_image": (scans["deep"], "more than 8 bits a channel, of which 8 are used"),
        "gray_image": (np.isin(scans["mode"], GRAY_MODES), "a gray picture"),
        "damaged_metadata": (scans["metadata"], "metadata that cannot be read"),
    }
    usable = np.ones(len(rows), bool)
    for kind, (where, detail) in doubts.items():
        for position in np.flatnonzero(where).tolist():
            row = rows.iloc[position]
            usable[position] &= problems.add(row["path"], kind, f"{row['file']}: {detail}")
    return rows[usable].reset_index(drop=True), scans[usable]


def with_faces(
    rows: pd.DataFrame, faces: FaceCrops | None, problems: Problems, cache: Path
) -> tuple[pd.DataFrame, NDArray]:
    """Rows with `content` (hash of the pixels that a model sees), `faces` (how many there are, as text), and in
    `file` the crop of the largest; and which rows stay, bool [N]. Without `faces`, pictures stay as they are."""
    if faces is None:
        return rows.assign(content=rows["digest"], faces=""), np.ones(len(rows), bool)
    usable = np.ones(len(rows), bool)
    crops = faces.crop([Path(file) for file in rows["file"]], rows["digest"].tolist(), cache)
    for position, crop in enumerate(crops):
        name, file = rows["path"].iloc[position], rows["file"].iloc[position]
        if crop.faces == 0:
            usable[position] = problems.add(name, "no_face", f"{file}: no face was found")
        elif crop.faces > 1:
            detail = f"{file}: {crop.faces} faces, of which the largest is used"
            usable[position] = problems.add(name, "several_faces", detail)
    rows = rows.assign(
        content=[
            digest([content, faces.settings, crop.box]) if crop.box else content
            for content, crop in zip(rows["digest"], crops, strict=True)
        ],
        file=[str(crop.path) if crop.path else file for file, crop in zip(rows["file"], crops, strict=True)],
        faces=[str(crop.faces) for crop in crops],
    )
    return rows[usable].reset_index(drop=True), usable
