"""How a proposed region is shown to an encoder: a square picture of each, and where in the image it lies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.ndimage import maximum_filter

from hallmark.checks import require
from hallmark.data.masks import Proposals, areas, decode

Color = tuple[int, int, int]
Kind = Literal["crop", "black", "mask", "blur", "outline", "global_local"]

FILL: Color = (123, 117, 104)
"""CLIP's mean colour, which its normalization turns into 0."""

_RED: Color = (255, 0, 0)
_BLACK: Color = (0, 0, 0)

Window = tuple[int, int, int]
"""x and y of the upper left corner and the side of a square, in pixels; it may reach beyond the image."""


@dataclass(frozen=True)
class Regions:
    """Regions of one or several images, ready for an encoder.

    Attributes:
        pixels: uint8 [N, C, S, S]; C is 3 (RGB), or 4 with the mask as the last channel, 0 … 255.
        geometry: float32 [N, 5]: x0, y0, x1, y1 of the box as shares of the image's sides, and the mask's share of
            the image's area.
        image: int64 [N], which image of the batch a region belongs to.
        context: the second picture of each region, like `pixels`; None for views that have one.
    """

    pixels: NDArray
    geometry: NDArray
    image: NDArray
    context: NDArray | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def part(self, start: int, stop: int) -> "Regions":
        """Regions `start` to before `stop`."""
        rows = slice(start, stop)
        context = None if self.context is None else self.context[rows]
        return Regions(self.pixels[rows], self.geometry[rows], self.image[rows], context)

    @classmethod
    def join(cls, images: Sequence["Regions"]) -> "Regions":
        """One batch of the regions of several images, each given by itself; `image` counts them."""
        contexts = [regions.context for regions in images if regions.context is not None]
        return cls(
            np.concatenate([regions.pixels for regions in images]),
            np.concatenate([regions.geometry for regions in images]),
            np.repeat(np.arange(len(images)), [len(regions) for regions in images]),
            np.concatenate(contexts) if contexts else None,
        )


@dataclass(frozen=True, kw_only=True)
class View:
    """A way to show regions.

    All pictures are squares around the region's box, resized to `size` (bicubic, as for CLIP); what reaches beyond the
    image has the colour `FILL` (black in the kind `black`). The mask is resized with the image, so its edge is soft.
    A region whose box has no area in the image shows nothing but the colour.

    Kinds:
        crop: all that is in the square (ReCLIP, Subramanian et al. 2022).
        black: black outside of the mask.
        mask: the colour `FILL` outside of the mask: the local picture of Global-Local (Yu et al. 2023).
        blur: the image outside of the mask blurred (ReCLIP; with `padding` null the reverse blur mask of
            Fine-Grained Visual Prompting, Yang et al. 2023).
        outline: a red line around the mask (with `padding` null as in "What does CLIP know about a red circle?",
            Shtedritski et al. 2023, which draws an ellipse).
        global_local: two pictures, `mask` and the whole image blurred outside of the mask, whose embeddings are
            mixed. Yu et al. hide the rest of the image from the attention of CLIP's last layers instead, which
            only works inside of one network.

    Args:
        size: S, side of the pictures in pixels.
        padding: added on each side of the box, as a share of its longer side; None shows the whole image.
        alpha: append the mask as a fourth channel.
        blur: standard deviation as a share of the image's longer side. ReCLIP: 100 pixels of about 640.
        line: thickness of the outline as a share of `size`, at least a pixel.
        weight: of the whole image in `global_local`, from 0 to 1; Yu et al. 0.85 and 0.95.

    Raises:
        SettingError: a value out of range.
    """

    kind: Kind
    size: int
    padding: float | None = 0.1
    alpha: bool = False
    blur: float = 0.15
    line: float = 0.01
    weight: float = 0.5

    def __post_init__(self) -> None:
        require(self.kind in get_args(Kind), "kind", self.kind, f"one of {', '.join(get_args(Kind))}")
        require(1 <= self.size <= 4096, "size", self.size, "a side in pixels from 1 to 4096")
        valid = self.padding is None or 0 <= self.padding <= 10
        require(valid, "padding", self.padding, "a share of the box from 0 to 10, or null for the whole image")
        require(0 < self.blur <= 1, "blur", self.blur, "a share of the image above 0, at most 1")
        require(0 < self.line <= 0.5, "line", self.line, "a share of the picture above 0, at most 0.5")
        require(0 <= self.weight <= 1, "weight", self.weight, "from 0 to 1")

    def settings(self) -> dict[str, Any]:
        """What the pictures, or the mixture of their embeddings, depend on."""
        used = {"blur": ["blur"], "outline": ["line"], "global_local": ["blur", "weight"]}.get(self.kind, [])
        return {name: getattr(self, name) for name in ("kind", "size", "padding", "alpha", *used)}

    @property
    def channels(self) -> int:
        """C of the pictures."""
        return 4 if self.alpha else 3

    def render(self, image: NDArray, proposals: Proposals) -> Regions:
        """All proposals of one image, uint8 [H, W, 3]."""
        size = proposals.size
        assert image.dtype == np.uint8 and image.shape == (*size, 3), f"{image.dtype} {image.shape} for {size}"
        painter = _Painter(self, np.ascontiguousarray(image))
        boxes = _clipped(proposals)
        pixels = np.empty((len(proposals), self.channels, self.size, self.size), np.uint8)
        context = np.empty_like(pixels) if self.kind == "global_local" else None
        for position, (rle, box) in enumerate(zip(proposals.rles, boxes, strict=True)):
            mask = decode([rle], size)[0] if self.alpha or self.kind != "crop" else None
            pixels[position] = painter.paint(self.kind, mask, _window(box, self.padding, size))
            if context is not None:
                context[position] = painter.paint("blur", mask, _window(box, None, size))
        return Regions(pixels, geometry(proposals), np.zeros(len(boxes), np.int64), context)


