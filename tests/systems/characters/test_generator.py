"""The generator of characters: its networks, what it learns from, and what its fit leaves alone."""

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from lightning import Trainer
from tests.systems.characters.test_module import classifier
from torch import Tensor
from torch.utils.data import DataLoader

from hallmark.checks import SettingError
from hallmark.learning.generation import PictureGenerator, class_number
from hallmark.learning.optim import PartOptimizer
from hallmark.runs.parents import Use
from hallmark.systems.characters.generator.diffaugment import DiffAugment
from hallmark.systems.characters.generator.losses import GuidedLoss
from hallmark.systems.characters.generator.module import CharacterGenerator
from hallmark.systems.characters.generator.networks import Discriminator, Generator

CLASSES = ["a", "b", "c"]
LOSS = {
    "kind": "hinge", "adversarial": 1.0, "classification": 0.2, "perceptual": 0.5, "match": "statistics",
    "network": "classifier", "vgg16_weights": None,
}  # fmt: skip


def generator(**changes: Any) -> CharacterGenerator:
    torch.manual_seed(0)
    recipes = {"generator": PartOptimizer(lr=0.01, ema_decay=0.5), "discriminator": PartOptimizer(lr=0.01)}
    common = {
        "classes": CLASSES, "target_class": None, "image_size": 16, "noise": 5, "width": 4, "discriminator_width": 4,
        "upsampling": "nearest", "spectral_norm": True, "loss": GuidedLoss(**LOSS), "optimizers": recipes, "seed": 0,
        "augment": DiffAugment(color=1.0, translation=0.125, cutout=0.5),
    }  # fmt: skip
    module = CharacterGenerator(**{**common, **changes})
    torch.manual_seed(1)
    parents = {"classifier": classifier(), "judge": classifier()}
    module.attach_parents({role: parent.requires_grad_(False).eval() for role, parent in parents.items()})
    return module


def batches(n: int = 2) -> list[dict[str, Tensor]]:
    rng = torch.Generator().manual_seed(2)
    pixels = torch.randint(0, 256, (n, 6, 3, 16, 16), dtype=torch.uint8, generator=rng)
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    return [{"image": image, "target": target, "index": 6 * k + torch.arange(6)} for k, image in enumerate(pixels)]


def fit(module: CharacterGenerator, n: int = 2) -> None:
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, DataLoader(batches(n), batch_size=None), DataLoader(batches(1), batch_size=None))


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
@pytest.mark.parametrize("size", [16, 24, 112])
def test_pictures_of_the_size_that_is_asked_for(size: int, upsampling: str) -> None:
    drawn = Generator(2, noise=3, width=1, image_size=size, upsampling=upsampling)(
        torch.randn(2, 3), torch.tensor([0, 1])
    )
    assert drawn.shape == (2, 3, size, size) and drawn.abs().max() <= 1
    logits = Discriminator(2, width=1, image_size=size, spectral=True)(drawn, torch.tensor([0, 1]))
    assert logits.shape == (2,)


@pytest.mark.parametrize("size", [4, 7, 50, 52])
def test_a_size_that_is_no_doubled_grid_is_refused(size: int) -> None:
    with pytest.raises(SettingError) as refused:
        Generator(2, noise=3, width=1, image_size=size, upsampling="nearest")
    assert refused.value.key == "image_size"


def test_the_spectral_norm_of_every_layer_of_the_discriminator_is_one() -> None:
    network = Discriminator(3, width=4, image_size=16, spectral=True)
    for _ in range(40):  # power iterations
        network(torch.randn(2, 3, 16, 16), torch.tensor([0, 1]))
    weights = [layer.weight for layer in network.modules() if hasattr(layer, "parametrizations")]
    assert len(weights) == 6
    for weight in weights:
        assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_a_picture_is_a_function_of_weights_class_and_number() -> None:
    module = generator().eval()
    drawn = module.draw(torch.tensor([0, 1, 0, 1]), torch.tensor([4, 4, 7, 4]))
    assert drawn.shape == (4, 3, 16, 16) and drawn.min() >= 0 and drawn.max() <= 1
    torch.testing.assert_close(drawn[1], drawn[3])
    for first, second in pairwise(drawn[:3]):
        assert not torch.allclose(first, second)


def test_a_fit_changes_the_generator_and_neither_parent_to_the_last_bit() -> None:
    module = generator()
    before = {name: copy.deepcopy(parent.state_dict()) for name, parent in module.parents.items()}
    weights_before = copy.deepcopy(module.parts.state_dict())
    fit(module)
    for name, parent in module.parents.items():
        assert any("running_mean" in key for key in before[name])
        assert all(torch.equal(value, before[name][key]) for key, value in parent.state_dict().items())
        assert not parent.training and not any(part.training for part in parent.modules())
        assert all(parameter.grad is None for parameter in parent.parameters())
    for part in ("generator.", "discriminator."):
        weights = [key for key in weights_before if key.startswith(part) and weights_before[key].ndim > 1]
        assert all(not torch.equal(weights_before[key], module.parts.state_dict()[key]) for key in weights)
    assert not any("encoders" in name for name in module.state_dict())
    assert {"val/kernel_distance", "val/frechet_distance", "val/accuracy"} <= set(module.trainer.callback_metrics)


