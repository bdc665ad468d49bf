"""By which rows a data set is known again, and which looks count for it."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.runs.looks import (
    LabelledRows,
    Look,
    Subject,
    earlier_looks,
    hashes_from_text,
    hashes_to_text,
    merged,
)
from hallmark.runs.run import Run

SUBJECT = Subject("outputs/clip/a", "a", "weights", "config", "data", "split")


def rows_of(test: Sequence[int], train: Sequence[int] = ()) -> LabelledRows:
    return LabelledRows.of([*((f"row {n}", "test") for n in test), *((f"row {n}", "train") for n in train)])


def look(rows: LabelledRows | None, *, content: str = "old", name: str = "clip", second: int = 0, **fields) -> Look:
    texts = {} if rows is None else {"test_rows": hashes_to_text(rows.test), "other_rows": hashes_to_text(rows.rest)}
    opened = f"2026-01-01T00:00:{second:02}+00:00"
    return Look(opened, "host", "command", None, [SUBJECT], name=name, content=content, **texts, **fields)


def counted(looks: Sequence[Look], rows: LabelledRows | None, *, recipe: str | None = None):
    return earlier_looks(looks, name="clip", recipe=recipe, content="new", rows=rows)


@given(n=st.integers(1, 150), data=st.data())
def test_a_twentieth_of_the_test_rows_seen_makes_a_second_look(n: int, data: st.DataObject) -> None:
    near = st.sampled_from(sorted({max(0, n // 20 - 1), n // 20, -(-n // 20), min(n, n // 20 + 1)}))
    seen = data.draw(st.one_of(near, st.integers(0, n)))
    before = look(rows_of(range(seen), range(1000, 1100)))
    found = counted([before], rows_of(range(n), range(2000, 2100)))
    assert (found.n, found.seen, found.known) == (n, seen, seen)
    assert found.looks == ([before] if 20 * seen >= n else [])


@given(n=st.integers(1, 60), data=st.data())
def test_half_of_the_test_rows_in_the_data_of_a_look_are_the_same_data_split_otherwise(
    n: int, data: st.DataObject
) -> None:
    known = data.draw(st.one_of(st.sampled_from([n // 2, -(-n // 2)]), st.integers(0, n)))
    before = look(rows_of(range(1000, 1100), range(known)))
    found = counted([before], rows_of(range(n)))
    assert (found.seen, found.known) == (0, known)
    assert found.looks == ([before] if 2 * known >= n else [])


@given(seed=st.integers(0, 2**32 - 1))
def test_neither_ids_nor_order_nor_repeated_rows_matter(seed: int) -> None:
    pairs = [(f"row {n}", "test" if n < 20 else "val") for n in range(60)] * 2
    shuffled = random.Random(seed).sample(pairs, len(pairs))
    assert LabelledRows.of(shuffled) == rows_of(range(20), range(20, 60))
    assert hashes_to_text(LabelledRows.of(shuffled).test) == hashes_to_text(rows_of(range(20)).test)


def test_unlabelled_rows_are_no_rows() -> None:
    assert LabelledRows.of([("a", "predict"), ("b", "test")]) == LabelledRows.of([("b", "test")])


def test_several_looks_together_reach_the_share() -> None:
    first, second = look(rows_of(range(3))), look(rows_of(range(3, 6)), content="other", second=1)
    unrelated = look(rows_of(range(900, 950)), content="third", second=2)
    rows = rows_of(range(100))
    assert counted([first, unrelated], rows).looks == []
    assert counted([unrelated, second, first], rows).looks == [first, second]


def test_a_look_of_an_earlier_version_counts_for_its_own_fingerprint() -> None:
    before = look(None, content="new")
    assert counted([before], None).looks == counted([before], rows_of(range(9))).looks == [before]
    assert counted([look(None, content="old")], rows_of(range(9))).looks == []


def test_another_experiment_counts_only_where_nothing_but_its_name_differs() -> None:
    rows = rows_of(range(9))
    renamed = look(rows, name="mine", recipe="same")
    assert counted([renamed], rows, recipe="same").looks == [renamed]
    assert counted([renamed], rows, recipe="tuned").looks == counted([renamed], rows).looks == []
    assert counted([look(rows, name="mine")], rows).looks == []


@given(st.frozensets(st.binary(min_size=6, max_size=6)))
def test_hashes_read_back(hashes: frozenset[bytes]) -> None:
    text = hashes_to_text(hashes)
    assert hashes_from_text(text) == hashes and len(text) == 8 * len(hashes)


@pytest.mark.parametrize("text", ["AAAA", "not base 64"])
def test_damaged_hashes_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        hashes_from_text(text)


def test_of_copies_the_first_counts() -> None:
    begun = look(None, id="x")
    done = look(None, id="x", completed="2026-01-01T00:01:00+00:00")
    assert merged([begun, done, begun]) == [begun]
    assert merged([look(None, id="y", second=9), begun]) == [begun, look(None, id="y", second=9)]


def test_rows_of_a_run(make_run) -> None:
    run: Run = make_run(test=["a", "b"], train=["c"])
    assert LabelledRows.read(run.directory) == LabelledRows.of([("a", "test"), ("b", "test"), ("c", "train")])
    assert LabelledRows.read(make_run("bbbb").directory) is None
    (run.directory / "splits.csv").write_text("id,group,target,split\n1,g,y,test\n")
    assert LabelledRows.read(run.directory) is None
