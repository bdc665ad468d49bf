"""What a file says beside its pixels, and whether that alone tells real from fake."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from hallmark.storage.arrays import ArrayStore
from hallmark.storage.hashing import digest
from hallmark.storage.regular import read_regular

LEAST_AUC = 0.6
"""From which on a shortcut is warned of."""

_HEADER = np.dtype([("format", "S8"), ("mode", "S8"), ("size", "i4", (2,)), ("deep", "?"), ("tables", "u2", (2, 64))])
_FOLDS = 5
_PNG_DEPTH = 24  # byte of a PNG file that holds the bits of a channel
_PNG = b"\x89PNG"


def read_headers(paths: Sequence[Path], digests: Sequence[str], cache: Path) -> NDArray:
    """What the headers of readable image files say, stored under `cache` by content.

    A structured array [N]: `format` and `mode` of Pillow, `size` (width, height), `deep` (more than 8 bits a channel)
    and `tables`, the first two quantization tables of JPEG, zeros of other formats.
    """
    if not len(paths):
        return np.empty(0, _HEADER)
    store = ArrayStore(cache / "headers" / digest(_HEADER.descr))
    rows = store.rows(digests, lambda positions: np.array([_header(paths[p]) for p in positions], _HEADER))
    return rows.take(range(len(paths)))


def _header(path: Path) -> tuple[bytes, bytes, tuple[int, int], bool, NDArray]:
    content = read_regular(path)
    tables = np.zeros((2, 64), np.uint16)
    with Image.open(BytesIO(content)) as image:
        for number, table in enumerate(list(getattr(image, "quantization", {}).values())[:2]):
            tables[number] = np.minimum(table, np.iinfo(np.uint16).max)
        # Pillow gives PNG of 16 bits a channel as RGB of 8.
        deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
        deep |= content.startswith(_PNG) and content[_PNG_DEPTH] > 8
        return (image.format or "").encode(), image.mode.encode(), image.size, deep, tables


def shortcuts(headers: NDArray, target: NDArray, group: Sequence[str]) -> pd.DataFrame:
    """How well what headers say tells the classes apart: columns `what`, `auc`.

    The AUC is that of a small decision tree on rows of groups that it was not fitted on, cross-validated; 0.5 where a
    property is the same in all files. Empty where there are too few groups of both classes.

    Args:
        headers: [N] of `read_headers`; target: bool [N], whether fake.
        group: of each row.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    groups = pd.Series(list(group))
    if min((groups[target == label].nunique() for label in (False, True)), default=0) < _FOLDS:
        return pd.DataFrame(columns=["what", "auc"])
    known = {
        "format": np.stack([pd.factorize(headers[name])[0] for name in ("format", "mode", "deep")], axis=1),
        "size": headers["size"],
        "JPEG quantization tables": headers["tables"].reshape(len(headers), -1),
    }
    records = []
    for what, values in known.items():
        auc = 0.5
        if (values != values[0]).any():
            folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
            tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=5, random_state=0)
            scores = cross_val_predict(tree, values, target, groups=groups, cv=folds, method="predict_proba")
            auc = float(roc_auc_score(target, scores[:, 1]))
        records.append({"what": what, "auc": auc})
    return pd.DataFrame(records)
