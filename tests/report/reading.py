"""What a report says: parts of its content, and texts of its pages."""

import html as markup
import re
from html.parser import HTMLParser

from hallmark.report.content import Charts, Facts, Paragraph, Report, Section, Table
from hallmark.report.render import html
from hallmark.report.vector import svg_file


def sections(report: Report) -> dict[str, Section]:
    """All sections by title, parts included."""
    by_title = {}
    for section in report.sections:
        by_title |= {section.title: section} | {f"{section.title}/{part.title}": part for part in section.parts}
    return by_title


def table(section: Section, index: int = 0) -> Table:
    return [block for block in section.blocks if isinstance(block, Table)][index]


def facts(section: Section) -> dict[str, str]:
    return {name: value for block in section.blocks if isinstance(block, Facts) for name, value in block.pairs}


def paragraphs(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Paragraph))


def page(report: Report) -> str:
    charts = [c for s in sections(report).values() for b in s.blocks if isinstance(b, Charts) for c in b.charts]
    return html(report, {chart.name: svg_file(chart.figure, chart.name) for chart in charts})


class Reader(HTMLParser):
    """The texts that a page shows, its elements and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(" ".join(data.split()))


def unescaped(text: str) -> str:
    """Markdown's escapes undone, for tables and paragraphs."""
    return markup.unescape(re.sub(r"\\([\\`*_\[\]|~$#+=.)-])", r"\1", text))
