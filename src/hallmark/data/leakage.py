"""The leakage gate: what one split knows of another, found before any fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.checks import Portable
from hallmark.data import inheritance
from hallmark.data.duplicate_images import Selection, Thumbnails, near_duplicates
from hallmark.data.duplicate_texts import JACCARD, MIN_WORDS, near_duplicate_texts
from hallmark.data.groups import connected_groups, shared_key_pairs
from hallmark.data.inheritance import InheritedLeaks
from hallmark.data.names import PIECE, WORD, NamedTexts

_LISTED = 20  # pairs in a message, some of each kind

_IMAGE, _TEXT = "near-duplicate image", "near-duplicate text"

# By kind: what a finding is, and what remains unseen.
_REACH = {
    "id": ("equal ids", ""),
    "group": ("equal groups", "relations that the groups do not state"),
    "duplicate text": (
        "texts that are equal but for retweet marks, links, handles, punctuation, case and spacing", ""
    ),
    _TEXT: (
        f"texts of {MIN_WORDS} different words or more with a Jaccard index of their words of {JACCARD} or more",
        "paraphrases, translations, quotations in longer texts, and shorter texts that differ in a word",
    ),
    _IMAGE: (
        "pictures re-encoded, resized, made brighter, darker or gray, mirrored, or cropped by about 2 % at each edge",
        "pictures rotated, cropped by more, framed, written upon, inverted or put together with others, "
        "and other photographs of the same thing",
    ),
    WORD: (
        "names of classes and their aliases, as words; in scripts without spaces, anywhere",
        "nicknames, translations and parts of names that are not among the aliases",
    ),
    PIECE: (
        "names of classes and their aliases of four letters or more that the tokenizer cuts out of a word",
        "",
    ),
}  # fmt: skip
_IDENTICAL = ("equal content, byte for byte", "content that was cut, resampled or stored anew")


class LeakageError(Portable, ValueError):
    """Splits share content; `findings` lists the pairs."""

    def __init__(self, findings: pd.DataFrame) -> None:
        counts = ", ".join(f"{n} {kind}" for kind, n in findings["kind"].value_counts().items())
        in_turn = findings.groupby("kind").cumcount().sort_values(kind="stable").index
        listed = findings.loc[in_turn[:_LISTED]].sort_index()
        lines = [
            f"  {row.kind}: {row.first_id} ({row.first_split}) ~ {row.second_id} ({row.second_split})"
            for row in listed.itertuples()
        ]
        n_unlisted = len(findings) - len(listed)
        more = [f"  … and {n_unlisted} more in leakage.csv"] if n_unlisted else []
        are_names = findings["kind"].isin([WORD, PIECE])
        remedies = [
            *(["take the names out of the texts"] if are_names.any() else []),
            *(["correct the split"] if not are_names.all() else []),
        ]
        remedy = " and ".join(remedies)
        advice = f"{remedy[0].upper()}{remedy[1:]}, or record the leak permanently with data.leakage=report"
        inherited = findings[findings["kind"].str.startswith(inheritance.KIND)]
        if (inherited["first_split"] == "train").any():
            advice = f"Predictions to train on are of rows that the parent was not fitted on, or out of fold. {advice}"
        elif len(inherited):
            advice = f"A preset as parent is fitted on the training rows of this run alone. {advice}"
        super().__init__("\n".join([f"leakage between splits: {counts}", *lines, *more, advice]))
        self.findings = findings


@dataclass
class LeakageInputs:
    """What the gate compares, one entry a row.

    Attributes:
        samples: columns id, split, group.
        grouped: whether `group` says more than `id`; if not, the group check is unknown, not clean.
        files: file content digests by kind of file (image, signal …).
        texts: normalized texts, "" where there is nothing to compare; None where rows have no text.
        thumbnails: uint8 [N, 32, 32, 3]; None where rows have no image.
        comparable: bool [N], False where the thumbnail shows nothing; None for all comparable.
        named: texts that must not hold the name of a class; None where they may.
    """

    samples: pd.DataFrame
    grouped: bool
    files: dict[str, list[str]]
    texts: list[str] | None = None
    thumbnails: Thumbnails | None = None
    comparable: NDArray | None = None
    named: NamedTexts | None = None


class Leaks(NamedTuple):
    """What the gate found.

    Attributes:
        findings: pairs of rows of different splits: kind, first_id, first_split, second_id, second_split; the second
            of a name in a text is that name.
        verdicts: by check `clean`, `found` or `unknown`.
        fitted_test: test rows that a parent was fitted or selected on, by its name.
        predict: what unlabelled rows share with labelled ones: `rows`, `shared` (rows that share anything), and
            `kinds`, by check and split how many. Nothing is measured on them, so that it stops nothing.
    """

    findings: pd.DataFrame
    verdicts: dict[str, str]
    predict: dict[str, Any]
    fitted_test: dict[str, int]

    def entry(self) -> dict[str, Any]:
        """All but the pairs in plain containers, with what each check looks for and what it does not reach."""
        reach = {
            kind: inheritance.REACH if kind.startswith(inheritance.KIND) else _REACH.get(kind, _IDENTICAL)
            for kind in self.verdicts
        }
        return {
            "findings": len(self.findings),
            "checks": self.verdicts,
            "looked_for": {kind: looked_for for kind, (looked_for, _) in reach.items()},
            "not_reached": {kind: unseen for kind, (_, unseen) in reach.items() if unseen},
            "predict": self.predict,
            **({"fitted_test": self.fitted_test} if self.fitted_test else {}),
        }


def find_leaks(inputs: LeakageInputs, inherited: InheritedLeaks | None = None) -> Leaks:
    """Compare all rows with all by every check that `inputs` allows; `inherited` is what was found about parents."""
    split = inputs.samples["split"].to_numpy()
    # Where one row stands for many that are alike, it is a labelled one if there is any.
    order = np.argsort(split == "predict", kind="stable")
    pairs = {kind: None if rows is None else order[rows] for kind, rows in _pairs(inputs, order).items()}
    crossing = []
    for kind, rows in pairs.items():
        if rows is not None:
            first, second = (inputs.samples.iloc[side].reset_index() for side in rows.T)
            table = pd.DataFrame({
                "kind": kind, "first_id": first["id"], "first_split": first["split"],
                "second_id": second["id"], "second_split": second["split"],
            })  # fmt: skip
            measured = (table["first_split"] != "predict") & (table["second_split"] != "predict")
            crossing.append(table[measured & (table["first_split"] != table["second_split"])])
    checks = {kind: rows is not None for kind, rows in pairs.items()}
    if inputs.named is not None:
        names = inputs.named.findings(inputs.samples)
        crossing.append(names[names["first_split"] != "predict"])
        checks |= {WORD: True, PIECE: inputs.named.spans is not None}
    findings = pd.concat(crossing, ignore_index=True)
    kinds = set(findings["kind"])
    verdicts = {
        kind: "unknown" if not known else "found" if kind in kinds else "clean" for kind, known in checks.items()
    }
    shared = _shared_by_predict({kind: p for kind, p in pairs.items() if p is not None}, split)
    if inherited is None:
        return Leaks(findings, verdicts, shared, {})
    findings = pd.concat([findings, inherited.findings], ignore_index=True) if len(inherited.findings) else findings
    return Leaks(findings, verdicts | inherited.verdicts, shared, inherited.fitted_test)


def _pairs(inputs: LeakageInputs, order: NDArray) -> dict[str, NDArray | None]:
    """By check, pairs of positions in `order`; None where nothing is known."""
    samples = inputs.samples.iloc[order]
    pairs: dict[str, NDArray | None] = {"id": shared_key_pairs(samples["id"].tolist())}
    pairs["group"] = shared_key_pairs(samples["group"].astype(str).tolist()) if inputs.grouped else None
    for kind, digests in inputs.files.items():
        pairs[f"identical {kind}"] = shared_key_pairs([digests[row] for row in order])
    if inputs.texts is not None:
        texts = [inputs.texts[row] for row in order]
        pairs["duplicate text"] = shared_key_pairs(texts)
        different: dict[str, int] = {}  # equal texts are found above; the first of them stands for all
        for position, text in enumerate(texts):
            different.setdefault(text, position)
        pairs[_TEXT] = np.array(list(different.values()), int)[near_duplicate_texts(list(different))]
    if inputs.thumbnails is not None:
        rows = np.arange(len(order)) if inputs.comparable is None else np.flatnonzero(inputs.comparable[order])
        pairs[_IMAGE] = rows[near_duplicates(Selection(inputs.thumbnails, order[rows]))]
    return pairs


def _shared_by_predict(pairs: dict[str, NDArray], split: NDArray) -> dict[str, Any]:
    rows = np.flatnonzero(split == "predict")
    shared = np.zeros(len(rows), bool)
    kinds: dict[str, dict[str, int]] = {}
    for kind, similar in pairs.items() if len(rows) else ():
        cluster = connected_groups(len(split), [similar])
        for name in sorted(set(split) - {"predict"}):
            like = np.isin(cluster[rows], cluster[split == name])
            shared |= like
            if like.any():
                kinds.setdefault(kind, {})[str(name)] = int(like.sum())
    return {"rows": len(rows), "shared": int(shared.sum()), "kinds": kinds}


def verdict_line(entry: Mapping[str, Any]) -> str:
    """`id clean, group unknown, …` of a record's entry."""
    return ", ".join(f"{check} {verdict}" for check, verdict in entry["checks"].items())


