import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageFilter

from hallmark.checks import SettingError
from hallmark.data.masks import Proposals, encode
from hallmark.systems.refseg.ranker.views import FILL, Regions, View, geometry

KINDS = ["crop", "black", "mask", "blur", "outline", "global_local"]
IMAGE = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)
FILL_CHW = np.array(FILL)[:, None, None]


def proposals(*masks: np.ndarray) -> Proposals:
    return Proposals.of(encode(np.stack(masks)), np.ones(len(masks)), masks[0].shape)


def rectangle(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (10, 14)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def shape_in(x0: int, y0: int) -> np.ndarray:
    """A 4×4 ring without one corner."""
    mask = rectangle(x0, y0, x0 + 4, y0 + 4)
    mask[y0 + 1 : y0 + 3, x0 + 1 : x0 + 3] = mask[y0, x0] = False
    return mask


def chw(pixels: np.ndarray) -> np.ndarray:
    return pixels.transpose(2, 0, 1)


def shown(kind: str, mask: np.ndarray, image: np.ndarray = IMAGE, **settings) -> np.ndarray:
    regions = View(**{"kind": kind, "padding": 0, "size": 4, **settings}).render(image, proposals(mask))
    assert regions.pixels.dtype == np.uint8
    return regions.pixels[0]


def test_a_crop_of_the_pictures_own_size_is_its_pixels():
    assert np.array_equal(shown("crop", shape_in(3, 5)), chw(IMAGE[5:9, 3:7]))


@pytest.mark.parametrize(("kind", "colour"), [("black", (0, 0, 0)), ("mask", FILL)])
def test_what_is_outside_of_the_mask_has_one_colour(kind, colour):
    mask = shape_in(3, 5)
    expected = np.where(mask[..., None], IMAGE, np.array(colour, np.uint8))[5:9, 3:7]
    assert np.array_equal(shown(kind, mask), chw(expected))


def test_blur_leaves_the_region_sharp():
    mask = shape_in(3, 5)
    blurred = np.asarray(Image.fromarray(IMAGE).filter(ImageFilter.GaussianBlur(0.1 * 14)))
    expected = np.where(mask[..., None], IMAGE, blurred)[5:9, 3:7]
    assert np.array_equal(shown("blur", mask, blur=0.1), chw(expected))
    assert not np.array_equal(expected, IMAGE[5:9, 3:7])


def test_the_outline_goes_around_the_mask():
    mask = rectangle(4, 3, 6, 5)
    pixels = shown("outline", mask, padding=1.0, size=6, line=0.1)
    expected = IMAGE[1:7, 2:8].copy()
    ring = rectangle(3, 2, 7, 6) & ~mask
    expected[ring[1:7, 2:8]] = (255, 0, 0)
    assert np.array_equal(pixels, chw(expected)) and ring.sum() == 12
    thick = shown("outline", mask, padding=1.0, size=6, line=0.34)
    assert np.array_equal((thick == np.array([255, 0, 0])[:, None, None]).all(0), ~mask[1:7, 2:8])


def test_a_pixel_in_a_large_picture_has_an_outline():
    mask = rectangle(300, 100, 301, 101, (480, 640))
    pixels = shown("outline", mask, np.zeros((480, 640, 3), np.uint8), padding=None, size=64)
    assert (pixels[0] == 255).any()


def test_global_local_shows_the_masked_crop_and_the_whole_image():
    mask, settings = shape_in(3, 5), {"size": 14, "padding": 0.2, "alpha": True, "blur": 0.1}
    both = View(kind="global_local", **settings).render(IMAGE, proposals(mask))
    local = View(kind="mask", **settings).render(IMAGE, proposals(mask))
    full = View(kind="blur", **settings | {"padding": None}).render(IMAGE, proposals(mask))
    assert np.array_equal(both.pixels, local.pixels) and np.array_equal(both.context, full.pixels)
    assert local.context is None and full.context is None
    # A square of 14 pixels around an image of 10×14: two rows beyond it above and below.
    assert np.array_equal(full.pixels[0, :3, 7:11, 3:7][:, mask[5:9, 3:7]], chw(IMAGE[5:9, 3:7])[:, mask[5:9, 3:7]])
    assert np.array_equal(full.pixels[0, :3, :2], np.broadcast_to(FILL_CHW, (3, 2, 14)))
    assert np.array_equal(full.pixels[0, 3, 2:12], mask * 255) and not full.pixels[0, 3, 12:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_as_a_fourth_channel(kind):
    mask = shape_in(3, 5)
    pixels = shown(kind, mask, alpha=True)
    assert np.array_equal(pixels[3], mask[5:9, 3:7] * 255)
    assert np.array_equal(pixels[:3], shown(kind, mask))


@pytest.mark.parametrize(
    ("box", "padding", "window"),
    [
        ((4, 3, 8, 5), 0, (4, 2, 4)),  # flat: a square around its middle
        ((4, 3, 6, 7), 0, (3, 3, 4)),
        ((4, 3, 7, 6), 0, (4, 3, 3)),
        ((4, 3, 8, 7), 0.25, (3, 2, 6)),
        ((4, 3, 7, 5), 0, (4, 3, 3)),  # half a pixel cannot be shown
        ((5, 4, 6, 5), 1.0, (4, 3, 3)),
    ],
)
def test_windows_are_squares_around_the_box(box, padding, window):
    left, top, side = window
    pixels = shown("crop", rectangle(*box), padding=padding, size=side)
    assert np.array_equal(pixels, chw(IMAGE[top : top + side, left : left + side]))


@pytest.mark.parametrize(("kind", "colour"), [("crop", FILL), ("black", (0, 0, 0)), ("blur", FILL)])
def test_what_reaches_beyond_the_image_has_a_colour(kind, colour):
    pixels = shown(kind, rectangle(0, 0, 2, 2), padding=0.5)
    assert np.array_equal(pixels[:, 1:3, 1:3], chw(IMAGE[:2, :2]))
    assert (pixels[:, 0] == np.array(colour)[:, None]).all() and (pixels[:, :, 0] == np.array(colour)[:, None]).all()


def test_pictures_are_resized_with_their_masks():
    image = np.full((20, 20, 3), 40, np.uint8)
    image[5:15, 5:15] = 200
    mask = rectangle(5, 5, 15, 15, (20, 20))
    pixels = shown("black", mask, image, alpha=True, size=5)
    assert (pixels[:3] == 200).all() and (pixels[3] == 255).all()
    full = shown("black", mask, image, padding=None, size=4, alpha=True)
    assert full[3, 1:3, 1:3].min() > 150 and full[3, 0].max() < 100
    assert full[0, 1:3, 1:3].min() > 100 and full[0, 0].max() < 40


@pytest.mark.parametrize("kind", KINDS)
def test_regions_without_anything_to_show(kind):
    empty, pixel = np.zeros((10, 14), bool), rectangle(13, 9, 14, 10)
    regions = View(kind=kind, size=3, padding=0, alpha=True).render(IMAGE, proposals(empty, pixel))
    colour = (0, 0, 0) if kind == "black" else FILL
    assert np.array_equal(regions.pixels[0], np.broadcast_to(np.array([*colour, 0])[:, None, None], (4, 3, 3)))
    assert np.array_equal(regions.pixels[1], np.broadcast_to(np.array([*IMAGE[9, 13], 255])[:, None, None], (4, 3, 3)))
    assert np.allclose(regions.geometry, [[0, 0, 0, 0, 0], [13 / 14, 0.9, 1, 1, 1 / 140]])


def test_boxes_are_cut_to_the_image():
    mask = rectangle(2, 3, 6, 7)
    boxes = np.array([[-3.0, -4, 4, 4], [1e9, 1e9, 2e9, 2e9], [2, 3, 2, 7], [6, 7, 2, 3], [np.nan, 0, 5, 5]])
    some = Proposals(encode(np.stack([mask] * 5)), boxes, np.ones(5), (10, 14))
    regions = View(kind="crop", size=4, padding=0).render(IMAGE, some)
    assert np.array_equal(regions.pixels[0], chw(IMAGE[:4, :4]))
    assert (regions.pixels[1:] == FILL_CHW).all()
    assert np.allclose(regions.geometry[0], [0, 0, 4 / 14, 0.4, 16 / 140])


@pytest.mark.parametrize("kind", KINDS)
def test_no_proposals(kind):
    none = View(kind=kind, size=4).render(IMAGE, Proposals.of([], [], (10, 14)))
    assert none.pixels.shape == (0, 3, 4, 4) and none.geometry.shape == (0, 5) and len(none) == 0


@given(
    masks=hnp.arrays(bool, st.tuples(st.integers(1, 5), st.just(9), st.just(7))),
    kind=st.sampled_from(KINDS),
    alpha=st.booleans(),
    padding=st.sampled_from([0, 0.1, 2.0, None]),
    data=st.data(),
)
def test_each_region_is_shown_alike_in_any_company(masks, kind, alpha, padding, data):
    image = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    view, copy = View(kind=kind, size=5, alpha=alpha, padding=padding), image.copy()
    rendered = view.render(image, proposals(*masks))
    order = data.draw(st.permutations(range(len(masks))))
    indices = data.draw(st.lists(st.sampled_from(order), min_size=1, unique=True))
    some = view.render(image, proposals(*masks[indices]))
    assert np.array_equal(some.pixels, rendered.pixels[indices]) and np.array_equal(
        some.geometry, rendered.geometry[indices]
    )
    if rendered.context is not None:
        assert np.array_equal(some.context, rendered.context[indices])
    assert np.array_equal(image, copy)


@given(mask=hnp.arrays(bool, (9, 7)).filter(np.any), padding=st.sampled_from([0, 0.1, 0.7, 3.0, None]))
def test_the_whole_region_is_in_its_window(mask, padding):
    """At the scale of the image, with a picture as large as the window, no pixel of the mask is lost."""
    x0, y0, x1, y1 = proposals(mask).boxes[0]
    longer = max(x1 - x0, y1 - y0)
    side = 9 if padding is None else int(np.ceil(longer * (1 + 2 * padding) - 1e-9))
    image = np.broadcast_to(mask[..., None] * np.uint8(255), (9, 7, 3))
    pixels = View(kind="mask", size=side, alpha=True, padding=padding).render(image, proposals(mask)).pixels[0]
    assert (pixels[3] == 255).sum() == mask.sum() == (pixels[:3] == 255).all(0).sum()


def test_joined_images_keep_apart():
    view = View(kind="global_local", size=4)
    parts = [
        view.render(IMAGE, proposals(shape_in(3, 5), shape_in(1, 1))),
        view.render(IMAGE, Proposals.of([], [], (10, 14))),
        view.render(IMAGE, proposals(shape_in(8, 2))),
    ]
    merged = Regions.join(parts)
    assert merged.image.tolist() == [0, 0, 2] and merged.image.dtype == np.int64 and len(merged) == 3
    last = merged.part(2, 3)
    for name in ("pixels", "geometry", "context"):
        assert np.array_equal(getattr(last, name), getattr(parts[2], name))
        assert np.array_equal(getattr(merged.part(0, 2), name), getattr(parts[0], name))
    crop = View(kind="crop", size=4).render(IMAGE, proposals(shape_in(3, 5)))
    assert Regions.join([crop, crop]).context is None and crop.part(0, 1).context is None


def test_geometry_in_shares_of_the_image():
    values = geometry(proposals(rectangle(7, 0, 14, 5), shape_in(0, 0)))
    assert values.dtype == np.float32
    assert np.allclose(values, [[0.5, 0, 1, 0.5, 0.25], [0, 0, 4 / 14, 0.4, 11 / 140]])


def test_settings_are_those_that_change_the_pictures():
    crop = View(kind="crop", size=4)
    assert crop.settings() == View(kind="crop", size=4, blur=0.3, line=0.2, weight=0.1).settings()
    for changed in ({"size": 5}, {"padding": 0.2}, {"padding": None}, {"alpha": True}, {"kind": "black"}):
        assert View(**{"kind": "crop", "size": 4, **changed}).settings() != crop.settings()
    for kind, changed in (("blur", {"blur": 0.3}), ("outline", {"line": 0.2}), ("global_local", {"weight": 0.1})):
        assert View(kind=kind, size=4).settings() != View(kind=kind, size=4, **changed).settings()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "circle"), ("size", 0), ("size", 5000), ("padding", -0.1), ("padding", 11), ("padding", float("nan")),
        ("blur", 0), ("blur", 1.5), ("line", 0), ("line", 0.6), ("weight", -0.1), ("weight", 1.1),
    ],
)  # fmt: skip
def test_nonsense_names_its_key(key, value):
    with pytest.raises(SettingError) as caught:
        View(**{"kind": "crop", "size": 4, key: value})
    assert caught.value.key == key
