"""Listed picture files that can be read, and what is wrong with the others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.data.images import GRAY_MODES, read_image, scan_images
from hallmark.data.problems import Problems
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.regular import MissingFileError, UnreadableFileError, read_regular

IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""How the names of picture files end."""


def visible_files(folder: Path) -> list[Path]:
    """What lies in `folder` and its subfolders, sorted, without folders and without what a dot hides.

    Links to folders are not followed and stand in the list themselves, so that whoever reads it says so.
    """
    below = sorted(folder.rglob("*"))
    hidden = [any(part.startswith(".") for part in path.relative_to(folder).parts) for path in below]
    return [
        path
        for path, is_hidden in zip(below, hidden, strict=True)
        if not (is_hidden or (path.is_dir() and not path.is_symlink()))
    ]


def readable_pictures(
    rows: pd.DataFrame, problems: Problems, cache: Path, *, name: str, doubts: Sequence[str]
) -> tuple[pd.DataFrame, NDArray]:
    """The rows whose `file` can be decoded, with `digest`, the hash of its bytes; and what `scan_images` says of them.

    A file is read for its digest, by which everything else is cached, and where it was never seen before once more to
    be scanned, since all files would not fit into memory in between.

    Args:
        name: column by which problems list a file. Their kinds are `missing_file`, `unreadable_image`, and of `doubts`
            those that hold, whose rows stay where the policy says so.
        doubts: of `deep_image`, `gray_image`, `cmyk_image` and `damaged_metadata`.
    """
    digests = []
    for file, listed in rows[["file", name]].to_numpy().tolist():
        try:
            digests.append(digest_bytes(read_regular(Path(file))))
        except UnreadableFileError as error:
            kind = "missing_file" if isinstance(error, MissingFileError) else "unreadable_image"
            problems.add(listed, kind, str(error))
            digests.append("")
    exists = np.array([content != "" for content in digests], bool)
    rows = rows.assign(digest=digests)[exists].reset_index(drop=True)
    scans = scan_images([Path(file) for file in rows["file"]], rows["digest"].tolist(), cache)
    for position in np.flatnonzero(~scans["readable"]).tolist():
        problems.add(rows[name][position], "unreadable_image", _why_unreadable(Path(rows["file"][position])))
    readable = scans["readable"]
    rows, scans = rows[readable].reset_index(drop=True), scans[readable]
    known = {
        "deep_image": (scans["deep"], "more than 8 bits a channel, of which 8 are used"),
        "gray_image": (np.isin(scans["mode"], GRAY_MODES), "a gray picture"),
        "cmyk_image": (scans["mode"] == b"CMYK", "a CMYK picture"),
        "damaged_metadata": (scans["metadata"], "metadata that cannot be read"),
    }
    usable = np.ones(len(rows), bool)
    for kind in doubts:
        where, detail = known[kind]
        for position in np.flatnonzero(where).tolist():
            usable[position] &= problems.add(rows[name][position], kind, f"{rows['file'][position]}: {detail}")
    return rows[usable].reset_index(drop=True), scans[usable]


def _why_unreadable(file: Path) -> str:
    try:
        read_image(file)
    except OSError as error:
        return str(error)
    return f"{file}: was unreadable when it was first scanned"
