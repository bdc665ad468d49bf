"""A dozen of the points at which `make kills` kills, and three of its full disks."""

from pathlib import Path

import pytest
from tests.kills.killing import carried_out, differences, killed_at, on_small_disk, small_disks_are_allowed
from tests.kills.scenarios import end_state, restore, scenarios

# Renamings and removals take turns; of a fit the middle of the second epoch's last.ckpt is among them.
POINTS = {
    "fit": (3, 12, 17, 24, 33),
    "evaluation on test": (3, 6),
    "release of a set": (10, 23),
    "rerun=true": (1, 2, 30),
}


@pytest.fixture(autouse=True)
def _blank(blank_figures, monkeypatch) -> None:
    """Figures are files like any other here, and nobody reads the intervals on the terminal."""
    monkeypatch.setattr("hallmark.engine.train.print_result", lambda *_: [])


@pytest.mark.parametrize("name", POINTS)
def test_a_command_that_is_killed_and_typed_again_ends_as_one_that_nobody_disturbed(name: str, tmp_path: Path) -> None:
    scenario, outputs, start = scenarios()[name], tmp_path / "outputs", tmp_path / "start"
    outputs.mkdir()
    carried_out(scenario.prepare, outputs)
    outputs.rename(start)
    restore(start, outputs)
    total = carried_out(scenario.work, outputs)
    expected = end_state(outputs)
    for point in POINTS[name]:
        restore(start, outputs)
        assert killed_at(point, scenario.work, outputs), f"there are {total} points"
        carried_out(scenario.again, outputs)
        assert differences(expected, end_state(outputs)) == [], f"killed at point {point} of {total}"


def test_a_full_disk_costs_nothing_that_was_whole(tmp_path: Path) -> None:
    if not small_disks_are_allowed():
        pytest.skip("no mount namespace can be made here")
    scenario, outputs = scenarios()["fit"], tmp_path / "outputs"
    outputs.mkdir()
    _, expected = on_small_disk(1_000_000, outputs, scenario.work, lambda: end_state(outputs))
    for size in (40, 700, 1500):
        error, state = on_small_disk(size, outputs, scenario.work, lambda: end_state(outputs))
        assert error == "OSError"
        assert differences(expected, state) == []
