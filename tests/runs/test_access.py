"""By which rows a data set is known again, and which accesses count for it."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.runs.access import (
    LabelledRows,
    Subject,
    earlier_accesses,
    hashes_from_text,
    hashes_to_text,
    merged,
)
from hallmark.runs.access import (
    TestAccess as Access,
)
from hallmark.runs.run import Run

SUBJECT = Subject("outputs/clip/a", "a", "weights", "config", "data", "split")


def rows_of(test: Sequence[int], train: Sequence[int] = ()) -> LabelledRows:
    return LabelledRows.of([*((f"row {n}", "test") for n in test), *((f"row {n}", "train") for n in train)])


def access(rows: LabelledRows | None, *, content: str = "old", name: str = "clip", second: int = 0, **fields) -> Access:
    texts = {} if rows is None else {"test_rows": hashes_to_text(rows.test), "other_rows": hashes_to_text(rows.other)}
    opened = f"2026-01-01T00:00:{second:02}+00:00"
    return Access(opened, "host", "command", None, [SUBJECT], name=name, content=content, **texts, **fields)


def counted(accesses: Sequence[Access], rows: LabelledRows | None, *, recipe: str | None = None):
    return earlier_accesses(accesses, name="clip", recipe=recipe, content="new", rows=rows)


@given(n=st.integers(1, 150), data=st.data())
def test_a_twentieth_of_the_test_rows_seen_makes_a_second_look(n: int, data: st.DataObject) -> None:
    near = st.sampled_from(sorted({max(0, n // 20 - 1), n // 20, -(-n // 20), min(n, n // 20 + 1)}))
    seen = data.draw(st.one_of(near, st.integers(0, n)))
    before = access(rows_of(range(seen), range(1000, 1100)))
    counts = counted([before], rows_of(range(n), range(2000, 2100)))
    assert (counts.n, counts.seen, counts.known) == (n, seen, seen)
    assert counts.accesses == ([before] if 20 * seen >= n else [])


@given(n=st.integers(1, 60), data=st.data())
def test_half_of_the_test_rows_in_the_data_of_an_access_are_the_same_data_split_otherwise(
    n: int, data: st.DataObject
) -> None:
    known = data.draw(st.one_of(st.sampled_from([n // 2, -(-n // 2)]), st.integers(0, n)))
    before = access(rows_of(range(1000, 1100), range(known)))
    counts = counted([before], rows_of(range(n)))
    assert (counts.seen, counts.known) == (0, known)
    assert counts.accesses == ([before] if 2 * known >= n else [])


@given(seed=st.integers(0, 2**32 - 1))
def test_neither_ids_nor_order_nor_repeated_rows_matter(seed: int) -> None:
    pairs = [(f"row {n}", "test" if n < 20 else "val") for n in range(60)] * 2
    shuffled = random.Random(seed).sample(pairs, len(pairs))
    assert LabelledRows.of(shuffled) == rows_of(range(20), range(20, 60))
    assert hashes_to_text(LabelledRows.of(shuffled).test) == hashes_to_text(rows_of(range(20)).test)


def test_unlabelled_rows_are_no_rows() -> None:
    assert LabelledRows.of([("a", "predict"), ("b", "test")]) == LabelledRows.of([("b", "test")])


def test_several_looks_together_reach_the_share() -> None:
    first, second = access(rows_of(range(3))), access(rows_of(range(3, 6)), content="other", second=1)
    unrelated = access(rows_of(range(900, 950)), content="third", second=2)
    rows = rows_of(range(100))
    assert counted([first, unrelated], rows).accesses == []
    assert counted([unrelated, second, first], rows).accesses == [first, second]


def test_an_access_of_an_earlier_version_counts_for_its_own_fingerprint() -> None:
    before = access(None, content="new")
    assert counted([before], None).accesses == counted([before], rows_of(range(9))).accesses == [before]
    assert counted([access(None, content="old")], rows_of(range(9))).accesses == []


def test_another_experiment_counts_only_where_nothing_but_its_name_differs() -> None:
    rows = rows_of(range(9))
    renamed = access(rows, name="mine", recipe="same")
    assert counted([renamed], rows, recipe="same").accesses == [renamed]
    assert counted([renamed], rows, recipe="tuned").accesses == counted([renamed], rows).accesses == []
    assert counted([access(rows, name="mine")], rows).accesses == []


@given(st.frozensets(st.binary(min_size=6, max_size=6)))
def test_hashes_read_back(hashes: frozenset[bytes]) -> None:
    text = hashes_to_text(hashes)
    assert hashes_from_text(text) == hashes and len(text) == 8 * len(hashes)


@pytest.mark.parametrize("text", ["AAAA", "not base 64"])
def test_damaged_hashes_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        hashes_from_text(text)


def test_of_copies_the_first_counts() -> None:
    begun = access(None, id="x")
    done = access(None, id="x", completed="2026-01-01T00:01:00+00:00")
    assert merged([begun, done, begun]) == [begun]
    assert merged([access(None, id="y", second=9), begun]) == [begun, access(None, id="y", second=9)]


def test_rows_of_a_run(make_run) -> None:
    run: Run = make_run(test=["a", "b"], train=["c"])
    assert LabelledRows.read(run.directory) == LabelledRows.of([("a", "test"), ("b", "test"), ("c", "train")])
    assert LabelledRows.read(make_run("bbbb").directory) is None
    (run.directory / "splits.csv").write_text("id,group,target,split\n1,g,y,test\n")
    assert LabelledRows.read(run.directory) is None
