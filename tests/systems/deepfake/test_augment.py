"""Each operation of the augmentation alone, and that a view is a function of its seed."""

from io import BytesIO

import numpy as np
import torch
from PIL import Image
from pytest import fixture, mark, raises

from hallmark.checks import SettingError
from hallmark.systems.deepfake.augment import FrameAugment

OFF = {
    "flip": 0.0, "color": 0.0, "color_range": 0.2, "blur": 0.0, "blur_radius": 0.1, "resize": 0.0,
    "resize_factor": 0.5, "jpeg": 0.0, "jpeg_quality": [60, 100], "cutout": 0.0, "cutout_share": 0.4,
}  # fmt: skip


def augment(**changes) -> FrameAugment:
    return FrameAugment(**{**OFF, **changes})


@fixture(scope="module")
def frame() -> torch.Tensor:
    x, y = np.meshgrid(np.arange(48), np.arange(40))
    waves = [120 + 100 * np.sin(x / 3), 120 + 100 * np.cos(y / 4), 2.0 * x + y]
    return torch.from_numpy(np.stack(waves).astype(np.uint8))


def test_nothing_happens_without_a_probability(frame):
    assert torch.equal(augment()(frame, 3), frame)


def test_a_flip_is_a_mirror(frame):
    assert torch.equal(augment(flip=1.0)(frame, 3), frame.flip(2))


@mark.parametrize("name", ["color", "blur", "resize", "jpeg", "cutout"])
def test_a_view_is_a_function_of_its_seed(frame, name):
    view = augment(**{name: 1.0})
    first = view(frame, 5)
    assert first.shape == frame.shape and first.dtype == torch.uint8
    assert torch.equal(view(frame, 5), first)
    views = [view(frame, seed) for seed in range(6, 12)]
    assert any(not torch.equal(another, first) for another in views)
    assert any(not torch.equal(another, frame) for another in views)


def test_one_probability_changes_no_other_draw(frame):
    """A frame that is not compressed is cut as it was before compression was switched on."""
    alone, both = augment(cutout=1.0), augment(cutout=1.0, jpeg=0.5)
    equal = [torch.equal(alone(frame, seed), both(frame, seed)) for seed in range(20)]
    assert 0 < sum(equal) < 20


def test_a_compressed_frame_is_a_jpeg_of_a_quality_between_the_bounds(frame):
    view = augment(jpeg=1.0, jpeg_quality=[70, 72])
    image, known = Image.fromarray(frame.numpy().transpose(1, 2, 0)), []
    for quality in (70, 71, 72):
        file = BytesIO()
        image.save(file, "JPEG", quality=quality, subsampling="4:2:0")
        known.append(torch.from_numpy(np.array(Image.open(file)).transpose(2, 0, 1)))
    drawn = {next(i for i, pixels in enumerate(known) if torch.equal(view(frame, seed), pixels)) for seed in range(30)}
    assert drawn == {0, 1, 2}


def test_a_cut_is_one_gray_rectangle_within_the_share(frame):
    for seed in range(30):
        view = augment(cutout=1.0)(frame, seed)
        changed = (view != frame).any(dim=0)
        rows, columns = changed.any(dim=1).nonzero().flatten(), changed.any(dim=0).nonzero().flatten()
        assert rows[-1] - rows[0] < 0.4 * 40 and columns[-1] - columns[0] < 0.4 * 48
        assert (view[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 128).all()


@mark.parametrize(
    ("key", "value"),
    [("flip", 1.5), ("jpeg", -0.1), ("jpeg_quality", [90, 60]), ("jpeg_quality", [90]), ("color_range", 1.0),
     ("blur_radius", 0.0), ("resize_factor", 0.0), ("cutout_share", 1.0)],
)  # fmt: skip
def test_what_is_refused(key, value):
    with raises(SettingError) as refused:
        augment(**{key: value})
    assert refused.value.key == key
