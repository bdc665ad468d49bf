import logging
import sys

import numpy as np
import pandas as pd
import pytest
from tests.analysis.drawn import Recordings

from hallmark.analysis.bad_cases import BadCases, contact_sheet, label_issues, round_robin


def bad_cases(**changes):
    return BadCases(
        **{"source": "out_of_fold", "confidence_below": 0.6, "limit": None, "label_errors": False, **changes}
    )


@pytest.fixture
def mixed(table):
    """Wrong: a (0.7), e (0.95). Right: b (0.9), c (0.55), f (0.52). Unlabelled: d."""
    return table(
        ["cat", "dog", "cat", None, "dog", "dog"],
        [[0.3, 0.7], [0.1, 0.9], [0.55, 0.45], [0.4, 0.6], [0.95, 0.05], [0.48, 0.52]],
        info_text=["one", "two", "three", "four", 'fi,"ve\r\nlines', "六 😂 $x_1$"],
    )


def test_wrong_ones_by_falling_confidence_then_unsure_ones_by_rising_confidence(mixed):
    cases = bad_cases().cases(mixed)
    assert cases["guid"].tolist() == ["e", "a", "f", "c"]
    assert cases["reason"].tolist() == ["wrong", "wrong", "low_confidence", "low_confidence"]
    assert cases["confidence"].tolist() == pytest.approx([0.95, 0.7, 0.52, 0.55])
    assert list(cases) == ["guid", "target", "prediction", "confidence", "text", "reason", "mined_from"]


def test_the_limit_keeps_the_most_confidently_wrong(mixed):
    assert bad_cases(limit=1).cases(mixed)["guid"].tolist() == ["e"]


def test_equally_bad_cases_come_in_order_of_their_ids(table):
    predictions = table(["cat"] * 3, [[0.2, 0.8]] * 3).iloc[[2, 0, 1]]
    assert bad_cases().cases(predictions)["guid"].tolist() == ["a", "b", "c"]


def test_default_source_is_out_of_fold_without_a_warning(mixed, make_state, read_csv, caplog):
    state = make_state(mixed.head(0), out_of_fold=mixed, data=Recordings(mixed, None))
    with caplog.at_level(logging.WARNING):
        bad_cases().run(state)
    written = read_csv(state.directory, "bad_cases")
    assert not caplog.records
    assert set(written["mined_from"]) == {"out_of_fold"}
    assert written["text"].tolist() == ['fi,"ve\r\nlines', "one", "六 😂 $x_1$", "three"]


def test_mining_another_split_is_told(mixed, make_state, read_csv, caplog):
    state = make_state(mixed, data=Recordings(mixed, None))
    with caplog.at_level(logging.WARNING):
        bad_cases(source="val").run(state)
    assert "mined from val" in caplog.text
    assert set(read_csv(state.directory, "bad_cases")["mined_from"]) == {"val"}
    assert not (state.directory / "figures").exists()


def test_contact_sheet_with_pictures_a_missing_one_and_a_broken_one(
    mixed, make_state, picture, tmp_path, assert_drawn, recwarn
):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    paths = [picture("a"), "", picture("c", size=(300, 40)), "", str(broken), str(tmp_path / "gone.jpg")]
    state = make_state(mixed, out_of_fold=mixed.assign(info_path=paths))
    bad_cases().run(state)
    assert_drawn(state.directory, "bad_cases")
    assert not [w for w in recwarn if "lyph" in str(w.message)]


def test_the_sheet_shows_target_prediction_confidence_and_text(table, picture):
    cases = pd.DataFrame(
        {
            "target": ["cat"],
            "prediction": ["dog"],
            "confidence": [0.97],
            "reason": ["wrong"],
            "path": [picture()],
            "text": ["a long text " * 30],
            "label_issue": [True],
        }
    )
    (ax,) = contact_sheet(cases).axes
    assert ax.get_title(loc="left") == "cat → dog  0.97"
    caption = ax.get_xlabel().split("\n")
    assert caption[0] == "[label in doubt]" and caption[-1].endswith("…") and len(caption) == 4


