"""`hallmark roles`: characters learned from a few pictures."""

import json
from pathlib import Path

import pytest
from tests.systems.characters.conftest import SAMPLE
from tests.systems.characters.test_module import write_checkpoint

from hallmark.systems.characters.sample.world import generate

NAMES = ["Aoi", "Ren", "小夜"]


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    return generate(tmp_path_factory.mktemp("roles") / "world", **SAMPLE) / "characters"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(write_checkpoint(tmp_path_factory.mktemp("model") / "best.ckpt", seed=0))


def pictures(faces: Path, name: str, *numbers: int) -> list[str]:
    return [str(faces / name / f"{number:03d}.jpg") for number in numbers]


def test_roles_are_added_recognized_changed_and_gone_back_to(hallmark, faces, model, tmp_path):
    roles = ("roles", str(tmp_path / "roles.db"))
    for number, name in enumerate(NAMES, start=1):
        code, printed, _ = hallmark(*roles, "add", name, *pictures(faces, name, 2, 3, 4), "--model", model)
        assert code == 0 and printed == f"version {number}: added {name}\n"
    assert hallmark(*roles, "update", "Ren", *pictures(faces, "Ren", 5), "--model", model)[0] == 0
    images = pictures(faces, "Ren", 3) + pictures(faces, "小夜", 4)
    code, printed, _ = hallmark(*roles, "recognize", *images, "--json", "--model", model)
    answers = json.loads(printed)
    assert code == 0 and [answer["best"][0] for answer in answers] == ["Ren", "小夜"]
    assert answers[0]["nearest"][0]["role"] == "Ren" and isinstance(answers[0]["threshold"], float)
    assert "小夜" in hallmark(*roles, "recognize", *images, "--model", model)[1]
    assert hallmark(*roles, "rename", "小夜", "Sayo")[0] == 0 and hallmark(*roles, "remove", "Aoi")[0] == 0
    listed = hallmark(*roles, "list")[1]
    assert "Sayo" in listed and "Aoi" not in listed
    assert "removed Aoi" in hallmark(*roles, "versions")[1]
    assert hallmark(*roles, "revert", "3")[0] == 0 and "小夜" in hallmark(*roles, "list")[1]


def test_mistakes_are_one_sentence_and_leave_no_database(hallmark, faces, model, tmp_path):
    database = tmp_path / "roles.db"
    roles = ("roles", str(database))
    good = pictures(faces, "Ren", 3)
    for words, named in [
        (("list",), "roles.db"), (("recognize", *good, "--model", model), "roles.db"),
        (("add", "Ren", *good, str(tmp_path / "missing.jpg"), "--model", model), "missing.jpg"),
        (("add", "Ren", *good, "--model", str(tmp_path / "nowhere")), "nowhere"),
        (("add", "a/b", *good, "--model", model), "name"),
    ]:  # fmt: skip
        code, _, refused = hallmark(*roles, *words)
        assert code == 2 and named in refused and not database.exists()
    assert hallmark(*roles, "add", "Ren", *good, "--model", model)[0] == 0
    for words in (
        ("remove", "Aoi"),
        ("revert", "9"),
        ("rename", "Ren", "Ren"),
        ("add", "Ren", *good, "--model", model),
    ):
        code, _, refused = hallmark(*roles, *words)
        assert code == 2 and refused.startswith("error: ") and len(refused.splitlines()) == 1
