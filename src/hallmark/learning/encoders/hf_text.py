"""Text encoders of Hugging Face transformers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer

from hallmark.checks import require
from hallmark.learning.encoders.base import TextEncoder
from hallmark.learning.encoders.weights import NO_REMOTE_CODE, local_path, published, trained_on, weights_requirement
from hallmark.storage.hashing import digest
from hallmark.storage.requirements import Requirement


def piece_spans(name: str) -> Callable[[str], list[tuple[int, int]]]:
    """A function from a text to start and end in it of each piece that the tokenizer of the model `name` makes of it.

    Raises:
        MissingWeightsError: there is no such tokenizer here.
    """
    with published(f"tokenizer of {name}"):
        tokenizer = AutoTokenizer.from_pretrained(str(local_path(name) or name), **NO_REMOTE_CODE)

    def spans(text: str) -> list[tuple[int, int]]:
        return tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]

    return spans


class HFTextEncoder(TextEncoder):
    """A transformer encoder, pooled over its tokens.

    Args:
        name: model name on the hub, a local folder, or `package:<package>/<folder>`.
        weights: `pretrained` or `random` (the folder's architecture, untrained).
        token_length: longer texts are cut, shorter ones padded (and the padding trimmed for each batch).
        pooling: `mean` over real tokens, or `cls` for the first.
        frozen: keep the weights and cache the embeddings.
    """

    def __init__(self, *, name: str, weights: str, token_length: int, pooling: str, frozen: bool) -> None:
        super().__init__()
        require(weights in ("pretrained", "random"), "weights", weights, "pretrained or random")
        require(pooling in ("mean", "cls"), "pooling", pooling, "mean or cls")
        require(2 <= token_length <= 8192, "token_length", token_length, "between 2 and 8192 tokens")
        source = str(local_path(name) or name)
        with published(f"text model {name}"):
            # `forward` trims the padding of a batch, which must then be on the right.
            self.tokenizer = AutoTokenizer.from_pretrained(source, padding_side="right", **NO_REMOTE_CODE)
            if weights == "pretrained":
                self.model = AutoModel.from_pretrained(source, dtype=torch.float32, **NO_REMOTE_CODE)
            else:
                architecture = AutoConfig.from_pretrained(source, **NO_REMOTE_CODE)
                self.model = AutoModel.from_config(architecture, dtype=torch.float32, **NO_REMOTE_CODE)
        self.embedding_dim = self.model.config.hidden_size
        self.token_length, self.pooling = token_length, pooling
        positions = getattr(self.model.config, "max_position_embeddings", token_length)
        require(token_length <= positions, "token_length", token_length, f"at most the model's {positions} positions")
        rules = digest(self.tokenizer.backend_tokenizer.to_str())
        self.preprocessing = {"token_length": token_length, "pooling": pooling, "tokenizer": rules}
        self.trained_on = trained_on(local_path(name)) if weights == "pretrained" else None
        self.frozen = False
        if frozen:
            self.freeze()

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """Weights and tokenizer."""
        text = f"text model {arguments['name']} ({arguments['weights']})"
        return [weights_requirement(text, arguments["name"], files=["config.json", "tokenizer_config.json"])]

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """`input_ids` and `attention_mask`, int64 [N, token_length]."""
        encoded = self.tokenizer(
            list(texts), truncation=True, max_length=self.token_length, padding="max_length", return_tensors="pt"
        )
        return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}

    def forward(self, tokens: dict[str, Tensor]) -> Tensor:
        longest = int(tokens["attention_mask"].sum(dim=1).max())
        mask_BL = tokens["attention_mask"][:, :longest]
        hidden_BLD = self.model(input_ids=tokens["input_ids"][:, :longest], attention_mask=mask_BL).last_hidden_state
        if self.pooling == "cls":
            return hidden_BLD[:, 0]
        weights_BL1 = mask_BL.unsqueeze(-1).to(hidden_BLD.dtype)
        return (hidden_BLD * weights_BL1).sum(dim=1) / weights_BL1.sum(dim=1).clamp(min=1)