@pytest.mark.parametrize("alone", ["classification", "perceptual"])
def test_each_guiding_loss_alone_reaches_the_generator(alone: str) -> None:
    weights = dict.fromkeys(("adversarial", "classification", "perceptual"), 0.0)
    module = generator(loss=GuidedLoss(**LOSS | weights | {alone: 1.0}))
    drawn, real = module.parts["generator"](torch.randn(6, 5), batches()[0]["target"]), torch.rand(6, 3, 16, 16)
    loss = module.loss.generator(
        torch.zeros(6), drawn / 2 + 0.5, real, batches()[0]["target"], module.parents["classifier"]
    )
    loss.backward()
    gradients = [parameter.grad for parameter in module.parts["generator"].parameters()]
    assert sum(gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients) == len(gradients)


@pytest.mark.parametrize(
    ("changes", "roles"),
    [
        ({}, {"classifier", "judge"}),
        ({"classification": 0, "perceptual": 0}, {"judge"}),
        ({"classification": 0, "network": "vgg16", "vgg16_weights": "vgg16.pth"}, {"judge"}),
        ({"classification": 0, "network": "vgg16"}, {"classifier", "judge"}),
    ],
)
def test_it_takes_the_parents_that_its_losses_ask(changes: dict[str, Any], roles: set[str]) -> None:
    assert CharacterGenerator.parent_roles({"loss": LOSS | changes}) == dict.fromkeys(roles, Use.WEIGHTS)


def test_a_parent_of_other_characters_or_of_another_order_is_refused() -> None:
    for classes in (["a", "b"], ["b", "a", "c"]):
        with pytest.raises(SettingError) as refused:
            generator().attach_parents({"judge": classifier(classes=classes)})
        assert refused.value.key == "judge"


def test_the_sheets_show_every_class_or_the_one_that_is_drawn() -> None:
    sides = {None: (6 * 17 - 1, 3 * 17 - 1), "b": (6 * 17 - 1, 6 * 17 - 1)}
    for target, side in sides.items():
        module = generator(target_class=target).eval()
        with torch.no_grad():
            sheets = module.epoch_figures(0) | module.figures()
        assert isinstance(module, PictureGenerator) and module.drawn_classes == ([1] if target else [0, 1, 2])
        assert sheets["samples_epoch"].shape == (*side, 3)
        rows = 3 if target is None else 1
        assert sheets["interpolation"].shape[0] == sheets["truncation"].shape[0] == rows * 17 - 1
        first, *_, last = (sheets["interpolation"][:16, 17 * step : 17 * step + 16] for step in range(8))
        assert abs(first - last).max() > 0
    with torch.no_grad():  # without noise all pictures of a class are one
        torch.testing.assert_close(*module.drawn(torch.zeros(2, 5), torch.tensor([1, 1])))


@pytest.mark.parametrize(("target", "drawn"), [(None, [0, 1, 2]), (CLASSES[1], [1])])
def test_it_says_which_characters_it_draws(target: str | None, drawn: list[int]) -> None:
    module = generator(target_class=target)
    assert isinstance(module, PictureGenerator) and list(module.drawn_classes) == drawn


@pytest.mark.parametrize(("asked", "number"), [("b", 1), (1, 1), ("2", 2), ("7", 3)])
def test_a_class_is_meant_by_its_name_before_its_number(asked: str | int, number: int) -> None:
    assert class_number(asked, ["a", "b", "c", "7"]) == number


@pytest.mark.parametrize("asked", ["d", 4, -1, "-1", "", "9" * 5000])
def test_a_class_that_is_none_is_refused(asked: str | int) -> None:
    with pytest.raises(SettingError) as refused:
        class_number(asked, ["a", "b", "c", "7"])
    assert refused.value.key == "target_class"


def test_rows_of_one_character_stay_in_the_split_that_they_have_among_all(world, to_be_drawn: Callable) -> None:
    names = ["Aoi", "Ren", "小夜", "はるか"]
    data, every = (
        to_be_drawn(folder=str(world / "characters"), classes=names, target_class=target) for target in ("小夜", None)
    )
    data.prepare()
    every.prepare()
    expected = every.samples[every.samples["target"] == "小夜"]
    assert data.samples[["id", "split"]].to_numpy().tolist() == expected[["id", "split"]].to_numpy().tolist()
    assert len(data.parent_samples) == len(every.samples)
    assert len(data.leakage_inputs().thumbnails) == len(expected)
    assert data.content == every.content  # the seal knows the same data set
    assert str(world / "characters" / "小夜") in data.metadata()["source"]
    assert data.class_counts("main")[2] == len(data.rows("train")) > 0
    assert not any(name in sentence for sentence in data.warnings() for name in names if name != "小夜")
    few = to_be_drawn(folder=str(world / "characters"), classes=names, target_class=0, batch_size=30)
    with pytest.raises(SettingError) as refused:
        few.prepare()
    assert refused.value.key == "target_class"
