import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from hallmark.checks import SettingError
from hallmark.features.store import encoder_key
from hallmark.learning.encoders.hf_text import HFTextEncoder
from hallmark.learning.encoders.weights import MissingWeightsError

TEXTS = ["a good day", "what a very very sad day it was", "happy", ""]


@pytest.fixture(scope="module")
def folder(bert_folder: Callable[..., Path]) -> Path:
    return bert_folder()


def build(folder: Path, **changes: Any) -> HFTextEncoder:
    common = {"name": str(folder), "weights": "pretrained", "token_length": 16, "pooling": "mean", "frozen": True}
    return HFTextEncoder(**{**common, **changes})


def embed(encoder: HFTextEncoder, texts: list[str]) -> torch.Tensor:
    with torch.no_grad():
        return encoder(encoder.tokenize(texts))


def unpadded(folder: Path, text: str) -> torch.Tensor:
    """Hidden states [L, D] of one text alone, by transformers itself."""
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        return AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state[0]


@pytest.mark.parametrize("token_length", [12, 40])
def test_mean_pooling_is_over_real_tokens_whatever_the_padding(folder: Path, token_length: int) -> None:
    expected = torch.stack([unpadded(folder, text).mean(dim=0) for text in TEXTS])
    torch.testing.assert_close(embed(build(folder, token_length=token_length), TEXTS), expected)


def test_cls_pooling_takes_the_first_token(folder: Path) -> None:
    expected = torch.stack([unpadded(folder, text)[0] for text in TEXTS])
    torch.testing.assert_close(embed(build(folder, pooling="cls"), TEXTS), expected)


def test_a_text_is_embedded_alike_in_any_company(folder: Path) -> None:
    encoder = build(folder)
    alone = torch.cat([embed(encoder, [text]) for text in TEXTS])
    torch.testing.assert_close(embed(encoder, TEXTS), alone)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_tokenizer_that_pads_on_the_left_loses_nothing(
    bert_folder: Callable[..., Path], folder: Path, pooling: str
) -> None:
    left = build(bert_folder(padding_side="left"), pooling=pooling)
    torch.testing.assert_close(embed(left, TEXTS), embed(build(folder, pooling=pooling), TEXTS))


def test_tokens_have_the_fixed_length_and_long_texts_are_cut(folder: Path) -> None:
    tokens = build(folder, token_length=5).tokenize(["very very very very very good", "day"])
    assert {name: tuple(tensor.shape) for name, tensor in tokens.items()} == {
        "input_ids": (2, 5), "attention_mask": (2, 5),
    }  # fmt: skip
    assert tokens["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert tokens["input_ids"][0, 4] == 3, "a cut text still ends with [SEP]"


def test_random_weights_keep_the_architecture_and_are_float32(bert_folder: Callable[..., Path]) -> None:
    folder = bert_folder(dtype="float16")
    pretrained, random = build(folder), build(folder, weights="random")
    assert random.embedding_dim == pretrained.embedding_dim == 16
    assert {parameter.dtype for parameter in random.parameters()} == {torch.float32}
    assert not torch.allclose(embed(random, TEXTS), embed(pretrained, TEXTS))


def test_what_decides_an_embedding_is_in_the_key(folder: Path, bert_folder: Callable[..., Path]) -> None:
    variants = [build(folder), build(folder, pooling="cls"), build(folder, token_length=8),
                build(bert_folder(hidden_act="relu"))]  # fmt: skip
    assert len({encoder_key(encoder) for encoder in variants}) == 4
    assert encoder_key(build(folder)) == encoder_key(variants[0])


@pytest.mark.parametrize(("key", "value"), [("weights", "openai"), ("pooling", "max"), ("token_length", 1)])
def test_nonsense_names_its_key(folder: Path, key: str, value: object) -> None:
    with pytest.raises(SettingError) as caught:
        build(folder, **{key: value})
    assert caught.value.key == key


def test_absent_models_give_the_ways_to_provide_them(tmp_path: Path) -> None:
    for name in ("no-such-org/no-such-model", str(tmp_path / "none")):
        with pytest.raises(MissingWeightsError, match="Three ways to provide them"):
            build(Path(name))


def test_code_in_the_folder_of_a_model_is_neither_run_nor_asked_for(
    tmp_path: Path, bert_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(bert_folder(), tmp_path / "model"))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\nclass Evil: pass\n")
    classes = dict.fromkeys(("AutoConfig", "AutoModel"), "evil.Evil") | {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    for name in ("config.json", "tokenizer_config.json"):
        config = json.loads((folder / name).read_text())
        config.pop("tokenizer_class", None)
        (folder / name).write_text(json.dumps({**config, "model_type": "evil", "auto_map": classes}))
    prompts: list[str] = []
    monkeypatch.setattr("builtins.input", lambda text: prompts.append(text) or "y")
    for weights in ("pretrained", "random"):
        with pytest.raises(ValueError, match="custom code"):
            build(folder, weights=weights)
    assert not prompts and not (tmp_path / "mark").exists()
