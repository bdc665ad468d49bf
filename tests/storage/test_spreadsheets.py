"""What a spreadsheet would execute is text in a CSV, and what it was when it is read again."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.storage.files import read_csv, write_csv
from hallmark.storage.spreadsheets import escaped, unescaped

FORMULAS = ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "@user nice day",
            "=HYPERLINK(\"http://x\")", "- a", "-0.1 [-0.2, 0.1]", "'=1", "''@x", "-", "--1", "+1-2"]  # fmt: skip
NUMBERS = ["-1", "+2.5", "-1e-05", "-.5", "-3.", "-5 %", "-0"]
TEXTS = ["a=1", "", "'", "'quoted'", "don't", "1-2", "http://x", "ä", "user@example", "😀"]


def rows_of(path: Path) -> list[list[str]]:
    """As a spreadsheet reads them."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_formulas_are_text_and_numbers_and_other_texts_stay(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": [*FORMULAS, *NUMBERS, *TEXTS]})
    frame["number"], frame["@name"] = -np.arange(float(len(frame))), pd.Categorical(frame["text"])
    write_csv(tmp_path / "a.csv", frame)
    head, *rows = rows_of(tmp_path / "a.csv")
    assert head == ["text", "number", "'@name"]
    cells = [row[0] for row in rows]
    assert cells == [f"'{cell}" for cell in FORMULAS] + NUMBERS + TEXTS == [row[2] for row in rows]
    assert [row[1] for row in rows] == [str(-float(number)) for number in range(len(frame))]


def test_read_again_all_is_as_it_was(tmp_path: Path) -> None:
    frame = pd.DataFrame({"=a": [*FORMULAS, *TEXTS], "b": range(len(FORMULAS) + len(TEXTS))})
    write_csv(tmp_path / "a.csv", frame)
    again = read_csv(tmp_path / "a.csv", dtype={"'=a": str}, keep_default_na=False)
    assert again["=a"].tolist() == frame["=a"].tolist() and again["b"].tolist() == frame["b"].tolist()


def test_an_exact_table_is_for_other_programs(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"id": ["@x"]}), exact=True)
    assert rows_of(tmp_path / "a.csv") == [["id"], ["@x"]]


def test_missing_values_repeated_names_and_other_types_stay() -> None:
    frame = pd.DataFrame([["@x", None, 1, True, pd.Timestamp("2020-01-01")]], columns=["a", "a", "n", "b", "t"])
    changed = escaped(frame)
    assert changed.iloc[0].tolist() == ["'@x", None, 1, True, pd.Timestamp("2020-01-01")]
    assert changed.dtypes.iloc[2:].tolist() == frame.dtypes.iloc[2:].tolist()
    pd.testing.assert_frame_equal(unescaped(changed), frame, check_dtype=False)
    empty = pd.DataFrame(columns=["=a", "b"])
    assert list(escaped(empty)) == ["'=a", "b"] and len(escaped(pd.DataFrame())) == 0


@given(st.lists(st.text(st.sampled_from("'=+-@ \t\r\n1.eax"), max_size=6), min_size=1))
def test_any_text_comes_back_and_starts_no_formula(texts: list[str]) -> None:
    frame = pd.DataFrame({"text": pd.Series(texts, dtype=object)})
    cells = escaped(frame)["text"].tolist()
    assert unescaped(escaped(frame))["text"].tolist() == texts
    for cell in cells:
        assert cell[:1] not in tuple("=+-@\t\r\n") or pd.notna(pd.to_numeric(cell, errors="coerce"))


@pytest.mark.parametrize("number", NUMBERS[:-2])
def test_text_that_is_a_number_is_one_to_pandas(number: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"a": pd.Series([number], dtype=object)}))
    assert pd.read_csv(tmp_path / "a.csv")["a"].tolist() == [float(number)]
