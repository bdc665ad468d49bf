"""Answers about new files as one page, with their pictures."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hallmark.report.content import Block, Facts, Picture, Pictures, Report, Section
from hallmark.report.measures import thumbnail
from hallmark.report.render import html
from hallmark.statistics.text import number_text
from hallmark.storage.files import write_text
from hallmark.wording import plural, readable

_ANSWERS, _PICTURES = 100, 16  # that are shown, which bounds the size of the page


def write_answers(path: Path, title: str, answers: pd.DataFrame, rows: pd.DataFrame, warnings: Sequence[str]) -> Path:
    """Write the page of `answers`; gives its path.

    Args:
        title: what has answered.
        answers: a row each, with the column id and texts or numbers to show.
        rows: the predictions table, whose `group` says which pictures (`info_path`) an answer's are.
        warnings: sentences for above them.
    """
    sections = []
    illustrated = rows[rows["info_path"].notna()].drop_duplicates("id") if "info_path" in rows else rows.iloc[:0]
    of_group = dict(list(illustrated.groupby("group")))
    groups = dict(zip(rows["id"], rows["group"], strict=True))
    for number, row in enumerate(answers.head(_ANSWERS).to_dict("records")):
        stated = {str(name): value for name, value in row.items() if name != "id" and not _is_empty(value)}
        blocks: list[Block] = [Facts([(readable(name), _text(value)) for name, value in stated.items()])]
        group = groups.get(row["id"])
        if group in of_group:
            blocks.append(_pictures(of_group[group]))
        sections.append(Section(str(row["id"]), blocks, id=f"answer-{number}"))
    left_out = f", of which the first {_ANSWERS} are shown" if len(answers) > _ANSWERS else ""
    summary = [f"{plural(len(answers), 'answer')}{left_out}.", *(f"Warning: {sentence}" for sentence in warnings)]
    write_text(path, html(Report(title, summary, sections=sections), {}))
    return path


def _pictures(rows: pd.DataFrame) -> Pictures:
    columns = rows[["info_path", "prediction", "confidence"]].head(_PICTURES)
    pictures = [
        Picture(f"{prediction} {_text(confidence)}", picture)
        for path, prediction, confidence in columns.itertuples(index=False)
        if (picture := thumbnail(path)) is not None
    ]
    return Pictures(pictures, f"{len(pictures)} of {plural(len(rows), 'picture')}" * (len(pictures) < len(rows)))


def _text(value: object) -> str:
    return number_text(value) if isinstance(value, float) else str(value)


def _is_empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and value != value)