class _Painter:
    """Pictures of the regions of one image. Regions with the same window share what does not depend on the mask."""

    def __init__(self, view: View, image: NDArray) -> None:
        self.view, self.image = view, image
        self._shown: dict[tuple[Window, Color, bool], Image.Image] = {}

    def paint(self, kind: Kind, mask: NDArray | None, window: Window | None) -> NDArray:
        """[C, S, S] of a region with the mask [H, W]; None where the view needs no mask."""
        size = self.view.size
        fill = _BLACK if kind == "black" else FILL
        if window is None:
            return np.array([*fill, 0], np.uint8)[: self.view.channels, None, None]
        picture = self.shown(window, fill, False)
        if mask is None:
            return np.asarray(picture).transpose(2, 0, 1)
        alpha = self._resized(_cut(mask, window, False).astype(np.uint8) * 255, Image.Resampling.BILINEAR)
        if kind == "outline":
            # Any trace of the mask counts as inside, so that a small one in a large window has its line too.
            inside = np.asarray(alpha) > 0
            reach = max(1, round(self.view.line * size))
            around = maximum_filter(inside, 2 * reach + 1, mode="constant") & ~inside
            line = Image.fromarray(around.astype(np.uint8) * 255)
            picture = Image.composite(Image.new("RGB", (size, size), _RED), picture, line)
        elif kind != "crop":
            blurred = self.shown(window, fill, True) if kind == "blur" else Image.new("RGB", (size, size), fill)
            picture = Image.composite(picture, blurred, alpha)
        layers = [np.asarray(picture), np.asarray(alpha)[..., None]]
        return np.concatenate(layers, -1)[..., : self.view.channels].transpose(2, 0, 1)

    def shown(self, window: Window, fill: Color, blurred: bool) -> Image.Image:
        key = window, fill, blurred
        if key not in self._shown:
            pixels = _cut(self.blurred if blurred else self.image, window, fill)
            self._shown[key] = self._resized(pixels, Image.Resampling.BICUBIC)
        return self._shown[key]

    def _resized(self, pixels: NDArray, resample: Image.Resampling) -> Image.Image:
        return Image.fromarray(np.ascontiguousarray(pixels)).resize((self.view.size, self.view.size), resample)

    @cached_property
    def blurred(self) -> NDArray:
        radius = self.view.blur * max(self.image.shape[:2])
        return np.asarray(Image.fromarray(self.image).filter(ImageFilter.GaussianBlur(radius)))


def _clipped(proposals: Proposals) -> NDArray:
    """Boxes float64 [N, 4] within the image; without area where nothing of one lies in it."""
    height, width = proposals.size
    return np.clip(proposals.boxes, 0, (width, height, width, height))


def geometry(proposals: Proposals) -> NDArray:
    """Where regions lie, as `Regions.geometry`: float32 [N, 5]."""
    height, width = proposals.size
    places = _clipped(proposals) / (width, height, width, height)
    shares = areas(proposals.rles)[:, None] / (height * width)
    return np.concatenate([places, shares], 1).astype(np.float32)


def _window(box: NDArray, padding: float | None, size: tuple[int, ...]) -> Window | None:
    """The square that is shown of an image of `size` (H, W); None for a box without area."""
    x0, y0, x1, y1 = box.tolist()
    if not (x1 > x0 and y1 > y0):
        return None
    if padding is None:
        x0, y0, (y1, x1), padding = 0, 0, size, 0
    # A side that is whole but for rounding stays so; a square that has no pixel to centre on lies right and low.
    side = max(1, math.ceil(max(x1 - x0, y1 - y0) * (1 + 2 * padding) - 1e-9))
    left, top = (math.floor((low + high - side + 1) / 2) for low, high in ((x0, x1), (y0, y1)))
    return left, top, side


def _cut(image: NDArray, window: Window, fill: Any) -> NDArray:
    """The pixels [side, side, ...] of a window; `fill` beyond the image."""
    left, top, side = window
    height, width = image.shape[:2]
    y0, y1, x0, x1 = max(top, 0), min(top + side, height), max(left, 0), min(left + side, width)
    if (y1 - y0, x1 - x0) == (side, side):
        return image[y0:y1, x0:x1]
    cut = np.empty((side, side, *image.shape[2:]), image.dtype)
    cut[:] = fill
    cut[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return cut