def test_nothing_labelled_gives_an_empty_table_with_its_columns(table, make_state, read_csv):
    predictions = table([None, None], [[0.5, 0.5]] * 2)
    state = make_state(predictions)
    bad_cases(source="val").run(state)
    written = read_csv(state.directory, "bad_cases")
    assert written.empty and "guid" in written


def test_a_table_of_two_tasks_names_the_task(table):
    first, second = table(["cat"], [[0.1, 0.9]], task="pet"), table(["cat"], [[0.2, 0.8]], task="toy")
    both = pd.concat([first, second])
    both.attrs["classes"] = first.attrs["classes"] | second.attrs["classes"]
    assert bad_cases().cases(both)["task"].tolist() == ["pet", "toy"]


def test_label_issues_find_a_planted_wrong_label(table):
    n = 40
    target = np.array(["cat", "dog"] * (n // 2), dtype=object)
    shares = np.where((target == "cat")[:, None], [0.95, 0.05], [0.05, 0.95])
    target[6] = "dog"
    predictions = table(list(target), shares)
    cases = bad_cases(label_errors=True).cases(predictions)
    assert cases["guid"].tolist() == ["r006"] and cases["label_issue"].tolist() == [True]


def test_a_single_labelled_class_has_no_label_issues(table):
    assert not label_issues(table(["cat"] * 4, [[0.1, 0.9]] * 4), ["cat", "dog"]).any()


def test_a_class_that_never_occurs_does_not_stop_the_search_for_label_issues(table):
    classes = ["cat", "dog", "emu"]
    predictions = table(["cat", "emu"] * 10, [[0.8, 0.1, 0.1], [0.1, 0.0, 0.9]] * 10, classes=classes)
    assert not label_issues(predictions, classes).any()


def test_without_cleanlab_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    with pytest.raises(ValueError, match=r"label_errors=True.*hallmark-experiments\[label-errors\]"):
        bad_cases(label_errors=True)
    assert not bad_cases().label_errors


@pytest.mark.parametrize(
    ("key", "value"), [("source", ""), ("confidence_below", 1.2), ("confidence_below", -0.1), ("limit", 0)]
)
def test_nonsense_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        bad_cases(**{key: value})


def test_tasks_and_subjects_take_turns_under_a_limit(subjects):
    def chosen(limit):
        cases = bad_cases(limit=limit).cases(subjects)
        return list(zip(cases["task"], cases["group"], cases["guid"], strict=True))

    assert chosen(1) == [("pet", "A", "a")]
    assert chosen(2) == [("pet", "A", "a"), ("toy", "C", "h")]
    assert chosen(4) == [("pet", "A", "a"), ("pet", "B", "g"), ("pet", "C", "h"), ("toy", "C", "h")]
    assert chosen(5) == [("pet", "A", "a"), ("pet", "A", "b"), *chosen(4)[1:]]
    assert len(chosen(None)) == 9


def test_wrong_cases_come_before_unsure_ones_of_other_subjects(table):
    predictions = table(["cat"] * 3, [[0.1, 0.9], [0.2, 0.8], [0.52, 0.48]], groups=["A", "A", "B"])
    cases = bad_cases().cases(predictions)
    assert round_robin(cases, 2)["guid"].tolist() == ["a", "b"]


def test_recordings_of_a_subject_take_turns(table):
    predictions = table(["cat"] * 4, [[0.1, 0.9], [0.15, 0.85], [0.2, 0.8], [0.25, 0.75]], groups=["A", "A", "A", "B"])
    cases = bad_cases().cases(predictions.assign(info_recording=["r1", "r1", "r2", "r3"]))
    assert round_robin(cases, 3)["guid"].tolist() == ["a", "c", "d"]


def test_cases_say_where_they_are_from(subjects):
    first = bad_cases().cases(subjects).iloc[0]
    assert first[["guid", "task", "group", "recording", "start"]].tolist() == ["a", "pet", "A", "rec0", 0.0]
