"""The leakage gate: what one split knows of another, found before any fit."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.checks import Portable
from hallmark.data.groups import shared_key_pairs
from hallmark.data.images import perceptual_hashes

# Two decodings of one picture stay within these; see tests/data/test_leakage.py for re-encodings.
_HAMMING = 6
_RMS = 8.0

_LISTED = 20  # pairs in a message, some of each kind


class LeakageError(Portable, ValueError):
    """Splits share content; `findings` lists the pairs."""

    def __init__(self, findings: pd.DataFrame) -> None:
        counts = ", ".join(f"{n} {kind}" for kind, n in findings["kind"].value_counts().items())
        in_turn = findings.groupby("kind").cumcount().sort_values(kind="stable").index
        shown = findings.loc[in_turn[:_LISTED]].sort_index()
        lines = [
            f"  {row.kind}: {row.first_id} ({row.first_split}) ~ {row.second_id} ({row.second_split})"
            for row in shown.itertuples()
        ]
        rest = len(findings) - len(shown)
        more = [f"  … and {rest} more in leakage.csv"] if rest else []
        advice = "Mend the split, or record the leak for ever with data.leakage=report"
        super().__init__("\n".join([f"leakage between splits: {counts}", *lines, *more, advice]))
        self.findings = findings


@dataclass
class Evidence:
    """What the gate compares, one entry a row.

    Attributes:
        samples: columns id, split, group.
        grouped: whether `group` says more than `id`; if not, the group check is unknown, not clean.
        files: file content digests by kind of file (image, signal …).
        texts: normalised texts, "" where there is nothing to compare; None where rows have no text.
        thumbnails: uint8 [N, 32, 32, 3]; None where rows have no image.
        comparable: bool [N], False where the thumbnail shows nothing; None for all comparable.
    """

    samples: pd.DataFrame
    grouped: bool
    files: dict[str, list[str]]
    texts: list[str] | None = None
    thumbnails: NDArray | None = None
    comparable: NDArray | None = None


def find_leaks(evidence: Evidence) -> tuple[pd.DataFrame, dict[str, str]]:
    """Findings (kind, first_id, first_split, second_id, second_split) and a verdict for each check.

    A verdict is `clean`, `found` or `unknown`. Unlabelled rows (`predict`) are left out: nothing is
    measured on them.
    """
    rows = np.flatnonzero(evidence.samples["split"].to_numpy() != "predict")
    pairs: dict[str, NDArray | None] = {"id": _same(evidence.samples["id"].tolist(), rows)}
    pairs["group"] = _same(evidence.samples["group"].astype(str).tolist(), rows) if evidence.grouped else None
    for kind, digests in evidence.files.items():
        pairs[f"identical {kind}"] = _same(digests, rows)
    if evidence.texts is not None:
        pairs["duplicate text"] = _same(evidence.texts, rows)
    if evidence.thumbnails is not None:
        shown = rows if evidence.comparable is None else rows[evidence.comparable[rows]]
        pairs["near-duplicate image"] = shown[near_duplicates(evidence.thumbnails[shown])]
    found = [_crossing(kind, found, evidence.samples) for kind, found in pairs.items() if found is not None]
    findings = pd.concat(found, ignore_index=True)
    kinds = set(findings["kind"])
    verdicts = {kind: "unknown" if p is None else "found" if kind in kinds else "clean" for kind, p in pairs.items()}
    return findings, verdicts


def near_duplicates(thumbnails: NDArray) -> NDArray:
    """Pairs [M, 2] of uint8 thumbnails [N, 32, 32, 3] that show the same picture re-encoded or resized.

    Candidates by Hamming distance of pHash, confirmed by the RMS difference of the thumbnails,
    because flat pictures share a pHash without being alike.
    """
    if not len(thumbnails):
        return np.empty((0, 2), int)
    bits = perceptual_hashes(thumbnails).astype(np.float32) * 2 - 1
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    pairs = []
    for start in range(0, len(bits), 1024):
        distance = (64 - bits[start : start + 1024] @ bits.T) / 2
        first, second = np.nonzero(distance <= _HAMMING)
        first += start
        first, second = first[first < second], second[first < second]
        alike = np.sqrt(np.mean((flat[first] - flat[second]) ** 2, axis=1)) <= _RMS
        pairs.append(np.stack([first[alike], second[alike]], axis=1))
    return np.concatenate(pairs)


def _same(keys: list[str], rows: NDArray) -> NDArray:
    return rows[shared_key_pairs([keys[row] for row in rows])]


def _crossing(kind: str, pairs: NDArray, samples: pd.DataFrame) -> pd.DataFrame:
    first, second = samples.iloc[pairs[:, 0]].reset_index(), samples.iloc[pairs[:, 1]].reset_index()
    table = pd.DataFrame({
        "kind": kind, "first_id": first["id"], "first_split": first["split"],
        "second_id": second["id"], "second_split": second["split"],
    })  # fmt: skip
    return table[table["first_split"] != table["second_split"]]
