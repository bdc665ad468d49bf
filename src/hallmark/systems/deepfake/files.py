"""From listed files to pictures of faces: videos are decoded, faces cropped."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.data.problems import Problems
from hallmark.storage.hashing import digest
from hallmark.storage.regular import MissingFileError, UnreadableFileError
from hallmark.systems.deepfake.faces import FaceCrops
from hallmark.systems.deepfake.manifest import VIDEOS
from hallmark.systems.deepfake.videos import BrokenVideoError, extract_frames


def with_frames(rows: pd.DataFrame, most: int | None, problems: Problems, cache: Path) -> pd.DataFrame:
    """Rows whose `file` is a picture: a video becomes at most `most` of them, its frames."""
    if not rows["path"].str.lower().str.endswith(VIDEOS).any():
        return rows
    records: list[dict[Any, Any]] = []
    for row in rows.to_dict("records"):
        path = Path(row["file"])
        if path.suffix.lower() not in VIDEOS:
            records.append(row)
            continue
        try:
            frames = extract_frames(path, most, cache)
        except UnreadableFileError as error:
            kind = "missing_file" if isinstance(error, MissingFileError) else "broken_video"
            problems.add(row["path"], kind, str(error))
        except BrokenVideoError as error:
            problems.add(row["path"], "broken_video", str(error))
        else:
            if most is not None and len(frames) == most and int(frames[-1].stem) >= most:
                detail = f"{row['path']} has more frames than the {most} that are used (data.frames_per_video)"
                if not problems.add(row["path"], "many_frames", detail):
                    continue
            records += [{**row, "path": f"{row['path']}/{file.stem}", "file": str(file)} for file in frames]
    return pd.DataFrame(records, columns=rows.columns, dtype=object)


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
