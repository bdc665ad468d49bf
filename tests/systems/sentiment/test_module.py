"""TF-IDF against scikit-learn, and the encoders' module."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from hallmark.learning.encoders.base import TextEncoder
from hallmark.learning.heads import ConcatHead
from hallmark.learning.optim import Optimizer
from hallmark.systems.sentiment.module import PairClassifier, TfidfClassifier

WORDS = {"negative": ["bad", "sad", "rain"], "neutral": ["bus", "road", "rain"], "positive": ["sun", "glad", "bus"]}


def tweets(classes: list[str], rows: int = 90) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    target = rng.choice(classes, rows)
    text = [" ".join([*rng.choice(WORDS[name], 3), *rng.choice(["the", "a", "of"], 2)]) for name in target]
    return pd.DataFrame({"text": text, "target": target})


def fitted(rows: pd.DataFrame, classes: list[str], *, balance: float = 0.0) -> TfidfClassifier:
    module = TfidfClassifier(ngrams=2, min_count=2, inverse_regularisation=4.0, classes=classes, class_balance=balance)
    data = SimpleNamespace(
        rows=lambda _: rows, texts=lambda _: rows["text"].tolist(),
        class_counts=lambda _: [int((rows["target"] == name).sum()) for name in classes],
    )  # fmt: skip
    module._trainer = SimpleNamespace(datamodule=data, strategy=None)
    module.setup("fit")
    return module.eval()


def probabilities(module: TfidfClassifier, texts: list[str]) -> np.ndarray:
    with torch.no_grad():
        return module({"text": texts}).softmax(dim=1).numpy()


@pytest.mark.parametrize("classes", [["negative", "neutral", "positive"], ["positive", "negative"]])
@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_tfidf_gives_the_probabilities_of_scikit_learn(classes, balance):
    rows = tweets(classes)
    reference = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(C=4.0, class_weight="balanced" if balance else None, max_iter=1000),
    ).fit(rows["text"], rows["target"])
    texts = ["bad sad rain", "the sun of glad", "bus", "nothing that was ever seen", ""]
    expected = reference.predict_proba(texts)[:, [list(reference.classes_).index(name) for name in classes]]
    np.testing.assert_allclose(probabilities(fitted(rows, classes, balance=balance), texts), expected, atol=1e-5)


def test_tfidf_survives_its_checkpoint(tmp_path):
    classes = ["negative", "neutral", "positive"]
    module = fitted(tweets(classes), classes)
    saved = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(saved)
    torch.save(saved, tmp_path / "tfidf.ckpt")
    read = torch.load(tmp_path / "tfidf.ckpt", weights_only=True)
    fresh = TfidfClassifier(ngrams=2, min_count=2, inverse_regularisation=4.0, classes=classes, class_balance=0.0)
    fresh.on_load_checkpoint(read)
    fresh.load_state_dict(read["state_dict"])
    texts = ["bad rain", "glad glad sun", "road of bus", ""]
    assert (probabilities(fresh.eval(), texts) == probabilities(module, texts)).all()


@pytest.mark.parametrize(
    ("name", "value"), [("ngrams", 0), ("min_count", 0), ("inverse_regularisation", 0.0), ("class_balance", 2.0)]
)
def test_what_tfidf_refuses(name, value):
    arguments = {"ngrams": 1, "min_count": 1, "inverse_regularisation": 1.0, "class_balance": 0.0, name: value}
    with pytest.raises(ValueError, match=f"{name}={value}: expected"):
        TfidfClassifier(classes=["negative", "positive"], **arguments)


class Doubling(TextEncoder):
    """Twice its input, through a weight."""

    def __init__(self, *, frozen: bool) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0))
        self.embedding_dim, self.frozen, self.preprocessing = 4, False, {}
        if frozen:
            self.freeze()

    def forward(self, tokens):
        return self.scale * tokens["values"]


def classifier(*, frozen: bool = False, adapter=None) -> PairClassifier:
    torch.manual_seed(0)
    return PairClassifier(
        encoders={"text": Doubling(frozen=frozen)},
        head=lambda dims, classes: ConcatHead(dims, classes, dropout=0.0),
        adapter=adapter,
        classes=["negative", "neutral", "positive"],
        optimizer=Optimizer(lr=1.0, lr_scale=1.0, head_lr=1.0, weight_decay=0.0, schedule="constant", warmup=0.0),
        freeze_epochs=0,
        label_smoothing=0.0,
        class_balance=0.0,
    )


def test_stored_features_take_the_place_of_the_encoder():
    module = classifier(frozen=True).eval()
    values = torch.randn(3, 4)
    through = module({"text": {"values": values}})
    assert torch.equal(module({"text_features": 2 * values}), through)


def test_a_frozen_encoder_is_known_by_its_hash_and_not_saved():
    module = classifier(frozen=True)
    module._trainer = SimpleNamespace(strategy=None, global_rank=0)
    saved = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(saved)
    assert not [name for name in saved["state_dict"] if name.startswith("encoders.")]
    with torch.no_grad():
        module.encoders["text"].scale.fill_(3.0)
    with pytest.raises(ValueError, match=r"model\.encoders\.text: its frozen weights are not those"):
        module.on_load_checkpoint(saved)


def test_an_adapter_needs_attention():
    from hallmark.learning.lora import Lora

    with pytest.raises(ValueError, match="expected an encoder with torch's MultiheadAttention"):
        classifier(adapter=Lora(2, 2.0, 0.0))
