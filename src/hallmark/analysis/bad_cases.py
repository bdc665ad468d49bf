"""Samples that the model gets wrong or is unsure about, worst first."""

import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from hallmark.analysis.plots.signal_sheet import series_of, signal_sheet
from hallmark.analysis.plots.style import BAND, MUTED, PALETTE, drawable, house_style, panel_grid, wrapped
from hallmark.analysis.presentation import check_classes, classified_tasks, show
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.data.images import read_image
from hallmark.runs.metrics import OUT_OF_FOLD
from hallmark.statistics import probability_array, target_array

log = logging.getLogger(__name__)

TABLE = "bad_cases"
WRONG, UNSURE = "wrong", "low_confidence"
SHEET, _SHOWN = 12, 8
_COLUMNS = [
    "guid", "task", "group", "target", "prediction", "confidence", "path", "text", "recording", "start", "reason",
    "mined_from", "label_issue",
]  # fmt: skip
_OPTIONAL = {"path": "info_path", "text": "info_text", "recording": "info_recording", "start": "info_start"}
_THUMBNAIL = 320
_CAPTION = 34  # characters of a line below a thumbnail


class BadCases:
    """Write `bad_cases.csv` and a contact sheet of some of its rows: pictures, or signals where samples are those.

    Where a few must stand for all, printed, on the sheet and under `limit`, tasks take turns, within a task its groups
    (subjects), and within a group its recordings: the worst case of each comes first, then the second of each, so
    that neither a subject nor overlapping windows fill the sheet.

    The source to prefer is the training split through out-of-fold predictions: cases that are mined on
    validation and trained on make every later validation score too good. `mined_from` keeps the source.

    Args:
        source: `out_of_fold`, or a split whose predictions are mined.
        confidence_below: a right prediction is a case too where its confidence is below this.
        limit: write this many at most, wrong ones first, groups by turns; None writes all.
        label_errors: flag the cases whose label cleanlab holds for wrong (Northcutt et al. 2021,
            arXiv:1911.00068), in the column `label_issue`.
    """

    def __init__(self, source: str, confidence_below: float, *, limit: int | None, label_errors: bool) -> None:
        require(bool(source), "source", source, f"{OUT_OF_FOLD}, or a split such as val")
        require(0 <= confidence_below <= 1, "confidence_below", confidence_below, "a number from 0 to 1")
        require(limit is None or limit >= 1, "limit", limit, "at least 1, or null for all cases")
        install = (
            "needs cleanlab: pip install 'hallmark-experiments[label-errors]', or analysis.bad_cases.label_errors=false"
        )
        require(not label_errors or find_spec("cleanlab") is not None, "label_errors", label_errors, install)
        self.source, self.confidence_below = source, confidence_below
        self.limit, self.label_errors = limit, label_errors

    def run(self, state: State) -> None:
        if self.source != OUT_OF_FOLD:
            log.warning(
                "bad cases are mined from %s: a model retrained on them cannot be judged on that split again "
                "(the column mined_from tells)",
                self.source,
            )
        check_classes(state.predictions, "bad_cases")
        predictions = state.predictions_of(self.source)
        cases = self.cases(predictions)
        state.save_table(TABLE, cases)
        worst = round_robin(cases, _SHOWN).drop(columns=[*_OPTIONAL, "mined_from"], errors="ignore")
        show(f"Bad cases ({len(cases)} from {self.source})", worst)
        if cases.empty:
            return
        groups = predictions.drop_duplicates("id").set_index("id")["group"]
        first = round_robin(cases.assign(group=cases["guid"].map(groups)), SHEET)
        if "path" in cases:
            state.save_figure(TABLE, contact_sheet(first))
        elif signals := series_of(state.data(), first["guid"].tolist()):
            state.save_figure(TABLE, signal_sheet(first, signals, predictions))

    def cases(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """The table of cases: wrong ones by falling confidence, then unsure ones by rising confidence.

        It has a column `task` where there are several, and `group` where groups have several rows.
        """
        tasks = classified_tasks(predictions)
        parts = []
        for _, classes, rows in tasks:
            wrong = rows["prediction"].astype(str) != rows["target"].astype(str)
            part = rows[["task", "group", "target", "prediction", "confidence"]].assign(
                guid=rows["id"], reason=np.where(wrong, WRONG, UNSURE), mined_from=self.source,
                **{name: rows[source] for name, source in _OPTIONAL.items() if source in rows},
            )  # fmt: skip
            if self.label_errors:
                part["label_issue"] = label_issues(rows, classes)
            parts.append(part[wrong | (rows["confidence"] < self.confidence_below)])
        absent = {name for name, source in _OPTIONAL.items() if source not in predictions}
        absent |= set() if self.label_errors else {"label_issue"}
        absent |= set() if len(tasks) > 1 else {"task"}
        absent |= set() if predictions[["task", "group"]].duplicated().any() else {"group"}
        columns = [name for name in _COLUMNS if name not in absent]
        table = pd.concat(parts) if parts else pd.DataFrame(columns=list(dict.fromkeys([*columns, "task", "group"])))
        doubt = table["confidence"].where(table["reason"] != WRONG, -table["confidence"])
        table = table.assign(doubt=doubt).sort_values(
            ["reason", "doubt", "guid"], ascending=[False, True, True], ignore_index=True
        )
        return round_robin(table, self.limit)[columns]


def round_robin(cases: pd.DataFrame, n: int | None) -> pd.DataFrame:
    """`n` of the cases in their order: wrong ones first, by turns tasks, in a task groups, in a group recordings."""
    by_task = [name for name in ("reason", "task") if name in cases]
    parts = [name for name in ("group", "recording") if name in cases]
    order = cases.assign(position=range(len(cases)), turn=0)
    # From the innermost level outwards: the turns of a level are counted in the order that the level within it has.
    for depth in range(len(parts), -1, -1):
        keys = [*by_task, *parts[:depth]]
        order["turn"] = order.groupby(keys, sort=False, dropna=False).cumcount()
        order = order.sort_values(["turn", "position"])
    chosen = order.assign(right=order["reason"] != WRONG).sort_values(["right", "turn", "position"])["position"][:n]
    return cases.iloc[np.sort(chosen)].reset_index(drop=True)


def label_issues(rows: pd.DataFrame, classes: list[str]) -> np.ndarray:
    """Which labels [N] cleanlab's prune-by-noise-rate holds for wrong; none if only one class is labelled."""
    from cleanlab.filter import find_label_issues

    present, labels = np.unique(target_array(rows, classes), return_inverse=True)
    if len(present) < 2:
        return np.zeros(len(rows), dtype=bool)
    probabilities = np.clip(probability_array(rows, classes)[:, present], 1e-9, None)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return np.asarray(find_label_issues(labels, probabilities, n_jobs=1), dtype=bool)


@house_style()
def contact_sheet(cases: pd.DataFrame) -> Figure:
    """Picture, target → prediction with its confidence, and text of each case; `cases` has `path`."""
    figure, axes = panel_grid(len(cases), min(4, len(cases)), 2.6, width=1.9 * min(4, len(cases)))
    for ax, case in zip(axes, cases.to_dict("records"), strict=True):
        picture, size = readable_picture(case["path"]), (_THUMBNAIL, _THUMBNAIL)
        # Whole, on a square ground.
        ax.imshow(ImageOps.pad(picture, size, color=BAND) if picture else Image.new("RGB", size, BAND))
        if picture is None:
            ax.text(0.5, 0.5, "no readable picture", transform=ax.transAxes, ha="center", va="center", color=MUTED)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
        ink = PALETTE[1] if case["reason"] == WRONG else PALETTE[0]
        title = f"{drawable(case['target'])} → {drawable(case['prediction'])}  {case['confidence']:.2f}"
        ax.set_title(title, fontsize=7.5, color=ink, pad=3)
        issue = ["[label in doubt]"] if case.get("label_issue") else []
        text = case.get("text")
        lines = [*issue, *wrapped(drawable(text) if isinstance(text, str) else "", _CAPTION, 4 - len(issue))]
        ax.set_xlabel("\n".join(lines), fontsize=6.8, loc="left", labelpad=2, linespacing=1.15)
    return figure


def readable_picture(path: object, *, draft: int | None = None) -> Image.Image | None:
    """The picture, decoded no larger than `draft` needs; None where there is no readable one."""
    if not isinstance(path, str) or not path:
        return None
    try:
        return read_image(Path(path), draft=draft)
    except OSError as error:
        log.warning("no picture: %s", error)
        return None
