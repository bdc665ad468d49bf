import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hallmark.runs.record import Provenance, Record, RunState, lineage


def test_a_record_round_trips(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    record = make_record(
        state=RunState.FAILED, error="Traceback", selected={"value": 0.5}, parents={"a": {}}, resumed=2
    )
    record.write(tmp_path)
    assert Record.read(tmp_path) == record
    assert json.loads((tmp_path / "record.json").read_text())["state"] == "failed"


def test_the_parent_of_an_earlier_version_is_in_its_role(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    for written, expected in ((["outputs/a/0123abcd"], {"init_from": {"source": "outputs/a/0123abcd"}}), ([], {})):
        make_record(parents=written).write(tmp_path)
        record = Record.read(tmp_path)
        assert record is not None and record.parents == expected
        assert lineage(written) == lineage(record.parents) == dict.fromkeys(expected, "outputs/a/0123abcd")


def test_no_record_is_none(tmp_path: Path) -> None:
    assert Record.read(tmp_path) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw | {"colour": "red"},
        lambda raw: {key: value for key, value in raw.items() if key != "provenance"},
        lambda raw: {key: value for key, value in raw.items() if key != "seed"},
        lambda raw: {key: value for key, value in raw.items() if key != "state"},
        lambda raw: raw | {"state": "asleep"},
        lambda raw: raw | {"provenance": {"data": "x"}},
        lambda raw: [raw],
    ],
)
def test_a_file_of_another_version_is_named(tmp_path: Path, make_record: Callable[..., Record], spoil) -> None:
    make_record().write(tmp_path)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    with pytest.raises(ValueError, match=f"^{path}: not a run record"):
        Record.read(tmp_path)


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text('{"name": "cl')
    with pytest.raises(ValueError, match=r"record\.json: not a run record"):
        Record.read(tmp_path)


def test_differences_name_files_and_fingerprints() -> None:
    then = Provenance("a" * 32, {"kept.py": "1", "changed.py": "1", "removed.py": "1"})
    assert then.differences(Provenance("a" * 32, dict(then.code))) == []
    now = Provenance("b" * 32, {"kept.py": "1", "changed.py": "2", "added.py": "1"})
    assert then.differences(now) == [
        "code: added.py, changed.py, removed.py",
        "data: fingerprint aaaaaaaaaaaa then, bbbbbbbbbbbb now",
    ]
