"""What a file says beside its pixels, and whether that alone tells real from fake."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LEAST_AUC = 0.6
"""From which on a shortcut is warned of."""

_FOLDS = 5


def shortcuts(scans: NDArray, target: NDArray, group: Sequence[str]) -> pd.DataFrame:
    """How well what files say beside their pixels tells the classes apart: columns `what`, `auc`.

    The AUC is that of a small decision tree on rows of groups that it was not fitted on, cross-validated; 0.5 where a
    property is the same in all files. Empty where there are too few groups of both classes.

    Args:
        scans: [N] of `scan_images`; target: bool [N], whether fake.
        group: of each row.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    groups = pd.Series(list(group))
    if min((groups[target == label].nunique() for label in (False, True)), default=0) < _FOLDS:
        return pd.DataFrame(columns=["what", "auc"])
    known = {
        "format": np.stack([pd.factorize(scans[name])[0] for name in ("format", "mode", "deep")], axis=1),
        "size": scans["size"],
        "JPEG quantization tables": scans["tables"].reshape(len(scans), -1),
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
