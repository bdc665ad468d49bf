"""Expressions that the loop improved, spoiled or left alone, chosen and drawn."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from hallmark.analysis.presentation import show
from hallmark.analysis.segmentation.answers import ONE_SHOT, check_masks
from hallmark.analysis.segmentation.case_pages import Case, case_page
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.data.masks import Rle, rle_from_text
from hallmark.runs.metrics import MAIN
from hallmark.statistics import row_ids

KINDS = ("improved", "degraded", "unchanged")
OWN = "own"
_COLUMNS = ["kind", "id", "image", "sentence", "one_shot", "loop", "difference", "queries", "stop", "confidence",
            "warning"]  # fmt: skip


class Cases:
    """Write `cases.csv` and a page of pictures a kind: `cases_improved`, `cases_degraded`, `cases_unchanged`, and
    `cases_own_<n>` of expressions without a truth.

    An expression is improved where the IoU of the loop is greater than that of one-shot by more than `least`. Of the
    improved and the degraded those of the greatest change are chosen, of equal ones the first by id; sizes of objects
    take turns, and every image gives one before any gives a second. The unchanged are chosen evenly from the worst to
    the best IoU.

    Args:
        per_kind: expressions of each kind, and on each page of those without a truth.
        own: at most this many expressions without a truth.
        least: change of the IoU below which an expression is unchanged.
    """

    def __init__(self, per_kind: int, own: int, *, least: float) -> None:
        require(per_kind >= 1, "per_kind", per_kind, "at least 1")
        require(own >= 0, "own", own, "0 or more")
        require(0 <= least < 1, "least", least, "an IoU from 0 to 1")
        self.per_kind, self.own, self.least = per_kind, own, least

    def run(self, state: State) -> None:
        table = paired_answers(state.predictions)
        chosen = self.chosen(table)
        state.save_table("cases", chosen[_COLUMNS])
        counts = self.kinds(table).value_counts().reindex([*KINDS, OWN], fill_value=0)
        for name, rows in self.pages(chosen):
            cases = [_case(state, row) for row in rows.to_dict("records")]
            state.save_figure(f"cases_{name}", case_page(cases))
        drawn = [int((chosen["kind"] == kind).sum()) for kind in counts.index]
        table = pd.DataFrame({"kind": counts.index, "expressions": counts.to_numpy(), "drawn": drawn})
        show(f"Loop against one-shot on {state.split}", table)

    def kinds(self, table: pd.DataFrame) -> "pd.Series[str]":
        """The kind of every row of `paired_answers`."""
        change = table["difference"]
        names = np.select([change.isna(), change > self.least, change < -self.least], [OWN, *KINDS[:2]], KINDS[2])
        return pd.Series(names, table.index)

    def chosen(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of `paired_answers` with their `kind`, kinds in order and in each the rows as they are drawn."""
        table = table.assign(kind=self.kinds(table), change=table["difference"].abs())
        parts = dict(iter(table.groupby("kind")))
        picked = []
        for kind in KINDS:
            if kind in parts and kind != KINDS[2]:
                picked.append(_greatest(parts[kind], self.per_kind))
            elif kind in parts:
                rows = parts[kind].sort_values(["loop", "id"])
                positions = np.unique(np.linspace(0, len(rows) - 1, self.per_kind).round().astype(int))
                picked.append(rows.iloc[positions])
        return pd.concat([*picked, table[table["kind"] == OWN].head(self.own)], ignore_index=True)

    def pages(self, chosen: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        """(name, rows) of each page."""
        for kind in KINDS:
            rows = chosen[chosen["kind"] == kind]
            if len(rows):
                yield kind, rows
        without_truth = chosen[chosen["kind"] == OWN]
        for page, start in enumerate(range(0, len(without_truth), self.per_kind), 1):
            yield f"{OWN}_{page}", without_truth.iloc[start : start + self.per_kind]


def paired_answers(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row an expression, in the order of the table: what one-shot and loop answer, and how their IoU differs.

    Of a set of repeats only the first run counts, whose proposals can be drawn.

    Raises:
        ValueError: not a table of masks, or one of a run that never rewrites.
    """
    check_masks(predictions, "cases")
    if "repetition" in predictions:
        predictions = predictions[predictions["member"] == predictions["member"].min()]
        predictions = predictions.assign(id=row_ids(predictions))
    main, first = (predictions[predictions["task"] == task].set_index("id") for task in (MAIN, ONE_SHOT))
    if first.empty:
        raise ValueError(f"cases: needs the task {ONE_SHOT}, which a run with max_iter=0 does not have")
    first = first.reindex(main.index)
    table = pd.DataFrame({
        "image": main["info_image"], "group": main["group"], "sentence": main["info_sentence"],
        "one_shot": first["score"].astype(float), "loop": main["score"].astype(float),
        "queries": main["info_queries"], "stop": main["info_stop"], "confidence": main["confidence"],
        "size": main.get("slice_size"), "warning": main.get("info_warning", ""),
        "first_mask": first["prediction"], "last_mask": main["prediction"], "target": main["target"],
    })  # fmt: skip
    return table.assign(difference=table["loop"] - table["one_shot"]).reset_index(names="id")


def _greatest(rows: pd.DataFrame, n: int) -> pd.DataFrame:
    """By turns the sizes of objects, in a size the images, in an image the greatest change."""
    rows = rows.sort_values(["change", "id"], ascending=[False, True])
    for column in ("group", "size"):
        turn = rows.groupby(column, sort=False, dropna=False).cumcount()
        rows = rows.assign(turn=turn).sort_values("turn", kind="stable")
    return rows.head(n)


def _case(state: State, row: dict[Any, Any]) -> Case:
    data: Any = state.data()
    return Case(
        picture=data.picture(row["id"]), proposals=data.proposals(row["id"]).masks(), sentence=str(row["sentence"]),
        image=str(row["image"]), queries=[str(query) for query in json.loads(row["queries"])], stop=str(row["stop"]),
        one_shot=_mask(row["first_mask"]), loop=_mask(row["last_mask"]), truth=_mask(row["target"]),
        iou=(float(row["one_shot"]), float(row["loop"])), warning=row["warning"],
    )  # fmt: skip


def _mask(text: Any) -> Rle | None:
    return rle_from_text(text) if isinstance(text, str) and text else None