def reach_lines(entry: Mapping[str, Any]) -> list[str]:
    """For each check whose `clean` leaves something open, what it looks for and what it does not reach."""
    looked_for = entry.get("looked_for", {})
    kinds: dict[tuple[str, str], list[str]] = {}
    for kind, unseen in entry.get("not_reached", {}).items():
        kinds.setdefault((looked_for[kind], unseen), []).append(kind)
    return [f"{', '.join(names)}: looks for {looks}; not for {unseen}" for (looks, unseen), names in kinds.items()]


def predict_lines(entry: Mapping[str, Any]) -> list[str]:
    """What the rows to predict share with labelled rows; empty where there are no such rows."""
    predict = entry.get("predict") or {"rows": 0}
    if not predict["rows"]:
        return []
    if not predict["shared"]:
        return [f"none of the {predict['rows']} rows to predict shares anything with labelled rows"]
    kinds = ", ".join(
        f"{kind} ({', '.join(f'{n} with {split}' for split, n in splits.items())})"
        for kind, splits in predict["kinds"].items()
    )
    verb = "shares" if predict["shared"] == 1 else "share"
    return [
        f"{predict['shared']} of {predict['rows']} rows to predict {verb} content with labelled rows: {kinds}. "
        "This stops no fit, since nothing is measured on them; predictions of them may be better than those of new rows"
    ]
