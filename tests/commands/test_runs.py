import json
from datetime import UTC, datetime, timedelta

import pytest

from hallmark.storage.files import write_json

KEYS = [
    "kind", "name", "id", "state", "metric", "value", "std", "n", "test", "seed", "repeat", "started", "seconds",
    "directory", "problem", "identical", "parents",
]  # fmt: skip


@pytest.fixture
def five(make_run, tmp_path):
    """Four runs and a set of two of them."""
    metrics = {"val": {"main": {"macro_f1": 0.9, "accuracy": 0.8}}}
    make_run("clip_final", "a", value=0.9, metrics=metrics, wall_seconds=5, started="2026-01-03T00:00:00+00:00")
    less = {"val": {"main": {"macro_f1": 0.7008}}}
    make_run("clip_final", "b", value=0.7, metrics=less, wall_seconds=3700, started="2026-01-01T00:00:00+00:00", seed=4)
    make_run("clip_probe", "c", value=0.8, wall_seconds=65, started="2026-01-02T00:00:00+00:00")
    make_run("touch", "d", state="failed", started="2026-01-04T00:00:00+00:00", error="ValueError: no")
    members = [{"note": f"seed {i}", "repetition": i, "directory": f"../{name}"} for i, name in enumerate("ab")]
    finished = tmp_path / "outputs" / "clip_final" / "e"
    write_json(finished / "repeats.json", {
        "name": "clip_final", "set_id": "e", "repeat": "seeds:2", "state": "done", "metric": "val/macro_f1",
        "mode": "max", "second": "val/accuracy", "command": [], "members": members,
    })  # fmt: skip
    write_json(finished / "metrics.json", {"val": {"main": {"macro_f1": {"mean": 0.8004, "std": 0.1409, "n": 2}}}})


@pytest.fixture
def ids(hallmark):
    def ids(*arguments):
        code, printed, _ = hallmark("runs", "--json", *arguments)
        assert code == 0
        return "".join(entry["id"] for entry in json.loads(printed))

    return ids


FILTERS = {
    "": "dacbe",
    "--name clip_*": "acbe",
    "--kind set": "e",
    "--kind set --kind run --state done": "acbe",
    "--state failed": "d",
    "--state failed --state done --name touch": "d",
    "--metric val/accuracy": "ae",
    "--since 2026-01-02T12:00:00+00:00": "da",
    "--since 2026-01-05": "",
    "--limit 2": "da",
    "--sort value": "aecbd",
    "--sort value --reverse": "bcead",
    "--sort name": "abecd",
    "--sort name --reverse": "dcabe",
    "--sort seconds": "ebcad",
    "--reverse": "becad",
}


@pytest.mark.parametrize(("arguments", "expected"), FILTERS.items())
def test_filters_and_order(five, ids, arguments, expected):
    assert ids(*arguments.split()) == expected


def test_a_time_can_be_relative(make_run, ids):
    now = datetime.now(UTC)
    make_run("clip", "a", started=(now - timedelta(minutes=80)).isoformat(timespec="seconds"))
    make_run("clip", "b", started=(now - timedelta(hours=30)).isoformat(timespec="seconds"))
    make_run("clip", "c", started=(now - timedelta(days=9)).isoformat(timespec="seconds"))
    assert [ids("--since", since) for since in ("60m", "2h", "2d", "2w")] == ["", "a", "ab", "abc"]


def test_json_is_one_list_with_the_same_keys_for_all(five, hallmark, tmp_path):
    entries = json.loads(hallmark("runs", "--json")[1])
    assert all(list(entry) == KEYS for entry in entries)
    finished = entries[-1]
    assert (finished["kind"], finished["value"], finished["std"], finished["n"], finished["repeat"]) == (
        "set", pytest.approx(0.8004), pytest.approx(0.1409, abs=1e-4), 2, "seeds:2",
    )  # fmt: skip
    assert entries[0]["problem"] == "ValueError: no"
    assert entries[1]["directory"] == str(tmp_path / "outputs" / "clip_final" / "a")


def rows(printed):
    header, *lines = [line.split() for line in printed.splitlines()]
    return [dict(zip(header, line, strict=False)) for line in lines]


def test_a_file_gets_one_full_line_a_result(five, hallmark, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "40")
    first, second, third = (datetime(2026, 1, day, tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M").split()
                            for day in (1, 2, 3))  # fmt: skip
    code, printed, _ = hallmark("runs", "--state", "done", "--sort", "name")
    directory = tmp_path / "outputs" / "clip_final"
    assert code == 0
    assert [line.split() for line in printed.splitlines()] == [
        ["name", "id", "state", "metric", "value", "test", "seed", "started", "time", "directory"],
        ["clip_final", "a", "done", "val/macro_f1", "0.900", "1", *third, "5s", str(directory / "a")],
        ["clip_final", "b", "done", "val/macro_f1", "0.700", "4", *first, "1h01m", str(directory / "b")],
        ["clip_final", "e", "done", "val/macro_f1", "0.800±0.141", "seeds:2", *first, "1h01m",
         str(directory / "e")],
        ["clip_probe", "c", "done", "val/macro_f1", "0.800", "1", *second, "1m05s",
         str(directory.parent / "clip_probe" / "c")],
    ]  # fmt: skip


def test_a_terminal_of_80_columns_shows_every_cell_whole(make_run, hallmark, monkeypatch):
    for name, value in {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1", "FORCE_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    test = {"splits": {"test": {"n": 3}}}
    make_run("a_rather_long_experiment_name", "0123abcd", value=0.9, wall_seconds=3540, **test)
    make_run("[bold]", "ffffffff", state="running", seed=12, **test)
    _, printed, _ = hallmark("runs", "--sort", "name")
    assert max(map(len, printed.splitlines())) <= 80
    words = printed.split()
    for cell in ("val/macro_f1", "0.900", "done", "interrupted", "sealed", "12", "59m00s", "[bold]/ffffffff"):
        assert cell in words
    assert "a_rather_long_experiment_name/0123abcd" in "".join(line.split()[0] for line in printed.splitlines())


def test_a_damaged_record_has_a_row_and_a_sentence(five, hallmark, tmp_path):
    record = tmp_path / "outputs" / "clip_probe" / "c" / "record.json"
    record.write_text('{"name": ')
    code, printed, _ = hallmark("runs", "--name", "clip_probe")
    assert code == 0
    assert rows(printed)[0] | {"name": "clip_probe", "id": "c", "state": "unreadable"} == rows(printed)[0]
    assert f"{record}: not readable (JSONDecodeError" in printed
    entry = json.loads(hallmark("runs", "--json", "--state", "unreadable")[1])[0]
    assert entry["value"] is None and str(record) in entry["problem"]


def test_no_runs_yet(hallmark, tmp_path):
    code, printed, errors = hallmark("runs")
    assert (code, printed) == (0, "")
    assert errors == f"no runs in {tmp_path / 'outputs'} yet\n"
    assert hallmark("runs", "--json")[:2] == (0, "[]\n")


def test_a_folder_that_is_not_there(hallmark, tmp_path):
    code, _, errors = hallmark("runs", str(tmp_path / "nowhere"))
    assert (code, errors) == (2, f"error: {tmp_path / 'nowhere'}: no such folder\n")
