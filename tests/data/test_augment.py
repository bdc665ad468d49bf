import pytest
import torch

from hallmark.checks import SettingError
from hallmark.data.augment import LightAugment


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_seed_names_one_view_of_the_same_kind(pixels: torch.Tensor) -> None:
    augment = LightAugment(crop=0.5, flip=0.5, color=0.3)
    views = [augment(pixels, seed) for seed in range(20)]
    for seed, view in enumerate(views):
        assert view.shape == pixels.shape and view.dtype == torch.uint8
        assert torch.equal(view, augment(pixels, seed))
    assert len({view.numpy().tobytes() for view in views}) == 20


def test_the_global_generator_is_untouched_and_irrelevant(pixels: torch.Tensor) -> None:
    augment = LightAugment(crop=0.5, flip=0.5, color=0.3)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = augment(pixels, 9)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(augment(pixels, 9), first)


def test_each_part_can_be_turned_off(pixels: torch.Tensor) -> None:
    assert torch.equal(LightAugment(crop=1, flip=0, color=0)(pixels, 3), pixels)
    assert torch.equal(LightAugment(crop=1, flip=1, color=0)(pixels, 3), pixels.flip(-1))
    gray = torch.full((3, 24, 24), 100, dtype=torch.uint8)
    assert torch.equal(LightAugment(crop=0.3, flip=0.5, color=0)(gray, 3), gray)
    assert not torch.equal(LightAugment(crop=1, flip=0, color=0.5)(gray, 3), gray)


def test_flips_happen_as_often_as_asked(pixels: torch.Tensor) -> None:
    augment = LightAugment(crop=1, flip=0.25, color=0)
    flipped = sum(torch.equal(augment(pixels, seed), pixels.flip(-1)) for seed in range(400))
    assert 60 < flipped < 140


@pytest.mark.parametrize(
    ("arguments", "key"),
    [((0, 0.5, 0.1), "crop"), ((1.5, 0.5, 0.1), "crop"), ((1, 1.1, 0.1), "flip"), ((1, 0.5, 1.0), "color")],
)
def test_nonsense_names_its_key(arguments: tuple[float, float, float], key: str) -> None:
    with pytest.raises(SettingError) as caught:
        LightAugment(*arguments)
    assert caught.value.key == key


def test_a_rotation_turns_by_at_most_its_angle_and_corners_become_gray(pixels: torch.Tensor) -> None:
    turned = LightAugment(crop=1, flip=0, color=0, rotation=90)
    views = [turned(pixels, seed) for seed in range(20)]
    assert len({view.numpy().tobytes() for view in views}) == 20
    white = torch.full((3, 24, 24), 255, dtype=torch.uint8)
    corners = torch.stack([turned(white, seed)[:, 0, 0] for seed in range(20)])
    assert corners.min() > 100 and (corners < 150).any()
    little = LightAugment(crop=1, flip=0, color=0, rotation=2)
    assert all((little(white, seed) == 255).float().mean() > 0.9 for seed in range(20))
    with pytest.raises(SettingError) as refused:
        LightAugment(crop=1, flip=0, color=0, rotation=181)
    assert refused.value.key == "rotation"
