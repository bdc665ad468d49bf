import pandas as pd
import pytest

from hallmark.analysis.augmentation.augment_text import AugmentText
from hallmark.analysis.augmentation.text_transforms import TRANSFORMS
from hallmark.storage.delimited import read_table
from hallmark.storage.spreadsheets import unescaped

COLUMNS = ["id", "source_id", "target", "image", "text", "transform", "mined_from"]


@pytest.fixture
def state(make_state, table):
    return make_state(table(["cat"], [[1, 0]]))


def mined(state, **columns):
    n = len(columns["text"])
    frame = pd.DataFrame(
        {"guid": [f"00{i}" for i in range(n)], "target": "null", "mined_from": "out_of_fold", **columns}
    )
    state.save_table("bad_cases", frame)


def test_only_changed_and_non_empty_texts_become_rows(state, read_csv, tmp_path):
    texts = ["soooo GOOD", "http://t.co/x", "plain  words", "NA", ""]
    mined(state, text=texts, path=[str(tmp_path / "p.jpg"), "", "", "", ""])
    AugmentText(["collapse_repeats", "strip_urls", "lowercase"], skip_label_issues=True).run(state)
    rows = read_csv(state.directory, "augment_text")
    assert list(rows) == COLUMNS
    assert rows[["id", "text"]].to_numpy().tolist() == [
        ["000~collapse_repeats", "soo GOOD"],
        ["000~lowercase", "soooo good"],
        ["003~lowercase", "na"],
    ]
    assert rows["source_id"].tolist() == ["000", "000", "003"]
    assert rows["image"].tolist() == [str((tmp_path / "p.jpg").resolve())] * 2 + [""]
    assert set(rows["target"]) == {"null"} and set(rows["mined_from"]) == {"out_of_fold"}


def test_texts_that_a_spreadsheet_would_execute_are_escaped_in_both_tables_and_read_as_they_were(state, read_csv):
    mined(state, text=["@you sooo GOOD", "=HYPERLINK(1)"])
    assert read_csv(state.directory, "bad_cases")["text"].tolist() == ["'@you sooo GOOD", "'=HYPERLINK(1)"]
    AugmentText(["lowercase"], skip_label_issues=True).run(state)
    assert read_csv(state.directory, "augment_text")["text"].tolist() == ["'@you sooo good", "'=hyperlink(1)"]
    extra = read_table(state.directory / "analysis" / "augment_text.csv").cells
    assert unescaped(extra)["text"].tolist() == ["@you sooo good", "=hyperlink(1)"]


@pytest.mark.parametrize(("skip", "ids"), [(True, ["001~lowercase"]), (False, ["000~lowercase", "001~lowercase"])])
def test_cases_with_a_doubtful_label_are_left_out_if_asked(state, read_csv, skip, ids):
    mined(state, text=["A", "B"], label_issue=[True, False])
    AugmentText(["lowercase"], skip_label_issues=skip).run(state)
    assert read_csv(state.directory, "augment_text")["id"].tolist() == ids


def test_no_changed_text_gives_an_empty_table(state, read_csv):
    mined(state, text=["plain"])
    AugmentText(list(TRANSFORMS), skip_label_issues=True).run(state)
    rows = read_csv(state.directory, "augment_text")
    assert rows.empty and list(rows) == COLUMNS


def test_without_bad_cases_the_message_names_the_command(state):
    with pytest.raises(ValueError, match=r"bad_cases\.csv.*analysis=\[bad_cases,augment_text\]"):
        AugmentText(["lowercase"], skip_label_issues=True).run(state)


def test_cases_without_texts_are_refused(state):
    state.save_table("bad_cases", pd.DataFrame({"guid": ["1"], "target": ["cat"]}))
    with pytest.raises(ValueError, match="column text"):
        AugmentText(["lowercase"], skip_label_issues=True).run(state)


@pytest.mark.parametrize("transforms", [[], ["shout"], ["lowercase", "lowercase"]])
def test_unknown_repeated_or_no_transforms_are_refused(transforms):
    with pytest.raises(ValueError, match=r"^transforms=.*emoji_words"):
        AugmentText(transforms, skip_label_issues=True)
