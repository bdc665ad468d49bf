from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from hallmark.checks import SettingError
from hallmark.learning.encoders.weights import safe_load
from hallmark.runs.metrics import MAIN

pytestmark = pytest.mark.filterwarnings("ignore")


def copy_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def moved(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


class Watch(Callback):
    """The names in the encoders and the head that moved within each epoch."""

    def __init__(self) -> None:
        self.encoders: list[set[str]] = []
        self.head: list[set[str]] = []

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.before = copy_of(module.encoders), copy_of(module.head)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.encoders.append(moved(module.encoders, self.before[0]))
        self.head.append(moved(module.head, self.before[1]))


def test_freeze_epochs_hold_the_encoders_whole_then_free_them(classifier, fit) -> None:
    module, watch = classifier(freeze_epochs=2), Watch()
    fit(module, watch, epochs=4)
    assert watch.encoders[:2] == [set(), set()], "neither weights nor batch statistics move"
    assert watch.encoders[2] == watch.encoders[3] == set(module.encoders.state_dict())
    assert all(names == {"weight", "bias"} for names in watch.head)
    assert module.encoders["image"].layers[2].training


def test_without_freeze_epochs_everything_moves_from_the_start(classifier, fit) -> None:
    module, watch = classifier(), Watch()
    fit(module, watch, epochs=1)
    assert watch.encoders == [set(module.encoders.state_dict())]


def test_a_frozen_encoder_stays_in_evaluation_mode_and_never_moves(classifier, fit, encoder) -> None:
    frozen = encoder(frozen=True)
    modes = []
    frozen.layers[2].register_forward_hook(lambda layer, *_: modes.append(layer.training))
    module, watch = classifier({"image": frozen, "text": encoder(seed=1)}), Watch()
    fit(module, watch, epochs=2)
    assert modes and not any(modes)
    assert all({name.split(".")[0] for name in names} == {"text"} for names in watch.encoders)


def test_frozen_encoders_are_not_in_the_checkpoint_and_come_back_on_loading(classifier, fit, encoder, tmp_path) -> None:
    def build() -> Any:
        return classifier({"image": encoder(frozen=True), "text": encoder(seed=1)})

    trained = build()
    fit(trained, epochs=1).save_checkpoint(tmp_path / "last.ckpt")
    saved = safe_load(tmp_path / "last.ckpt")
    assert not [name for name in saved["state_dict"] if name.startswith("encoders.image.")]
    assert [name for name in saved["state_dict"] if name.startswith("encoders.text.")]
    assert list(saved["frozen_encoders"]) == ["image"]
    resumed = build()
    fit(resumed, epochs=1, resume=tmp_path / "last.ckpt")
    assert moved(resumed, copy_of(trained)) == set()


def test_a_checkpoint_of_other_frozen_weights_is_refused(classifier, fit, encoder, tmp_path: Path) -> None:
    fit(classifier({"image": encoder(frozen=True)}), epochs=1).save_checkpoint(tmp_path / "last.ckpt")
    other = classifier({"image": encoder(frozen=True, seed=9)})
    with pytest.raises(ValueError, match=r"model\.encoders\.image: its frozen weights are not those"):
        fit(other, epochs=2, resume=tmp_path / "last.ckpt")


def test_a_checkpoint_without_hashes_is_refused_for_a_frozen_encoder(classifier, fit, encoder, tmp_path: Path) -> None:
    fit(classifier({"image": encoder()}), epochs=1).save_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="its frozen weights are not those"):
        fit(classifier({"image": encoder(frozen=True)}), epochs=2, resume=tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    ("balance", "weights"),
    [(0.0, [1, 1, 1]), (1.0, [24 / 36, 24 / 24, 24 / 12]), (0.5, [(2 / 3) ** 0.5, 1, 2**0.5])],
)
def test_class_weights_by_hand(classifier, fit, balance: float, weights: list[float]) -> None:
    module = classifier(class_balance=balance)  # 12, 8 and 4 rows
    fit(module, epochs=1)
    assert module.class_weights.tolist() == pytest.approx(weights)


def test_the_criterion_weighs_classes_and_smooths_labels(classifier) -> None:
    module = classifier(label_smoothing=0.3)
    module.class_weights = torch.tensor([1.0, 2.0, 4.0])
    logits, target = torch.tensor([[1.0, 0.0, -1.0], [0.5, 0.5, 2.0]]), torch.tensor([1, 2])
    minus_log = -logits.log_softmax(dim=1)
    hard = (2 * minus_log[0, 1] + 4 * minus_log[1, 2]) / 6
    uniform = (minus_log * module.class_weights).sum() / 3 / 6
    torch.testing.assert_close(module.criterion(logits, target), 0.7 * hard + 0.3 * uniform)


def test_epoch_metrics_are_over_all_rows_and_unweighted(classifier, fit) -> None:
    module = classifier(class_balance=1.0, label_smoothing=0.2)
    trainer = fit(module, epochs=2)
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    (batch,) = list(trainer.datamodule.val_dataloader())
    with torch.no_grad():
        logits = module.eval()(batch)
    expected = torch.nn.functional.cross_entropy(logits, batch["target"]).item()
    assert logged["val/loss"] == pytest.approx(expected, rel=1e-5)
    assert logged["val/accuracy"] == pytest.approx((logits.argmax(1) == batch["target"]).float().mean().item())
    assert {"train/loss", "val/macro_f1"} <= logged.keys()


def test_predictions_are_probabilities_by_index(classifier) -> None:
    module = classifier().eval()
    batch = {"index": torch.tensor([4, 2]), "x": torch.randn(2, 4)}
    with torch.no_grad():
        out = module.predict_step(batch, 0)
    assert out["index"].tolist() == [4, 2]
    torch.testing.assert_close(out["probabilities"][MAIN], module(batch).softmax(dim=1))


@pytest.mark.parametrize(
    ("key", "value"), [("freeze_epochs", -1), ("label_smoothing", 1.0), ("class_balance", 1.5), ("class_balance", -0.5)]
)
def test_nonsense_names_its_key(classifier, key: str, value: float) -> None:
    with pytest.raises(SettingError) as caught:
        classifier(**{key: value})
    assert (caught.value.key, caught.value.value) == (key, value)
