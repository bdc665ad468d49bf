from typing import Any

import pytest
import torch
from torch.nn import functional

from hallmark.checks import SettingError
from hallmark.learning.optim import Optimizer
from hallmark.runs.metrics import MAIN
from hallmark.systems.digits.module import DigitsClassifier


def classifier(**changes: Any) -> DigitsClassifier:
    recipe = Optimizer(lr=0.01, lr_scale=1.0, head_lr=0.01, weight_decay=0.0, schedule="constant", warmup=0.0)
    return DigitsClassifier(**{"classes": ["a", "b", "c"], "width": 4, "dropout": 0.0, "optimizer": recipe, **changes})


def test_logits_come_from_the_features() -> None:
    module, image = classifier().eval(), torch.rand(5, 1, 8, 8)
    features = module.features(image)
    assert features.shape == (5, 16)
    last = module.head.logits[-1]
    assert torch.equal(module({"image": image}), functional.linear(features, last.weight, last.bias))


def test_predictions_are_probabilities() -> None:
    batch = {"image": torch.rand(5, 1, 8, 8), "index": torch.arange(5)}
    probabilities = classifier().eval().predict_step(batch, 0)["probabilities"][MAIN]
    assert probabilities.shape == (5, 3)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(5))


@pytest.mark.parametrize(("key", "value"), [("width", 0), ("dropout", 1.0)])
def test_nonsense_names_its_key(key: str, value: float) -> None:
    with pytest.raises(SettingError) as caught:
        classifier(**{key: value})
    assert caught.value.key == key
