import numpy as np
import pytest

from hallmark.storage.cache import FileCache

KEY = "ab" + "0" * 30


@pytest.mark.parametrize(("suffix", "value"), [(".json", {"a": [1, "ü"]}), (".npy", np.arange(6.0).reshape(2, 3))])
def test_a_value_comes_back_and_a_damaged_file_is_as_if_absent(tmp_path, suffix, value):
    cache = FileCache(tmp_path, suffix)
    assert cache.get(KEY) is None
    cache.put(KEY, value)
    assert np.array_equal(FileCache(str(tmp_path), suffix).get(KEY), value)
    file = tmp_path / "ab" / f"{KEY}{suffix}"
    file.write_bytes(file.read_bytes()[:7])
    assert cache.get(KEY) is None
    cache.put(KEY, value)
    assert np.array_equal(cache.get(KEY), value)


def test_no_pickle_is_read(tmp_path):
    cache = FileCache(tmp_path, ".npy")
    cache.put(KEY, np.zeros(1))
    np.save(tmp_path / "ab" / f"{KEY}.npy", np.array([{}], object), allow_pickle=True)
    assert cache.get(KEY) is None
