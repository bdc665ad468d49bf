import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.systems.refseg.vlm.conftest import ask

from hallmark.learning.language_model.answer import Answer
from hallmark.storage.files import write_json
from hallmark.storage.hashing import digest
from hallmark.systems.refseg.vlm import prompt
from hallmark.systems.refseg.vlm.cache import AnswerCache, answer_key

ANSWER = Answer(text='{"query": "rød cirkel"}', tokens_in=300, tokens_out=8)
KEY = "ab" + "0" * 30


def key(**changes: Any) -> str:
    settings = {"source": "http://h/v1", "model": "m", "parameters": {"seed": 1}}
    settings |= {name: changes.pop(name) for name in settings.keys() & changes.keys()}
    return answer_key(request=ask(**changes), **settings)  # type: ignore[arg-type]


def test_an_answer_comes_back(tmp_path: Path):
    AnswerCache(tmp_path).put(KEY, ANSWER)
    assert AnswerCache(str(tmp_path)).get(KEY) == ANSWER
    assert AnswerCache(tmp_path).get("cd" + "0" * 30) is None
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{KEY}.json"]


def test_every_ingredient_is_part_of_the_key():
    changes: list[dict[str, Any]] = [
        {}, {"source": "http://h/v2"}, {"model": "n"}, {"parameters": {"seed": 2}},
        {"parameters": {"seed": 1, "top_p": 1}},
        {"image_digest": "0"}, {"query": "blue"}, {"expression": "blue"}, {"history": ()},
        {"history": ("the crimson thing", "red")},
    ]  # fmt: skip
    assert len({key(**change) for change in changes}) == len(changes)


def test_the_sample_is_no_part_of_the_key():
    assert key(sample_id="a") == key(sample_id="b")
    assert key(parameters={"a": 1, "b": 2}) == key(parameters={"b": 2, "a": 1})


def test_an_edit_of_the_prompt_is_another_prompt(monkeypatch):
    before = key()
    monkeypatch.setattr("hallmark.systems.refseg.vlm.cache.FINGERPRINT", "edited")
    assert key() != before
    assert prompt.FINGERPRINT.startswith(prompt.VERSION) and len(prompt.FINGERPRINT) > len(prompt.VERSION) + 8


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("cirkel", "kvadrat"),
        lambda text: text.replace("300", "-1"),
        lambda text: text.replace("300", '"300"'),
        lambda text: text.replace('"refused"', '"other"'),
        lambda text: "[]",
        lambda text: "null",
        lambda text: "[" * 50_000,
        lambda text: '{"answer": {"text": "red"}, "digest": "0"}',
    ],
)
def test_a_damaged_file_is_no_answer_and_is_written_anew(tmp_path: Path, damage):
    cache = AnswerCache(tmp_path)
    cache.put(KEY, ANSWER)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(damage(path.read_text()))
    assert cache.get(KEY) is None
    cache.put(KEY, ANSWER)
    assert cache.get(KEY) == ANSWER


@given(raw=st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_none(tmp_path_factory: pytest.TempPathFactory, raw: bytes):
    folder = tmp_path_factory.getbasetemp() / "any"
    (folder / KEY[:2]).mkdir(parents=True, exist_ok=True)
    (folder / KEY[:2] / f"{KEY}.json").write_bytes(raw)
    assert AnswerCache(folder).get(KEY) is None


@pytest.mark.parametrize("text", ["", " ", "I'm sorry, I can't.", '{"query": ""}', '{"query": null}', "<b>", "{"])
def test_what_holds_no_query_is_as_if_absent(tmp_path: Path, text: str):
    cache, answer = AnswerCache(tmp_path), Answer(text=text)
    cache.put(KEY, answer)
    assert list(tmp_path.rglob("*.json")) == []
    stored = {"answer": answer.model_dump(), "digest": digest(answer.model_dump())}  # as earlier versions kept it
    write_json(tmp_path / KEY[:2] / f"{KEY}.json", stored)
    assert cache.get(KEY) is None
    cache.put(KEY, ANSWER)
    assert cache.get(KEY) == ANSWER


def test_a_disk_that_takes_nothing_costs_one_warning(tmp_path: Path, caplog):
    (tmp_path / "file").write_text("no folder")
    cache = AnswerCache(tmp_path / "file")
    cache.put(KEY, ANSWER)
    cache.put(KEY, ANSWER)
    assert cache.get(KEY) is None and len(caplog.records) == 1


def test_the_file_holds_the_answer_and_its_hash_only(tmp_path: Path):
    AnswerCache(tmp_path).put(KEY, ANSWER)
    (path,) = tmp_path.rglob("*.json")
    assert json.loads(path.read_text()).keys() == {"answer", "digest"}
