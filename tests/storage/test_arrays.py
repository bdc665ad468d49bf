import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hallmark.storage.arrays import ArrayStore
from hallmark.storage.hashing import digest_bytes


def name(number: int) -> str:
    return digest_bytes(str(number).encode())


class Source:
    """Rows that say which number they belong to, and a list of the numbers that were computed."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers
        self.computed: list[int] = []

    @property
    def keys(self) -> list[str]:
        return [name(number) for number in self.numbers]

    def __call__(self, positions: Sequence[int]) -> np.ndarray:
        self.computed += [self.numbers[position] for position in positions]
        return self.expected()[list(positions)]

    def expected(self) -> np.ndarray:
        return np.array(self.numbers, np.float32)[:, None] + np.array([0.0, 0.25, 0.5], np.float32)


def stored(folder: Path, source: Source, **options: int) -> np.ndarray:
    return ArrayStore(folder, **options).rows(source.keys, source).take(range(len(source.numbers)))


def test_rows_equal_compute_in_the_order_asked_for_and_are_computed_once(tmp_path: Path) -> None:
    source = Source([5, 3, 5, 9, 3])
    rows = ArrayStore(tmp_path).rows(source.keys, source)
    assert len(rows) == 5
    np.testing.assert_array_equal(rows.take(range(5)), source.expected())
    np.testing.assert_array_equal(rows[3], source.expected()[3])
    assert sorted(source.computed) == [3, 5, 9]


def test_another_store_on_the_folder_computes_only_what_is_new(tmp_path: Path) -> None:
    stored(tmp_path, Source([1, 2, 3]))
    again = Source([4, 3, 1])
    np.testing.assert_array_equal(stored(tmp_path, again), again.expected())
    assert again.computed == [4]


def test_an_open_store_sees_what_another_wrote_later(tmp_path: Path) -> None:
    early = ArrayStore(tmp_path)
    early.rows(Source([1]).keys, Source([1]))
    stored(tmp_path, Source([2]))
    unused = Source([2, 1])
    np.testing.assert_array_equal(early.rows(unused.keys, unused).take([0, 1]), unused.expected())
    assert unused.computed == []


def test_rows_given_out_stay_right_while_the_store_grows(tmp_path: Path) -> None:
    source = Source([1, 2])
    rows = ArrayStore(tmp_path).rows(source.keys, source)
    stored(tmp_path, Source([3, 4]))
    np.testing.assert_array_equal(rows.take([1, 0]), source.expected()[[1, 0]])


def test_rows_are_computed_in_shards(tmp_path: Path) -> None:
    sizes = []
    source = Source(range(7))

    def compute(positions: Sequence[int]) -> np.ndarray:
        sizes.append(len(positions))
        return source(positions)

    ArrayStore(tmp_path, shard_rows=3).rows(source.keys, compute)
    assert sizes == [3, 3, 1]


def test_an_interrupted_fill_keeps_its_whole_shards(tmp_path: Path) -> None:
    source = Source(range(5))

    def stop_in_the_second(positions: Sequence[int]) -> np.ndarray:
        if 2 in positions:
            raise KeyboardInterrupt
        return source(positions)

    with pytest.raises(KeyboardInterrupt):
        ArrayStore(tmp_path, shard_rows=2).rows(source.keys, stop_in_the_second)
    resumed = Source(range(5))
    np.testing.assert_array_equal(stored(tmp_path, resumed, shard_rows=2), resumed.expected())
    assert resumed.computed == [2, 3, 4]


def test_a_shard_whose_names_were_never_written_does_not_count(tmp_path: Path) -> None:
    source = Source([1, 2])
    np.save(tmp_path / f"00000-{name(1)[:8]}.npy", np.full((2, 3), -1, np.float32))
    np.testing.assert_array_equal(stored(tmp_path, source), source.expected())
    assert source.computed == [1, 2]


def test_a_writer_that_dies_between_the_two_files_of_a_shard_leaves_a_whole_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = np.save, []

    def die_at_the_second(*arguments: object, **options: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        save(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(np, "save", die_at_the_second)
        stored(tmp_path, Source([1, 2]))
    source = Source([2, 1])
    np.testing.assert_array_equal(stored(tmp_path, source), source.expected())
    assert sorted(source.computed) == [1, 2]


def test_torn_temporaries_are_ignored(tmp_path: Path) -> None:
    (tmp_path / ".00000-abc.keys.1234abcd.npy").write_bytes(b"\x93NUMPY\x01")
    (tmp_path / ".00000-abc.1234abcd.npy").write_bytes(b"")
    source = Source([1, 2])
    np.testing.assert_array_equal(stored(tmp_path, source), source.expected())
    np.testing.assert_array_equal(stored(tmp_path, Source([2, 1])), Source([2, 1]).expected())


def test_no_keys_need_no_folder(tmp_path: Path) -> None:
    assert len(ArrayStore(tmp_path / "none").rows([], Source([]))) == 0
    assert not (tmp_path / "none").exists()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=9), min_size=1, max_size=4), st.integers(1, 4))
def test_any_sequence_of_requests_gives_the_rows_and_computes_each_once(requests: list[list[int]], size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        computed = []
        for numbers in requests:
            source = Source(numbers)
            np.testing.assert_array_equal(stored(Path(folder), source, shard_rows=size), source.expected())
            computed += source.computed
        assert sorted(computed) == sorted({number for numbers in requests for number in numbers})


_WORKER = """
import sys, time
from pathlib import Path
import numpy as np
from hallmark.storage.arrays import ArrayStore
folder, me, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
numbers = list(range(40))[::step]
def compute(positions):
    with (folder / "calls").open("a") as calls:
        calls.writelines(f"{numbers[p]}\\n" for p in positions)
    time.sleep(0.01)
    return np.array([[numbers[p], -numbers[p]] for p in positions], np.int32)
(folder / f"ready{me}").touch()
while len(list(folder.glob("ready*"))) < 2:
    time.sleep(0.005)
rows = ArrayStore(folder / "store", shard_rows=3).rows([f"{n:032d}" for n in numbers], compute).take(range(40))
assert rows.tolist() == [[n, -n] for n in numbers]
"""


def test_two_processes_that_fill_one_store_compute_each_row_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WORKER, str(tmp_path)]
    workers = [subprocess.Popen([*command, me, step]) for me, step in (("a", "1"), ("b", "-1"))]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    assert sorted(map(int, (tmp_path / "calls").read_text().split())) == list(range(40))
    store = ArrayStore(tmp_path / "store")
    store.rows([f"{n:032d}" for n in range(40)], lambda positions: pytest.fail(f"{positions} are missing"))
    assert not list((tmp_path / "store").glob(".*.npy"))
