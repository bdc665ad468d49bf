"""Pictures are changed each by its own draws, and gradients come through."""

import pytest
import torch
from torch import Tensor

from hallmark.checks import SettingError
from hallmark.systems.characters.generator.diffaugment import DiffAugment

NOTHING = {"color": 0.0, "translation": 0.0, "cutout": 0.0}


def augmented(images: Tensor, *, seed: int = 0, **settings: float) -> Tensor:
    torch.manual_seed(seed)
    return DiffAugment(**NOTHING | settings)(images)


def test_nothing_changes_nothing() -> None:
    images = torch.randn(3, 3, 8, 8)
    assert torch.equal(augmented(images), images)


def test_a_translation_moves_each_picture_and_brings_zeros_in() -> None:
    images = torch.rand(40, 3, 8, 12) + 1
    moved, shifts = augmented(images, translation=0.25), set()
    for before, after in zip(images, moved, strict=True):
        rows, columns = (after.abs().sum(dim=dims).nonzero().flatten() for dims in ((0, 2), (0, 1)))
        down = int(rows[0]) if rows[0] else int(rows[-1]) - 7
        right = int(columns[0]) if columns[0] else int(columns[-1]) - 11
        expected = torch.zeros_like(before)
        expected[:, max(down, 0) : 8 + min(down, 0), max(right, 0) : 12 + min(right, 0)] = before[
            :, max(-down, 0) : 8 - max(down, 0), max(-right, 0) : 12 - max(right, 0)
        ]
        torch.testing.assert_close(after, expected)
        shifts.add((down, right))
    assert len(shifts) > 10 and {abs(down) for down, _ in shifts} == {0, 1, 2}
    assert max(abs(right) for _, right in shifts) == 3


def test_a_cutout_is_a_square_of_zeros_that_may_leave_the_picture() -> None:
    cut = augmented(torch.ones(60, 3, 8, 8), cutout=0.5) == 0
    assert torch.equal(cut[:, 0], cut[:, 1])
    sizes = cut[:, 0].sum(dim=(1, 2))
    assert sizes.max() == 16 and sizes.min() < 16
    for mask in cut[:, 0]:
        assert mask.sum() == mask.any(dim=0).sum() * mask.any(dim=1).sum()
    assert len({tuple(mask.flatten().tolist()) for mask in cut[:, 0]}) > 10


def test_color_changes_brightness_saturation_and_contrast_of_each_picture(monkeypatch) -> None:
    draws = torch.tensor([[0.5, 1.0], [0.5, 0.0], [0.75, 0.5]]).view(3, 2, 1, 1, 1)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: draws)
    image = torch.tensor([[0.2, 0.6], [0.4, 0.0], [0.0, 0.0]]).view(1, 3, 1, 2).repeat(2, 1, 1, 1)
    first, second = DiffAugment(color=1.0, translation=0.0, cutout=0.0)(image)
    gray, mean = 0.2, 0.2  # of both pixels, and of all
    saturated = gray + (image[0] - gray) * 1.0
    torch.testing.assert_close(first, mean + (saturated - mean) * 1.25)
    torch.testing.assert_close(second, torch.full((3, 1, 2), 0.7))  # half a unit brighter, without color


def test_gradients_come_through_and_draws_are_those_of_the_seed() -> None:
    images = torch.randn(4, 3, 8, 8, requires_grad=True)
    settings = {"color": 1.0, "translation": 0.125, "cutout": 0.25}
    changed = augmented(images, **settings)
    changed.square().sum().backward()
    assert all(gradient.abs().sum() > 0 for gradient in images.grad)
    assert torch.equal(augmented(images, **settings), changed)
    assert not torch.equal(augmented(images, seed=1, **settings), changed)


@pytest.mark.parametrize("key", list(NOTHING))
def test_a_strength_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(SettingError) as refused:
        DiffAugment(**NOTHING | {key: 1.5})
    assert refused.value.key == key
