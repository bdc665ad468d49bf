"""What every command prints: sentences and tables, without the secrets of the environment."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from hallmark.runs.record import Record
from hallmark.storage.secrets import redacted
from hallmark.wording import failures_by_kind, plural

Block = str | Table
"""A sentence, or a table of texts with a title and a caption."""


def echo(text: str) -> None:
    """Print `text`, with the secrets of the environment taken out."""
    Console().print(redacted(text), highlight=False, markup=False, soft_wrap=True)


def print_block(block: Block) -> None:
    """Print a sentence or a table."""
    echo(block) if isinstance(block, str) else Console().print(block)


def as_plain(block: Block) -> Any:
    """`block` in plain containers, from which `from_plain` makes it again."""
    if isinstance(block, str):
        return block
    columns = [[column.header, *column.cells] for column in block.columns]
    return {"title": block.title, "caption": block.caption, "columns": columns}


def from_plain(plain: Any) -> Block:
    """What `as_plain` was given."""
    if isinstance(plain, str):
        return plain
    heads, *rows = zip(*plain["columns"], strict=True)
    table = Table(*heads, title=plain["title"], caption=plain["caption"])
    for row in rows:
        table.add_row(*row)
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
