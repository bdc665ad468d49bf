"""Figures as SVG: a file of its own, and a part of a page that follows the page's colors."""

import io
import re
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from hallmark.analysis.plots.style import BAND, INK, MUTED, PALETTE

_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
_GRID = "#e4e4e4"
_NAMES = {
    "#ffffff": "card",
    "white": "card",
    INK.lower(): "ink",
    MUTED.lower(): "muted",
    _GRID: "line",
    BAND.lower(): "line",
    **{color.lower(): f"series-{index}" for index, color in enumerate(PALETTE, 1)},
}
_THEMED = {color: f"var(--{name}, {color})" for color, name in _NAMES.items()}
_COLOR = re.compile(r"(?<![\w&-])(#[0-9a-fA-F]{6}\b|white\b)")
_FONT = re.compile(r"(font(?:-family)?:[^;]*?)'DejaVu Sans'")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def svg_file(figure: Figure, name: str) -> str:
    """The figure as an SVG document on white; equal figures and names give equal documents."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        # The whole figure: a tight box would cost a second drawing, and constrained layout has left no margin.
        page = Bbox.from_bounds(0, 0, *figure.get_size_inches())
        figure.savefig(buffer, format="svg", bbox_inches=page, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in root.iter():
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    for element in root.iter():
        if "style" in element.attrib:
            element.set("style", _FONT.sub(r"\1'DejaVu Sans', Verdana, sans-serif", element.attrib["style"]))
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return ElementTree.tostring(root, encoding="unicode")


def svg_inline(document: str, name: str, alt: str) -> str:
    """A document of `svg_file` as an element of a page: no address in it, ids of its own, the page's colors."""
    root = ElementTree.fromstring(document)
    used: set[str] = set()
    for element in root.iter():
        used.update(match for value in element.attrib.values() for match in _REFERENCE.findall(value))
        links = [element.attrib[key] for key in (_LINK, "href") if key in element.attrib]
        used.update(link[1:] for link in links if link.startswith("#"))
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        _rename(element, used, name)
        for key in ("style", "fill", "stroke"):
            if key in element.attrib:
                element.set(key, _COLOR.sub(lambda match: _THEMED.get(match[1].lower(), match[1]), element.attrib[key]))
    width = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height")
    root.attrib |= {"role": "img", "aria-label": alt, "class": "chart"}
    root.set("style", f"{root.attrib['style']}; --width: {width / 12:.2f}rem")
    return ElementTree.tostring(root, encoding="unicode")


def _rename(element: ElementTree.Element, used: set[str], name: str) -> None:
    for key, value in list(element.attrib.items()):
        if key == "id":
            del element.attrib["id"]
            if value in used:
                element.set("id", f"{name}-{value}")
        elif key in (_LINK, "href"):
            del element.attrib[key]
            element.set("href", f"#{name}-{value[1:]}" if value.startswith("#") else value)  # or an image's data
        else:
            element.set(key, _REFERENCE.sub(rf"url(#{name}-\1)", value))
