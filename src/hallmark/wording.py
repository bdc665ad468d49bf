"""Times, counts, names and lists as a reader wants them; loads nothing heavy."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

NOTHING = "–"
SPLITS = {"val": "validation", "test": "test"}  # those with numbers of their own

_ABBREVIATIONS = {
    "f1": "F1", "auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier", "ece": "ECE", "eer": "EER",
    "tpr": "TPR", "fpr": "FPR", "1pct": "1 %", "iou": "IoU", "miou": "mIoU",
    "oiou": "oIoU", "frechet": "Fréchet", **{f"p@{share}": f"P@{share}" for share in (0.5, 0.6, 0.7, 0.8, 0.9)},
}  # fmt: skip


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 05 min`."""
    rounded = round(seconds)
    if rounded < 100:
        return f"{rounded} s"
    if rounded < 6000:
        return f"{rounded // 60} min {rounded % 60:02d} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02d} min"


def moment(text: str) -> str:
    """`2026-01-31 12:00 UTC` of an ISO 8601 time."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def plural(n: int, noun: str) -> str:
    """`1 row`, `3 rows`; a noun in -y takes -ies."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{n:,} {noun if n == 1 else many}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def failures_by_kind(calls: Mapping[str, Any]) -> str:
    """`connection 8, timeout 1`: failed calls by kind; `none`."""
    return ", ".join(f"{kind} {count}" for kind, count in sorted(calls["fallbacks"].items())) or "none"


def value_text(value: Any) -> str:
    """A setting or a value of a trial: four digits of a number with a fraction, a dash where there is none."""
    if value is None or value != value:
        return NOTHING
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def readable(metric: str) -> str:
    """A metric's or column's name as a reader would write it: `macro_f1` becomes `macro F1`."""
    return " ".join(_ABBREVIATIONS.get(word, word) for word in metric.replace("_", " ").split())


def short_names(names: Sequence[str], separator: str = ".") -> dict[str, str]:
    """The fewest last parts of each dotted name that no other of the names ends with."""
    separated = [separator + name for name in names]

    def short(name: str) -> str:
        parts = name.split(separator)
        ends = (separator.join(parts[-count:]) for count in range(1, len(parts)))
        return next((end for end in ends if sum(each.endswith(separator + end) for each in separated) == 1), name)

    return {name: short(name) for name in names}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the nearest of the `known` names, and nothing where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
