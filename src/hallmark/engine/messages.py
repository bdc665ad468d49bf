"""What every command prints: sentences and tables, without the secrets of the environment."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hallmark.runs.record import Record
from hallmark.storage.secrets import redacted
from hallmark.storage.streams import wide_console
from hallmark.wording import failures_by_kind, plural

Block = str | Table
"""A sentence, or a table of texts with a title and a caption."""


_records: list[list[Block]] = []


@contextmanager
def printed_blocks() -> Iterator[list[Block]]:
    """The sentences and tables that are printed in the block, in their order."""
    blocks: list[Block] = []
    _records.append(blocks)
    try:
        yield blocks
    finally:
        _records.pop()


def echo(text: str) -> None:
    """Print `text`, with the secrets of the environment taken out."""
    print_block(text)


def print_block(block: Block) -> None:
    """Print a sentence as `echo` does, or a table."""
    if isinstance(block, str):
        block = redacted(block)
        Console().print(block, highlight=False, markup=False, soft_wrap=True)
    else:
        wide_console().print(block)
    for blocks in _records:
        blocks.append(block)


def as_plain(block: Block) -> Any:
    """`block` in plain containers, from which `from_plain` makes it again."""
    if isinstance(block, str):
        return block
    columns = [[*map(_markup, [column.header, *column.cells])] for column in block.columns]
    return {
        "title": block.title, "caption": block.caption, "columns": columns, "simple": block.box is box.SIMPLE_HEAD,
        "sections": [position for position, row in enumerate(block.rows) if row.end_section],
        "justify": [column.justify for column in block.columns],
    }  # fmt: skip


def _markup(cell: Any) -> str:
    return escape(cell.plain) if isinstance(cell, Text) else cell


def from_plain(plain: Any) -> Block:
    """What `as_plain` was given."""
    if isinstance(plain, str):
        return plain
    heads, *rows = zip(*plain["columns"], strict=True)
    table = Table(title=plain["title"], caption=plain["caption"])
    if plain["simple"]:
        table.box = box.SIMPLE_HEAD
    for head, justify in zip(heads, plain["justify"], strict=True):
        table.add_column(head, justify=justify)
    for position, row in enumerate(rows):
        table.add_row(*row, end_section=position in plain["sections"])
    return table


def print_warnings(record: Record) -> None:
    """Print what everybody must know who uses the answers of a run."""
    for sentence in record.warnings:
        echo(f"warning: {sentence}")


def print_failed_calls(phase: str, calls: Mapping[str, Any]) -> None:
    """Print how many calls of an outside service failed in a phase of a run, and how; nothing where none did."""
    if calls["fallbacks"]:
        failed = sum(calls["fallbacks"].values())
        echo(f"{phase}: {failed} of {plural(calls['requests'], 'call')} without an answer ({failures_by_kind(calls)})")
