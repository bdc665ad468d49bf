from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hallmark.checks import UserError
from hallmark.storage.hashing import digest_file
from hallmark.storage.state import read_state, write_state

ARRAYS = arrays.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_]), arrays.array_shapes(min_dims=0, min_side=0)
)
PLAIN = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(st.dictionaries(st.text(min_size=1, max_size=5), ARRAYS | PLAIN, max_size=4))
def test_a_state_round_trips_and_equal_states_are_equal_bytes(tmp_path_factory, state) -> None:
    folder = tmp_path_factory.mktemp("state")
    write_state(folder / "a.safetensors", state)
    again = read_state(folder / "a.safetensors")
    assert again.keys() == state.keys()
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            assert (again[name].dtype, again[name].shape) == (value.dtype, value.shape)
            np.testing.assert_array_equal(again[name], value)
        else:
            assert again[name] == value
    write_state(folder / "b.safetensors", dict(reversed(again.items())))
    assert digest_file(folder / "a.safetensors") == digest_file(folder / "b.safetensors")


@pytest.mark.parametrize("value", [object(), np.array(["text"]), np.array([None]), {1, 2}, np.datetime64("2026-01-01")])
def test_what_would_need_a_pickle_is_refused(tmp_path: Path, value) -> None:
    with pytest.raises(TypeError, match="state"):
        write_state(tmp_path / "state.safetensors", {"x": value})
    assert not (tmp_path / "state.safetensors").exists()


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04N.", b"\x08" + b"\0" * 7 + b'{"a":1} '])
def test_a_damaged_or_missing_state_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "state.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"state\.safetensors: no fitted state can be read"):
        read_state(path)
