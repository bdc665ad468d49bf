"""A report as Markdown with its figures beside it, and as one HTML page that needs nothing else."""

import base64
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hallmark.report.content import Block, Chart, Charts, Pictures, Report, SampleCards, Section
from hallmark.report.vector import svg_file, svg_inline
from hallmark.storage.files import atomic_path, write_text
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.secrets import redacted

PAGE, TEXT, FIGURES = "report.html", "report.md", "figures"

# What Markdown would take for its own: not the underscores within a name, nor the brackets of an interval.
_SPECIAL = re.compile(r"([\\`*|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|!(?=\[)|\](?=[(\[:]))")
_OPENING = re.compile(r"^(?:([#+=-])(?=[\s#=-]|$)|(\d+)([.)])(?=\s|$))")


def write(report: Report, folder: Path) -> list[Path]:
    """Write `report.md`, its `figures/`, and `report.html` into `folder`; gives the two pages' paths."""
    drawings = {chart.name: svg_file(chart.figure, chart.name) for chart in charts(report.sections)}
    for name, drawing in drawings.items():
        write_text(folder / FIGURES / f"{name}.svg", drawing)
    for name, picture in pictures(report.sections):
        with atomic_path(folder / FIGURES / name) as temporary:
            temporary.write_bytes(picture)
    write_text(folder / TEXT, markdown(report))
    write_text(folder / PAGE, html(report, drawings))
    return [folder / TEXT, folder / PAGE]


def html(report: Report, drawings: dict[str, str]) -> str:
    """The page; `drawings` are the SVG documents of its charts by name."""
    environment = _environment(autoescape=True)
    environment.filters |= {
        # Written by ElementTree, which escapes.
        "drawing": lambda chart: Markup(svg_inline(drawings[chart.name], chart.name, chart.alt)),
        "jpeg": lambda picture: f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}",
    }
    assert environment.loader is not None
    style = Markup(environment.loader.get_source(environment, "style.css")[0])
    return environment.get_template("report.html").render(report=report, style=style)


def markdown(report: Report) -> str:
    """The Markdown; it refers to its figures in the folder beside it."""
    environment = _environment(autoescape=False)
    environment.filters |= {"md": _md, "code": _code, "picture": picture_name, "line": _one_line}
    lines = environment.get_template("report.md").render(report=report).splitlines()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip() + "\n"


def charts(sections: Sequence[Section]) -> Iterator[Chart]:
    """Every chart of the sections and their parts."""
    for block in _blocks(sections):
        if isinstance(block, Charts):
            yield from block.charts


def pictures(sections: Sequence[Section]) -> Iterator[tuple[str, bytes]]:
    """File name and JPEG of every picture of the sections and their parts."""
    for block in _blocks(sections):
        if isinstance(block, SampleCards):
            yield from ((picture_name(case.picture), case.picture) for case in block.cases if case.picture)
        elif isinstance(block, Pictures):
            yield from ((picture_name(each.picture), each.picture) for each in block.pictures)


def picture_name(picture: bytes) -> str:
    """A name that is the picture's alone; what a sample is called never becomes a path."""
    return f"{digest_bytes(picture)}.jpg"


def _blocks(sections: Sequence[Section]) -> Iterator[Block]:
    for section in sections:
        yield from section.blocks
        yield from _blocks(section.parts)


def _environment(*, autoescape: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("hallmark", "report/templates"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Texts as they may go into a page, before they are escaped.
        finalize=(lambda value: _clean(value) if type(value) is str else value) if autoescape else None,
    )
    environment.tests["of"] = lambda block, kind: type(block).__name__ == kind
    return environment


def _clean(text: str) -> str:
    """No secrets, and no control characters, which neither HTML nor Markdown may hold."""
    return redacted("".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc"))


def _one_line(text: str) -> str:
    return " ".join(_clean(text).split())


def _md(text: str) -> str:
    """`text` as one line of Markdown that shows it as it is, in a paragraph or in a cell of a table."""
    line = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(r"\\\1", line)
    return _OPENING.sub(lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", line)


def _code(text: str) -> str:
    """`text` as a code span, which nothing in it can end."""
    line = _one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}"
