"""Listed picture files that can be read, and what is wrong with the others."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.data.images import read_image, scan_images
from hallmark.data.problems import Problems
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.regular import MissingFileError, UnreadableFileError, read_regular

IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""How the names of picture files end."""


def readable_pictures(rows: pd.DataFrame, problems: Problems, cache: Path) -> tuple[pd.DataFrame, NDArray]:
    """The rows whose `file` can be decoded, with `digest`, the hash of its bytes; and what `scan_images` says of them.

    The others are listed by their `id`: `missing_file`, `unreadable_image`, and `damaged_metadata`, whose rows stay
    where the policy says so.
    """
    digests = []
    for file, row_id in zip(rows["file"], rows["id"], strict=True):
        try:
            digests.append(digest_bytes(read_regular(Path(file))))
        except UnreadableFileError as error:
            kind = "missing_file" if isinstance(error, MissingFileError) else "unreadable_image"
            problems.add(row_id, kind, str(error))
            digests.append("")
    exists = np.array([digest != "" for digest in digests], bool)
    rows = rows.assign(digest=digests)[exists].reset_index(drop=True)
    scans = scan_images([Path(file) for file in rows["file"]], rows["digest"].tolist(), cache)
    usable = scans["readable"].copy()
    for position in np.flatnonzero(~scans["readable"]).tolist():
        problems.add(rows["id"][position], "unreadable_image", _why_unreadable(Path(rows["file"][position])))
    for position in np.flatnonzero(scans["readable"] & scans["metadata"]).tolist():
        detail = f"{rows['file'][position]}: metadata that cannot be read"
        usable[position] = problems.add(rows["id"][position], "damaged_metadata", detail)
    return rows[usable].reset_index(drop=True), scans[usable]


def _why_unreadable(file: Path) -> str:
    try:
        read_image(file)
    except OSError as error:
        return str(error)
    return f"{file}: was unreadable when it was first scanned"
