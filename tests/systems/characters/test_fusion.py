from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from hallmark.checks import SettingError
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.heads import ConcatHead, GatedFusionHead, Head
from hallmark.learning.optim import Optimizer
from hallmark.systems.characters.fusion import CharacterFusion

CLASSES = ["a", "b", "c"]


class Given(Encoder):
    """Embeddings that the batch brings."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.embedding_dim, self.frozen, self.preprocessing = dimension, False, {}


GATED = partial(GatedFusionHead, dropout=0.0, width=8, modality_dropout=0.15)


def fusion(*modalities: str, unimodal_weight: float = 0.0, head: Callable[..., Head] = GATED) -> CharacterFusion:
    torch.manual_seed(0)
    return CharacterFusion(
        encoders={name: Given(4) for name in modalities}, classes=CLASSES,
        head=head,
        optimizer=Optimizer(lr=1, lr_scale=1, head_lr=1, weight_decay=0, schedule="constant", warmup=0),
        freeze_epochs=0, label_smoothing=0.0, class_balance=0.0, unimodal_weight=unimodal_weight,
    )  # fmt: skip


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    features = {f"{name}_features": torch.randn(4, 4, generator=generator) for name in ("image", "text")}
    present = torch.tensor([True, True, False, True])
    return {"index": torch.arange(4), "target": torch.tensor([0, 1, 2, 0]), "text_present": present, **features}


@pytest.fixture
def data() -> SimpleNamespace:
    rows = pd.DataFrame({"id": list("wxyz"), "group": list("wxyz"), "target": ["a", "b", "c", "a"], "info_text": "t"})
    return SimpleNamespace(rows=lambda split: rows, classes={"main": CLASSES}, slice_categories=lambda: {})


def test_the_three_rows_are_what_the_head_says_of_both_and_of_either_input(data):
    module, inputs = fusion("image", "text").eval(), batch()
    embeddings = {"image": inputs["image_features"], "text": inputs["text_features"]}
    everywhere, nowhere = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    with torch.no_grad():
        table = module.table([module.predict_step(inputs, 0)], data, "val")
        views = {
            "main": {"image": everywhere, "text": inputs["text_present"]},
            "image": {"image": everywhere, "text": nowhere},
            "text": {"image": nowhere, "text": everywhere},
        }
        expected = {task: module.head(embeddings, view).softmax(dim=1) for task, view in views.items()}
    assert list(dict.fromkeys(table["task"])) == ["main", "image", "text"]
    for task, probabilities in expected.items():
        rows = table[table["task"] == task]
        ids = list("wxyz") if task != "text" else list("wxz")
        assert rows["id"].tolist() == ids
        of_rows = probabilities[["wxyz".index(row_id) for row_id in ids]]
        torch.testing.assert_close(torch.tensor(np.stack(rows["probabilities"])).float(), of_rows)
        correct = [
            CLASSES[top] == row.target for top, row in zip(of_rows.argmax(dim=1), rows.itertuples(), strict=True)
        ]
        assert rows["score"].tolist() == correct
    assert table.attrs["classes"] == dict.fromkeys(("main", "image", "text"), CLASSES)
    # A row without a description is answered by its picture.
    rows = table.set_index(["task", "id"])["probabilities"]
    assert rows["main", "y"].tolist() == rows["image", "y"].tolist() != rows["main", "w"].tolist()


def test_one_input_alone_has_one_row(data):
    module = fusion("image").eval()
    with torch.no_grad():
        table = module.table([module.predict_step(batch(), 0)], data, "val")
    assert set(table["task"]) == {"main"} and len(table) == 4


def test_training_drops_an_input_at_the_stated_rate_and_a_missing_one_is_no_reason_to_drop_the_other():
    module, n = fusion("image", "text").train(), 6000
    seen = []
    module.head.gate.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    inputs = {
        "index": torch.arange(n), "target": torch.zeros(n, dtype=torch.int64), "text_present": torch.arange(n) >= 1000,
        "image_features": torch.randn(n, 4), "text_features": torch.randn(n, 4),
    }  # fmt: skip
    module.loss(inputs)
    missing = torch.stack([(seen[0][:, :4] == 0).all(dim=1), (seen[0][:, 4:] == 0).all(dim=1)], dim=1)
    assert missing[:1000].float().mean(dim=0).tolist() == [0, 1]
    assert not missing.all(dim=1).any()
    assert ((missing[1000:].float().mean(dim=0) - 0.075).abs() < 0.015).all()


def test_what_each_input_says_alone_has_a_loss_of_its_own():
    plain, weighted = (fusion("image", "text", unimodal_weight=weight).eval() for weight in (0.0, 0.5))
    inputs = batch()
    logits = {name: weighted.head(
        {key: inputs[f"{key}_features"] for key in ("image", "text")},
        {name: torch.ones(4, dtype=torch.bool) if name == "image" else inputs["text_present"],
         "text" if name == "image" else "image": torch.zeros(4, dtype=torch.bool)},
    ) for name in ("image", "text")}  # fmt: skip
    alone = sum(cross_entropy(of_input, inputs["target"]) for of_input in logits.values())
    torch.testing.assert_close(weighted.loss(inputs), plain.loss(inputs) + 0.5 * alone)
    torch.testing.assert_close(plain.loss(inputs), cross_entropy(plain(inputs), inputs["target"]))
    single = fusion("image", unimodal_weight=0.5).eval()
    torch.testing.assert_close(single.loss(inputs), cross_entropy(single(inputs), inputs["target"]))


def test_a_weight_below_zero_is_refused():
    with pytest.raises(SettingError) as refused:
        fusion("image", unimodal_weight=-1.0)
    assert refused.value.key == "unimodal_weight"


def test_a_head_that_takes_no_missing_modalities_is_refused():
    with pytest.raises(SettingError) as refused:
        fusion("image", "text", head=partial(ConcatHead, dropout=0.0))
    assert refused.value.key == "head"
