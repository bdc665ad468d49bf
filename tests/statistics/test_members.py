"""Rows and members of pooled tables, by tables of a few rows written by hand."""

import pandas as pd
import pytest

from hallmark.statistics import over_text, row_count, row_ids, same_members, size_text, table_metrics
from hallmark.statistics.members import members_text

SEEDS = {"seed 0": "abc", "seed 1": "abc"}
FOLDS = {"fold 0": "ab", "fold 1": "cd", "fold 2": "b"}  # as in validation, where a row may be of several folds


def run(ids: str, right: str = "") -> pd.DataFrame:
    table = pd.DataFrame({"id": list(ids), "task": "main", "group": list(ids), "target": "x"})
    table = table.assign(score=[float(name in right) for name in ids])
    table.attrs = {"classes": {}}
    return table


def pooled(members: dict[str, str], *, right: str = "", copies: dict[str, str] | None = None) -> pd.DataFrame:
    """Seeds are a repetition each; folds have their repetition in their note, or share the one there is."""
    parts = []
    for position, (note, ids) in enumerate(members.items()):
        repetition = position if note.startswith("seed") else int(note.partition("repetition ")[2] or 0)
        table = run(ids, right)
        parts.append(table.assign(id=table["id"] + f"@{note}", repetition=repetition, member=position))
    table = pd.concat(parts, ignore_index=True)
    table.attrs = {"classes": {}} | ({"copies": copies} if copies else {})
    return table


TWICE = {f"fold {fold}, repetition {n}": ids for n in range(2) for fold, ids in enumerate(("ab", "cd"))}


@pytest.mark.parametrize(
    ("table", "n", "over", "size"),
    [
        (run("abcd"), 4, "", "4 rows"),
        (run("a"), 1, "", "1 row"),
        (pooled(SEEDS), 3, "2 seeds", "3 rows × 2 seeds"),
        (pooled({"seed 7": "abc"}), 3, "1 seed", "3 rows × 1 seed"),
        (pooled(FOLDS), 4, "3 folds", "4 rows of 3 folds"),
        (pooled(TWICE), 4, "2 folds × 2 repetitions", "4 rows of 2 folds × 2 repetitions"),
    ],
    ids=["run", "one row", "seeds", "one seed", "folds", "folds twice"],
)
def test_a_row_counts_once(table, n, over, size):
    assert (row_count(table), over_text(table), size_text(table)) == (n, over, size)
    assert table_metrics(table)["main"]["n"] == n


def test_a_thousand_rows_are_written_with_a_comma():
    assert size_text(pd.DataFrame({"id": range(1234)})) == "1,234 rows"


def test_ids_lose_the_note_and_nothing_else():
    table = pooled({"seed 0": "ab"}).assign(id=["x@y@seed 0", "b@seed 0"])
    assert row_ids(table).tolist() == ["x@y", "b"]
    assert row_ids(run("ab").assign(id=["x@y", "b"])).tolist() == ["x@y", "b"]


def test_members_are_named_by_what_their_notes_count():
    assert members_text(["seed 3", "seed 4"]) == "2 seeds"
    assert members_text(["fold 0, repetition 0"]) == "1 fold × 1 repetition"


@pytest.mark.parametrize("alone", [run("abc", "a"), pooled({"seed 9": "abc"}, right="a")], ids=["run", "identical set"])
def test_one_model_stands_in_for_every_member(alone):
    repeats = pooled(SEEDS, right="ab")
    for turned in (False, True):
        pair = same_members(*((repeats, alone) if turned else (alone, repeats)))
        filled, other = pair[::-1] if turned else pair
        assert other is repeats
        assert filled[["id", "repetition", "member"]].equals(repeats[["id", "repetition", "member"]])
        assert filled["score"].tolist() == [1, 0, 0] * 2
        assert filled.attrs["classes"] == {}


def test_two_single_models_stay_or_meet_under_one_note():
    first, second = run("abc"), run("abc", "a")
    pair = same_members(first, second)
    assert pair[0] is first and pair[1] is second
    pair = same_members(pooled({"seed 0": "abc"}), pooled({"seed 5": "abc"}))
    assert [table["id"].tolist() for table in pair] == [["a@seed 0", "b@seed 0", "c@seed 0"]] * 2


def test_a_member_that_counts_once_is_there_for_its_copies():
    three = pooled({"seed 0": "ab", "seed 1": "ab", "seed 2": "ab"}, right="ab")
    partly = pooled({"seed 0": "ab", "seed 1": "ab"}, right="a", copies={"seed 2": "seed 0"})
    partly.loc[partly["id"].str.endswith("seed 1"), "score"] = 0.5
    filled, other = same_members(partly, three)
    assert other is three
    assert filled["id"].tolist() == three["id"].tolist()
    assert filled["score"].tolist() == [1, 0, 0.5, 0.5, 1, 0]


def test_a_member_that_only_one_set_has_is_not_made_up():
    first, second = same_members(pooled(SEEDS), pooled({**SEEDS, "seed 2": "abc"}))
    assert row_ids(first).tolist() == list("abcabc") and len(second) == 9


def test_a_run_does_not_stand_in_for_folds():
    with pytest.raises(ValueError, match="a run cannot be compared with folds"):
        same_members(pooled({"fold 0": "ab", "fold 1": "cd"}), run("abcd"))
