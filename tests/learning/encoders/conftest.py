from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel, PreTrainedTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, "a", "good", "bad", "day", "what", "very", "##ly", "happy", "sad", "it", "was"]


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A tiny random BERT with a WordPiece tokenizer, in transformers' layout."""

    def make(*, padding_side: str = "right", **config: Any) -> Path:
        folder = tmp_path_factory.mktemp("bert")
        torch.manual_seed(0)
        size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        shape = BertConfig(vocab_size=len(WORDS), max_position_embeddings=64, **size, **config)
        BertModel(shape).save_pretrained(folder)
        inner = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
        inner.normalizer, inner.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        PreTrainedTokenizerFast(tokenizer_object=inner, padding_side=padding_side, **names).save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CLIPModel]:
    """A tiny random CLIP in transformers' layout, and the model itself."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    trunk = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": 49408, "max_position_embeddings": 77, "eos_token_id": 49407, "bos_token_id": 49406}
    config = CLIPConfig(
        vision_config={**trunk, "image_size": 32, "patch_size": 8}, text_config={**trunk, **text}, projection_dim=16
    )
    model = CLIPModel(config).eval()
    model.save_pretrained(folder)
    return folder, model
