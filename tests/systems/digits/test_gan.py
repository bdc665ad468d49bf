from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from hallmark.checks import SettingError
from hallmark.learning.optim import Optimizer, PartOptimizer
from hallmark.runs.parents import Use
from hallmark.systems.digits.gan import DigitsGan
from hallmark.systems.digits.module import DigitsClassifier

CLASSES = ["a", "b", "c"]


def gan(**changes: Any) -> DigitsGan:
    torch.manual_seed(0)
    recipes = {"generator": PartOptimizer(lr=0.01, ema_decay=0.9), "discriminator": PartOptimizer(lr=0.01)}
    common = {"noise": 5, "width": 2, "class_weight": 0.0, "judged": False, "optimizers": recipes, "seed": 0}
    return DigitsGan(classes=CLASSES, **{**common, **changes}).eval()


def classifier(classes: list[str] = CLASSES) -> DigitsClassifier:
    recipe = Optimizer(lr=0.01, lr_scale=1.0, head_lr=0.01, weight_decay=0.0, schedule="constant", warmup=0.0)
    return DigitsClassifier(classes=classes, width=2, dropout=0.0, optimizer=recipe).requires_grad_(False).eval()


def test_an_image_is_a_function_of_the_weights_the_class_and_the_number() -> None:
    module, target, index = gan(), torch.tensor([0, 1, 0, 1]), torch.tensor([4, 4, 7, 4])
    drawn = module.draw(target, index)
    assert drawn.shape == (4, 1, 8, 8)
    assert drawn.min() >= 0 and drawn.max() <= 1
    assert torch.equal(drawn[1], drawn[3])
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    torch.testing.assert_close(module.draw(target[2:], index[2:]), drawn[2:])


def test_the_moving_average_draws() -> None:
    module, target, index = gan(), torch.tensor([2]), torch.tensor([1])
    before = module.draw(target, index)
    with torch.no_grad():
        for parameter in module.parts["generator"].parameters():
            parameter.zero_()
    assert torch.equal(module.draw(target, index), before)


def test_the_discriminator_looks_at_the_class() -> None:
    image = torch.rand(2, 1, 8, 8)
    discriminator = gan().parts["discriminator"]
    logits = [discriminator(image, torch.full((2,), number)) for number in range(2)]
    assert logits[0].shape == (2,) and not torch.allclose(*logits)


@pytest.mark.parametrize(
    ("settings", "roles"),
    [
        ({"class_weight": 0.0, "judged": False}, {}),
        ({"class_weight": 0.5, "judged": False}, {"classifier": Use.WEIGHTS}),
        ({"class_weight": 0.0, "judged": True}, {"judge": Use.WEIGHTS}),
    ],
)
def test_it_takes_the_parents_that_its_settings_need(settings: Mapping[str, Any], roles: Mapping[str, Use]) -> None:
    assert DigitsGan.parent_roles(settings) == roles


def test_a_judge_gives_the_features_and_reads_what_is_drawn() -> None:
    module, judge = gan(judged=True), classifier()
    module.attach_parents({"judge": judge})
    image = torch.rand(4, 1, 8, 8)
    assert torch.equal(module.features(image), judge.features(image))
    assert torch.equal(gan().features(image), image.flatten(1))
    assert set(module.validation_metrics) == {"val/kernel_distance", "val/frechet_distance", "val/accuracy"}
    assert not any("judge" in name for name in module.state_dict())


def test_a_parent_of_other_classes_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        gan(judged=True).attach_parents({"judge": classifier(["a", "b"])})
    assert caught.value.key == "judge"


def test_the_classifier_pulls_the_generator_towards_the_class(monkeypatch) -> None:
    """The generator's loss with a classifier exceeds the one without by its weighted cross-entropy."""
    losses: dict[float, dict[str, Tensor]] = {}
    batch = {"image": torch.rand(6, 1, 8, 8), "target": torch.tensor([0, 1, 2, 0, 1, 2])}
    for weight in (0.0, 0.5):
        module, losses[weight] = gan(class_weight=weight), {}
        module.attach_parents({"classifier": classifier()} if weight else {})
        monkeypatch.setattr(type(module), "takes_step", lambda *_: True)
        monkeypatch.setattr(module, "randn", lambda size: torch.ones(6, size))
        monkeypatch.setattr(module, "step", lambda part, loss, of=losses[weight]: of.update({part: loss()}))
        module.optimize(batch)
        drawn = module.parts["generator"](torch.ones(6, 5), batch["target"])
    expected = torch.nn.functional.cross_entropy(module.parents["classifier"]({"image": drawn}), batch["target"])
    assert torch.equal(losses[0.0]["discriminator"], losses[0.5]["discriminator"])
    torch.testing.assert_close(losses[0.5]["generator"] - losses[0.0]["generator"], 0.5 * expected)


def test_each_column_of_its_pictures_is_of_a_class() -> None:
    module = gan().eval()
    with torch.no_grad():
        sheet = module.epoch_figures(3)["digits"]
        drawn = module.draw(torch.tensor([0, 1, 2]), torch.arange(3))
    assert sheet.shape == (4 * 9 - 1, 3 * 9 - 1, 3)
    torch.testing.assert_close(torch.tensor(sheet[:8, 9:17, 0]).float(), drawn[1, 0])


@pytest.mark.parametrize(("key", "value"), [("noise", 0), ("width", 0), ("class_weight", -0.1)])
def test_nonsense_names_its_key(key: str, value: float) -> None:
    with pytest.raises(SettingError) as caught:
        gan(**{key: value})
    assert caught.value.key == key
