"""Losses of adversarial models, and perceptual ones."""

import pytest
import torch
from torchvision.models.vgg import cfgs, make_layers

from hallmark.checks import SettingError
from hallmark.learning.adversarial import ADVERSARIAL_LOSSES, ProjectionHead
from hallmark.systems.characters.generator.losses import GuidedLoss, Vgg16Maps, perceptual_loss

SETTINGS = {
    "kind": "hinge", "adversarial": 1.0, "classification": 0.0, "perceptual": 1.0, "match": "picture",
    "network": "vgg16", "vgg16_weights": None,
}  # fmt: skip


def test_hinge_and_non_saturating_loss_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])
    hinge, plain = ADVERSARIAL_LOSSES["hinge"], ADVERSARIAL_LOSSES["non_saturating"]
    assert hinge.discriminator(real, fake) == pytest.approx((0 + 0.5 + 0 + 2) / 2)
    assert hinge.generator(fake) == pytest.approx(1.0)
    p_real, p_fake = real.sigmoid(), fake.sigmoid()
    assert plain.discriminator(real, fake).item() == pytest.approx(-(p_real.log() + (1 - p_fake).log()).mean().item())
    assert plain.generator(fake).item() == pytest.approx(-p_fake.log().mean().item())


def test_a_projection_adds_what_features_and_class_share() -> None:
    head, features = ProjectionHead(3, 4), torch.randn(2, 4)
    with torch.no_grad():
        logits = head(features, torch.tensor([2, 0]))
        for row, number in enumerate((2, 0)):
            expected = features[row] @ (head.logit.weight[0] + head.condition.weight[number]) + head.logit.bias[0]
            assert logits[row].item() == pytest.approx(expected.item(), abs=1e-6)


def test_statistics_leave_the_single_picture_free_and_pictures_do_not() -> None:
    drawn, target = [torch.randn(6, 2, 4, 4), torch.randn(6, 3, 2, 2)], torch.tensor([0, 0, 0, 1, 1, 1])
    rolled = [maps.view(2, 3, *maps.shape[1:]).roll(1, dims=1).view_as(maps) for maps in drawn]  # within their classes
    assert perceptual_loss(drawn, rolled, target, match="statistics").item() == pytest.approx(0, abs=1e-6)
    expected = sum((first - second).abs().mean().item() for first, second in zip(drawn, rolled, strict=True)) / 2
    assert perceptual_loss(drawn, rolled, target, match="picture").item() == pytest.approx(expected)
    shifted = perceptual_loss([maps + 0.5 for maps in drawn], rolled, target, match="statistics")
    assert shifted.item() == pytest.approx(0.5, abs=1e-5)


def test_one_picture_for_each_class_differs_in_the_deviation_from_the_mean_of_the_class() -> None:
    maps, target = torch.randn(6, 2, 4, 4), torch.tensor([0, 0, 0, 1, 1, 1])
    means = maps.view(2, 3, 2, 4, 4).mean(dim=1)[target]
    expected = (maps - means).square().mean(dim=(0, 2, 3)).sqrt().mean().item()
    assert perceptual_loss([means], [maps], target, match="statistics").item() == pytest.approx(expected, abs=1e-3)


def test_maps_of_vgg16_are_those_after_its_rectifiers(tmp_path) -> None:
    torch.manual_seed(0)
    features = make_layers(cfgs["D"])
    weights = {f"features.{name}": tensor for name, tensor in features.state_dict().items()}
    torch.save(weights | {"classifier.6.bias": torch.zeros(1000)}, tmp_path / "vgg16.pth")
    image = torch.rand(2, 3, 32, 32)
    values = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    maps = Vgg16Maps(str(tmp_path / "vgg16.pth"))(image)
    assert [tuple(part.shape[1:]) for part in maps] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    with torch.no_grad():
        for part, end in zip(maps, (4, 9, 16, 23), strict=True):
            torch.testing.assert_close(part, features[:end](values.clone()))
    torch.save({name: weights[name] for name in list(weights)[4:]}, tmp_path / "part.pth")
    (tmp_path / "damaged.pth").write_bytes((tmp_path / "part.pth").read_bytes()[:1000])
    for name in ("part.pth", "damaged.pth", "none.pth", "."):
        with pytest.raises(SettingError) as refused:
            Vgg16Maps(str(tmp_path / name))
        assert refused.value.key == "vgg16_weights" and "VGG16" in refused.value.expected
        assert "profile=sample" not in str(refused.value)


def test_without_weights_of_vgg16_the_classifier_takes_its_place_and_that_is_said(caplog) -> None:
    GuidedLoss(**SETTINGS)
    assert "vgg16_weights" in caplog.text
    caplog.clear()
    GuidedLoss(**SETTINGS | {"network": "classifier"})
    GuidedLoss(**SETTINGS | {"perceptual": 0.0})
    assert not caplog.text


@pytest.mark.parametrize(
    ("key", "value"),
    [("kind", "wasserstein"), ("match", "nearest"), ("network", "resnet"), ("classification", -1.0)],
)
def test_a_loss_that_is_none_is_refused(key: str, value: object) -> None:
    with pytest.raises(SettingError) as refused:
        GuidedLoss(**SETTINGS | {key: value})
    assert refused.value.key == key
