from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hallmark.storage.hashing import digest, digest_bytes, digest_file

# b2sum -l 128
ABC = "cf4ab791c62b8d2b2109c90275287816"
EMPTY = "cae66941d9efbd404e4d88758ea67670"


def test_known_digests(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert digest_file(path) == digest_bytes(b"abc") == digest_bytes(b"a", memoryview(b"bc")) == ABC
    path.write_bytes(b"")
    assert digest_file(path) == digest_bytes() == EMPTY


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.integers()), min_size=1))
def test_the_order_of_keys_does_not_matter_and_the_content_does(mapping: dict) -> None:
    assert digest({"a": mapping}) == digest({"a": dict(reversed(mapping.items()))})
    key = next(iter(mapping))
    assert digest(mapping) != digest({**mapping, key: [mapping[key]]})


def test_the_order_of_a_list_matters() -> None:
    assert digest([1, 2]) != digest([2, 1])
    assert digest(float("nan")) == digest(float("nan"))
