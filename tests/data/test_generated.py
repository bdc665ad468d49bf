"""Sample worlds by their arguments: checked by name and type, made once, in a folder of their own."""

from pathlib import Path

import pytest

from hallmark.checks import SettingError, require
from hallmark.data.generated import generated, sample_folder

RIGHT = {"rows": 3, "seed": 7, "noise": 0}
PLACE = {"key": "folder", "expected": "the folder of your corpus"}


@pytest.fixture
def made():
    return []


@pytest.fixture
def generate(made):
    def generate(folder: Path, *, rows: int, seed: int, noise: float, side: int = 96) -> Path:
        require(rows > 0, "rows", rows, "at least one")

        def build(folder: Path) -> dict[str, int]:
            made.append(rows)
            (folder / "rows.txt").write_text("x\n" * rows)
            return {"rows": rows}

        return generated(folder, {"rows": rows, "seed": seed, "noise": noise, "side": side}, 1, build)

    return generate


def test_a_world_is_made_once_and_each_has_a_folder_of_its_own(tmp_path, generate, made):
    first = sample_folder(tmp_path, "toy", generate, RIGHT, **PLACE)
    assert (first / "rows.txt").read_text() == "x\nx\nx\n"
    assert sample_folder(tmp_path, "toy", generate, RIGHT, **PLACE) == first
    assert sample_folder(tmp_path, "toy", generate, {**RIGHT, "rows": 2}, **PLACE) != first
    assert made == [3, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (None, "folder=None: expected the folder of your corpus; or profile=sample"),
        ({**RIGHT, "rows": "many"}, "sample.rows='many': expected a valid integer"),
        ({**RIGHT, "rows": 2.5}, "sample.rows=2.5: expected a valid integer"),
        ({**RIGHT, "rows": None}, "sample.rows=None: expected a valid integer"),
        ({**RIGHT, "rows": 0}, "sample.rows=0: expected at least one"),
        ({**RIGHT, "row": 3}, "expected values for rows, seed, noise, side"),
        ({"rows": 3, "seed": 7}, "expected values for rows, seed, noise, side"),
    ],
)
def test_arguments_that_are_not_right_are_named(tmp_path, generate, made, arguments, message):
    with pytest.raises(SettingError, match=message):
        sample_folder(tmp_path, "toy", generate, arguments, **PLACE)
    assert not made and not list(tmp_path.iterdir())
