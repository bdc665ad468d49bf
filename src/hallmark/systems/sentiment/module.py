"""The sentiment classifiers: encoders with a fusion head, and TF-IDF."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hallmark.checks import require
from hallmark.learning.classification import ClassificationModule
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.heads import Head
from hallmark.learning.lora import Lora
from hallmark.learning.module import Batch
from hallmark.learning.multimodal import MultimodalClassifier
from hallmark.learning.optim import Optimizer


class PairClassifier(MultimodalClassifier):
    """A `MultimodalClassifier` of pictures and tweets.

    Args:
        adapter: low-rank adaptation of the encoders; None fine-tunes them whole, unless they are frozen.
        common: the arguments of `MultimodalClassifier`.
    """

    def __init__(
        self, *, encoders: Mapping[str, Encoder], head: Callable[..., Head], adapter: Lora | None,
        classes: Sequence[str], optimizer: Optimizer, freeze_epochs: int, label_smoothing: float, class_balance: float,
    ) -> None:  # fmt: skip
        super().__init__(
            encoders=encoders, head=head, classes=classes, optimizer=optimizer, freeze_epochs=freeze_epochs,
            label_smoothing=label_smoothing, class_balance=class_balance,
        )  # fmt: skip
        if adapter is not None:
            for encoder in encoders.values():
                adapter.apply(encoder)


class TfidfClassifier(ClassificationModule):
    """TF-IDF with logistic regression: solved by scikit-learn before the first epoch, then only measured.

    Args:
        ngrams: longest word n-gram; min_count: texts that must hold a term; inverse_regularisation: C of
            `LogisticRegression`.
    """

    def __init__(
        self, *, ngrams: int, min_count: int, inverse_regularisation: float, classes: Sequence[str],
        class_balance: float,
    ) -> None:  # fmt: skip
        from sklearn.feature_extraction.text import TfidfVectorizer  # only this model waits for scikit-learn

        require(ngrams >= 1, "ngrams", ngrams, "at least 1")
        require(min_count >= 1, "min_count", min_count, "at least 1")
        require(inverse_regularisation > 0, "inverse_regularisation", inverse_regularisation, "above 0")
        super().__init__(
            classes=classes, encoders={}, head=nn.Identity(), optimizer=None, freeze_epochs=0,
            label_smoothing=0.0, class_balance=class_balance,
        )  # fmt: skip
        self.inverse_regularisation = inverse_regularisation
        self.vectorizer = TfidfVectorizer(ngram_range=(1, ngrams), min_df=min_count, sublinear_tf=True)

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"text": None}

    def setup(self, stage: str) -> None:
        """Solve on the training rows before the first epoch."""
        super().setup(stage)
        if stage != "fit":
            return
        from sklearn.linear_model import LogisticRegression

        data = self.trainer.datamodule  # type: ignore[attr-defined]
        features = self.vectorizer.fit_transform(data.texts("train"))
        weights = dict(zip(self.classes, self.class_weights.tolist(), strict=True))
        solver = LogisticRegression(C=self.inverse_regularisation, class_weight=weights, max_iter=1000)
        solver.fit(features, data.rows("train")["target"].tolist())
        coefficients, intercept = solver.coef_, solver.intercept_
        if len(self.classes) == 2:
            # scikit-learn then has one row of log-odds; halves with both signs give the same softmax.
            coefficients = np.concatenate([-coefficients, coefficients]) / 2
            intercept = np.concatenate([-intercept, intercept]) / 2
        self.head = nn.Linear(features.shape[1], len(self.classes)).to(self.device).requires_grad_(True)
        order = [list(solver.classes_).index(name) for name in self.classes]
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(coefficients[order]))
            self.head.bias.copy_(torch.from_numpy(intercept[order]))

    def forward(self, batch: Batch) -> Tensor:
        features = self.vectorizer.transform(batch["text"]).toarray().astype(np.float32)
        return self.head(torch.from_numpy(features).to(self.device))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        vocabulary = {term: int(column) for term, column in self.vectorizer.vocabulary_.items()}
        checkpoint["tfidf"] = {"vocabulary": vocabulary, "idf": torch.from_numpy(self.vectorizer.idf_)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        saved = checkpoint["tfidf"]
        self.vectorizer.vocabulary = saved["vocabulary"]
        self.vectorizer.idf_ = saved["idf"].numpy()
        self.head = nn.Linear(len(saved["vocabulary"]), len(self.classes))
