"""The plumbing around a local model, with a fake in its place."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.systems.refseg.vlm.conftest import ask, picture

from hallmark.learning.encoders.weights import MissingWeightsError
from hallmark.systems.refseg.vlm import prompt
from hallmark.systems.refseg.vlm.cache import AnswerCache
from hallmark.systems.refseg.vlm.local import LocalRewriter
from hallmark.systems.refseg.vlm.picture import PictureEncoder


class Batch(dict):
    def to(self, device: str) -> "Batch":
        self["device"] = device
        return self


class Fake:
    """Processor and model in one: remembers what it was given and says `text`."""

    text = '{"query": "red circle"}'

    def __init__(self) -> None:
        self.chats: list[list[dict]] = []
        self.options: list[dict[str, Any]] = []
        self.config = type("Config", (), {"_commit_hash": "abc"})()

    def to(self, device: str) -> "Fake":
        return self

    def eval(self) -> "Fake":
        return self

    def apply_chat_template(self, chat: list[dict], **options: Any) -> Batch:
        assert options == {
            "add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt",
        }  # fmt: skip
        self.chats.append(chat)
        return Batch(input_ids=torch.zeros(1, 40, dtype=torch.int64))

    def generate(self, **options: Any) -> torch.Tensor:
        assert torch.is_inference_mode_enabled()
        self.options.append(options)
        return torch.cat([options["input_ids"], torch.tensor([[ord(letter) for letter in self.text]])], dim=1)

    def batch_decode(self, tokens: torch.Tensor, skip_special_tokens: bool) -> list[str]:
        assert skip_special_tokens
        return ["".join(chr(token) for token in row) for row in tokens.tolist()]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()
    for name in ("AutoProcessor", "AutoModelForImageTextToText"):
        monkeypatch.setattr(getattr(transformers, name), "from_pretrained", lambda *_, **__: fake)
    return fake


def local(cache: AnswerCache | None = None, max_tokens: int = 64, name: str = "org/vlm") -> LocalRewriter:
    encoder = PictureEncoder(max_pixels=1024, format="png")
    return LocalRewriter(name=name, max_tokens=max_tokens, device="cpu", picture=encoder, max_failed=0.2, cache=cache)


def test_the_prompt_and_the_picture_reach_the_model(fake: Fake):
    rewrite = local().rewrite(ask(image=picture((400, 100))))
    assert (rewrite.query, rewrite.fallback, rewrite.tokens_in, rewrite.tokens_out) == ("red circle", None, 40, 23)
    ((system, user),) = fake.chats
    assert system == {"role": "system", "content": [{"type": "text", "text": prompt.SYSTEM}]}
    image, text = user["content"]
    assert image["type"] == "image" and image["image"].size == (64, 16)
    assert text == {"type": "text", "text": prompt.user_text(ask())}
    (options,) = fake.options
    assert (options["do_sample"], options["num_beams"], options["max_new_tokens"]) == (False, 1, 64)
    assert options["device"] == "cpu"


@pytest.mark.parametrize(
    ("text", "max_tokens", "kind"),
    [
        ("I'm sorry, I can't.", 64, "refusal"),
        ("<b>red</b>", 64, "schema"),
        ('{"query": "red', 14, "too_long"),
        ("x" * 20_000, 20_001, "too_long"),
    ],
)
def test_its_replies_pass_the_same_checks(fake: Fake, text: str, max_tokens: int, kind: str):
    fake.text = text
    rewrite = local(max_tokens=max_tokens).rewrite(ask())
    assert (rewrite.query, rewrite.fallback) == ("the crimson thing", kind)


def test_a_second_run_does_not_run_the_model(fake: Fake, tmp_path: Path):
    cold = local(AnswerCache(tmp_path)).rewrite(ask())
    warm = local(AnswerCache(tmp_path)).rewrite(ask())
    assert (cold.query, cold.cached, warm.query, warm.cached) == ("red circle", False, "red circle", True)
    assert len(fake.chats) == 1
    fake.config._commit_hash = "def"
    assert not local(AnswerCache(tmp_path)).rewrite(ask()).cached


def test_other_files_in_the_folder_are_another_model(fake: Fake, tmp_path: Path):
    folder, cache = tmp_path / "model", AnswerCache(tmp_path / "cache")
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"1")
    assert [local(cache, name=str(folder)).rewrite(ask()).cached for _ in range(2)] == [False, True]
    (folder / "model.safetensors").write_bytes(b"22")
    assert not local(cache, name=str(folder)).rewrite(ask()).cached


def test_only_a_query_is_kept_on_disk(fake: Fake, tmp_path: Path):
    fake.text = ""
    assert local(AnswerCache(tmp_path)).rewrite(ask()).fallback == "empty"
    fake.text = Fake.text
    again = local(AnswerCache(tmp_path)).rewrite(ask())
    assert (again.query, again.cached) == ("red circle", False)


def test_a_model_that_fails_keeps_the_query(fake: Fake, monkeypatch: pytest.MonkeyPatch):
    rewriter = local()
    monkeypatch.setattr(fake, "generate", lambda **_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA")))
    assert rewriter.rewrite(ask()).fallback == "model"
    assert rewriter.rewrite(ask(image=b"none")).fallback == "unreadable_image"


@pytest.mark.parametrize("name", ["/none/such/folder", "no-such-organisation/no-such-model"])
def test_absent_weights_are_said_and_how_to_get_them(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingWeightsError, match=r"weights not found .*give a local file or folder") as caught:
        local(name=name)
    assert name in str(caught.value)


def test_settings(fake: Fake):
    for change, key in (({"name": ""}, "name"), ({"max_tokens": 0}, "max_tokens")):
        with pytest.raises(ValueError, match=f"^{key}="):
            local(**change)
