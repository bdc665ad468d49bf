"""Pages of referring expressions: picture, proposals, answers and truth in a row, words below."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion

from hallmark.analysis.plots.style import INK, MUTED, PALETTE, WIDTH, drawable, house_style, new_figure, wrapped
from hallmark.data.masks import Rle, decode
from hallmark.wording import plural, readable

_SIDE = 420  # pixels of the longer side as drawn
_TINT, _PALE = 0.65, 0.55
_LINE, _GAP = 0.125, 0.1  # inches: of a line of words, and below the words
_WORDS, _QUERY_LINES, _SENTENCE_LINES, _WARNING_LINES, _QUERIES = 112, 2, 3, 4, 4
_DIRECTIONS = frozenset(map(chr, (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
_COLORS = {"one-shot": PALETTE[0], "loop": PALETTE[1], "ground truth": PALETTE[2]}


@dataclass(frozen=True)
class Case:
    """One expression as it is drawn.

    Attributes:
        picture: uint8 [H, W, 3].
        proposals: bool [N, H, W].
        sentence, image, stop: the expression, its file, and why the loop stopped.
        queries: as they were ranked, first to last.
        one_shot, loop, truth: masks; None where there is none.
        iou: of one_shot and loop; nan without a truth.
        warning: what everybody must know of the answer; empty for nothing.
    """

    picture: NDArray
    proposals: NDArray
    sentence: str
    image: str
    queries: Sequence[str]
    stop: str
    one_shot: Rle | None
    loop: Rle | None
    truth: Rle | None
    iou: tuple[float, float]
    warning: str = ""


@house_style()
def case_page(cases: Sequence[Case]) -> Figure:
    """A row of panels a case; the column of the truth is left out where no case has one."""
    with_truth = any(case.truth is not None for case in cases)
    n_columns = 5 if with_truth else 4
    words = [_words(case) for case in cases]
    heights = []
    for case, lines in zip(cases, words, strict=True):
        height, width = case.picture.shape[:2]
        heights += [WIDTH / n_columns * min(1.5, height / width) + 0.2, _LINE * len(lines) + _GAP]
    figure = new_figure(sum(heights))
    figure.set_layout_engine("none")
    grid = GridSpec(
        2 * len(cases), n_columns, figure, left=0, right=1, top=1, bottom=0, wspace=0.03, hspace=0,
        height_ratios=heights,
    )  # fmt: skip
    for row, (case, lines) in enumerate(zip(cases, words, strict=True)):
        _panels([figure.add_subplot(grid[2 * row, column]) for column in range(n_columns)], case)
        caption = figure.add_subplot(grid[2 * row + 1, :])
        _bare(caption)
        caption.set_ylim(-heights[2 * row + 1], 0)
        for number, line in enumerate(lines, 1):
            ink = MUTED if number == len(lines) else INK
            caption.text(0, -_LINE * (number - 0.4), line, fontsize=6.8, va="center", color=ink)
    return figure


def _panels(panels: Sequence[Axes], case: Case) -> None:
    size = case.picture.shape[:2]
    first, last = (f"  IoU {value:.2f}" if not math.isnan(value) else "" for value in case.iou)
    _show(panels[0], case.picture, "picture")
    _show(panels[1], proposals_drawn(case.picture, case.proposals), plural(len(case.proposals), "proposal"))
    named = {"one-shot": (case.one_shot, first), "loop": (case.loop, last), "ground truth": (case.truth, "")}
    for ax, (name, (rle, iou)) in zip(panels[2:], named.items(), strict=False):
        mask = np.zeros(size, bool) if rle is None else decode([rle], size)[0]
        _show(ax, drawn(case.picture, mask[None], [_COLORS[name]]), f"{name}{iou}", _COLORS[name])
        if not mask.any():
            text = "not known" if rle is None and name == "ground truth" else "no object"
            ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=8, color=INK)


def _show(ax: Axes, pixels: NDArray, title: str, color: str = INK) -> None:
    ax.imshow(_fitted(pixels), interpolation="nearest")
    ax.set_anchor("S")
    _bare(ax)
    ax.set_title(title, fontsize=7.5, color=color, pad=2.5, loc="left")


def _bare(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])  # what is off is laid out all the same
    ax.set_axis_off()


def proposals_drawn(picture: NDArray, masks: NDArray) -> NDArray:
    """The picture, pale, under all masks, the small ones on top, in colors by turns."""
    order = np.argsort(-masks.sum(axis=(1, 2)), kind="stable")
    return drawn(picture, masks[order], [PALETTE[number % 7] for number in range(len(masks))])


def drawn(picture: NDArray, masks: NDArray, colors: Sequence[str]) -> NDArray:
    """uint8 [h, w, 3]: the picture in grey and pale, masks tinted and outlined.

    The ground is grey so that a tint is one color whatever the color of the object.

    Args:
        picture: uint8 [H, W, 3].
        masks: bool [N, H, W]; later ones are drawn over earlier ones.
        colors: of each.
    """
    pixels = _fitted(picture).astype(float)
    grey = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    page = _PALE * 255 + (1 - _PALE) * grey
    outline = max(1, round(_SIDE / 140))
    for mask, color in zip(masks, colors, strict=True):
        inside = _fitted(mask)
        ink = 255 * np.array(to_rgb(color))
        page[inside] = _TINT * ink + (1 - _TINT) * grey[inside]
        page[inside & ~binary_erosion(inside, iterations=outline, border_value=0)] = ink
    return page.round().astype(np.uint8)


def _fitted(pixels: NDArray) -> NDArray:
    """A picture or mask with `_SIDE` pixels on its longer side."""
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if pixels.dtype == bool:
        return np.asarray(Image.fromarray(pixels.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)) > 0
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(pixels).resize(size, how))


def _words(case: Case) -> list[str]:
    """Lines below the panels: the expression, then the queries that followed it, and why the loop stopped."""
    lines = wrapped(f"“{_plain(case.sentence)}”", _WORDS, _SENTENCE_LINES)
    later = list(case.queries[1:])
    for number, query in list(enumerate(later, 1))[:_QUERIES]:
        lines += wrapped(f"→ {number}: “{_plain(query)}”", _WORDS, _QUERY_LINES)
    hidden = f", {len(later) - _QUERIES} more queries" if len(later) > _QUERIES else ""
    unchanged = "" if later else "not rewritten, "
    about = f"{unchanged}stopped: {readable(case.stop)}{hidden}; {_plain(case.image)}"
    warning = wrapped(f"Warning: {_plain(case.warning)}", _WORDS, _WARNING_LINES) if case.warning else []
    return [*lines, *warning, *wrapped(about, _WORDS, 1)]


def _plain(text: str) -> str:
    """`text` that is drawn in the order in which it is written, whatever marks of direction it has."""
    return drawable("".join(character for character in text if character not in _DIRECTIONS))
