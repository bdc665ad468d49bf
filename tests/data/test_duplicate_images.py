from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from hallmark.data.duplicate_images import Selection, near_duplicates
from hallmark.data.groups import connected_groups

Picture = Callable[..., Image.Image]


def cropped(image: Image.Image, share: float) -> Image.Image:
    x, y = round(share * image.width), round(share * image.height)
    return image.crop((x, y, image.width - x, image.height - y))


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "much brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "cropped": lambda image: cropped(image, 0.02),
    "gray": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "mirrored": ImageOps.mirror,
    "mirrored and gray": lambda image: ImageOps.mirror(ImageOps.grayscale(image).convert("RGB")),
}


def thumbnails(images: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(image.resize((32, 32), Image.Resampling.BOX)) for image in images])


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("alteration", ALTERED)
def test_every_altered_copy_is_found_and_nothing_else(picture: Picture, alteration: str) -> None:
    originals = [picture(seed) for seed in range(30)]
    both = thumbnails([*originals, *map(ALTERED[alteration], originals)])
    assert near_duplicates(both).tolist() == [[row, row + 30] for row in range(30)]


def test_pictures_that_differ_in_color_alone_are_not_alike(picture: Picture) -> None:
    red, green, blue = picture(0).split()
    assert near_duplicates(thumbnails([picture(0), Image.merge("RGB", (blue, green, red))])).tolist() == []


def test_a_large_search_finds_what_a_small_one_finds() -> None:
    many = noise(4500)
    assert near_duplicates(many).tolist() == []
    many[[3, 4400]], many[4401] = many[0], many[7, :, ::-1]
    assert near_duplicates(many).tolist() == [[0, 3], [0, 4400], [3, 4400], [7, 4401]]


def test_a_crowd_of_equal_pictures_is_linked_without_listing_all_pairs(picture: Picture) -> None:
    crowd = np.repeat(thumbnails([picture(0)]), 500, axis=0)
    white = np.full((500, 32, 32, 3), 255, np.uint8)
    pairs = near_duplicates(np.concatenate([crowd, white, thumbnails([picture(0).convert("L").convert("RGB")])]))
    groups = connected_groups(1001, [pairs])
    assert len(set(groups[:500])) == len(set(groups[500:1000])) == 1
    assert groups[1000] == groups[0] != groups[500]
    assert len(pairs) == 499 + 499 + 1


def test_a_crowd_of_nearly_equal_pictures_is_linked() -> None:
    rng = np.random.default_rng(0)
    crowd = np.clip(noise(1).astype(int) + rng.integers(-9, 10, (700, 32, 32, 3)), 0, 255).astype(np.uint8)
    pairs = near_duplicates(crowd)
    assert len(set(connected_groups(700, [pairs]))) == 1


def test_a_selection_reads_the_rows_it_is_asked_for(picture: Picture) -> None:
    originals = thumbnails([picture(seed) for seed in range(6)])
    selection = Selection(np.concatenate([originals, originals]), np.array([11, 2, 5]))
    assert len(selection) == 3
    assert near_duplicates(selection).tolist() == [[0, 2]]
