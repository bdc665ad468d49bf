from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.checks import SettingError, check_type, require, setting


def test_require_names_setting_value_and_what_would_be_right() -> None:
    require(True, "warmup", 0.1, "a share")
    with pytest.raises(SettingError, match=r"^warmup=2: expected a share of the steps in \[0, 1\)$"):
        require(False, "warmup", 2, "a share of the steps in [0, 1)")
    assert issubclass(SettingError, ValueError)


@given(st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), max_size=4))
def test_nested_settings_spell_the_whole_key(parents: list[str]) -> None:
    def rise(below: list[str]) -> None:
        if not below:
            require(False, "lr", -1.0, "above 0")
        with setting(below[0]):
            rise(below[1:])

    with pytest.raises(SettingError) as caught:
        rise(parents)
    assert caught.value.key == ".".join([*parents, "lr"])
    assert str(caught.value) == f"{caught.value.key}=-1.0: expected above 0"


def test_setting_leaves_other_errors_alone_and_an_empty_prefix_adds_no_dot() -> None:
    with pytest.raises(KeyError), setting("model"):
        raise KeyError("x")
    with pytest.raises(SettingError) as caught, setting(""):
        require(False, "lr", 0, "above 0")
    assert caught.value.key == "lr"


class Speaker(Protocol):
    def speak(self) -> str: ...


@pytest.mark.parametrize(
    ("hint", "value"), [(int, 3), (float, 3), (int | None, None), (Speaker | None, None), (list[int], [1])]
)
def test_a_value_of_its_annotation_passes(hint, value):
    check_type(hint, "key", value)


@pytest.mark.parametrize(("hint", "value"), [(int, "3"), (int, 2.5), (bool, 1), (list[int], ["a"])])
def test_a_value_of_another_type_is_named(hint, value):
    with pytest.raises(SettingError, match=r"^key="):
        check_type(hint, "key", value)
