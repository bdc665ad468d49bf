"""What a report is made of: plain data, with every text as it is before any escaping."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from matplotlib.figure import Figure


class Tone(StrEnum):
    """How a statement is to be taken."""

    PLAIN = "plain"
    GOOD = "good"
    CAUTION = "caution"
    BAD = "bad"


@dataclass(frozen=True)
class Paragraph:
    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Facts:
    """Names with what they stand for."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        rows: one text a column; numbers are written out already.
        numeric: positions of the columns that hold numbers.
        footer: how many of the last rows sum up the others.
        shades: a share from 0 to 1 a cell that tints it, None for no tint; empty for none at all.
        note: a sentence below the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    footer: int = 0
    shades: Sequence[Sequence[float | None]] = ()
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure; `name` is unique in the report, `alt` says what there is to see."""

    name: str
    figure: Figure
    alt: str


@dataclass(frozen=True)
class Charts:
    """Figures that may stand side by side."""

    charts: Sequence[Chart]


@dataclass(frozen=True)
class SampleCard:
    """A sample and what the model made of it; `picture` is a small JPEG, None where there is none to show."""

    id: str
    target: str
    prediction: str
    confidence: float
    note: str
    text: str | None
    picture: bytes | None


@dataclass(frozen=True)
class SampleCards:
    cases: Sequence[SampleCard]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A small JPEG and what it is of."""

    caption: str
    picture: bytes


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side."""

    pictures: Sequence[Picture]
    note: str = ""


@dataclass(frozen=True)
class Commands:
    lines: Sequence[str]


Block = Paragraph | Facts | Table | Charts | SampleCards | Pictures | Commands


@dataclass(frozen=True)
class Section:
    """A titled part; `parts` are its sections in turn, one level deep."""

    title: str
    blocks: Sequence[Block] = ()
    parts: Sequence["Section"] = ()
    id: str = ""


@dataclass(frozen=True)
class Highlight:
    """One of the few numbers at the top: what it is, its value, what to know of it."""

    name: str
    value: str
    note: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Report:
    """All of a report.

    Attributes:
        summary: sentences, the first of which is the result and how sure it is.
    """

    title: str
    summary: Sequence[str]
    highlights: Sequence[Highlight] = ()
    sections: Sequence[Section] = field(default_factory=list)
