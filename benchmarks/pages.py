"""Results on pages come from `docs/results/*.json`, which the benchmarks write: python -m benchmarks.pages [--check]

In README.md and docs/**/*.md stand, each replaced by what the stored result holds,

    <!-- result: sentiment_sample.models -->          a table of the result `sentiment_sample`
    <!-- end of result -->
    <!-- result: sentiment_sample.about -->           rows, intervals, command, commit and device of the result
    <!-- end of result -->
    <!-- value: sentiment_sample.models[clip_final].accuracy -->0.931 [0.888, 0.969]<!-- end -->
    <!-- value: grid_store.ratio -->35×<!-- end -->

A page with a table of a result says what the result is about. `--check` writes nothing and fails where a page is not as
its results are, and where a decimal number, a ratio or a ± stands outside code blocks and these regions, unless a line
of `docs/results/exceptions.txt` allows it: `page | words around the number | why it is no result`. Text of notebooks
and the comments above the presets are checked likewise.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from hallmark.storage.markers import line_of, regions

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
EXCEPTIONS = "docs/results/exceptions.txt"
REQUIRED = ("command", "commit", "device", "date", "rows", "intervals", "tables", "values")
ABOUT = "about"
NOT_STORED = f"is no stored result, nor allowed in {EXCEPTIONS}"

_KINDS = ((r"<!-- value: (?P<name>.+?) -->", "<!-- end -->", ""),  # first, as they move no line
          (r"<!-- result: (?P<name>.+?) -->", "<!-- end of result -->", "\n\n"))  # fmt: skip
_REFERENCE = re.compile(r"(?P<result>\w+)\.(?P<key>\w+)(?:\[(?P<row>.+)\]\.(?P<column>[^.]+?)(?:\.(?P<part>\w+))?)?")
_FENCED = re.compile(r"^( *)(```+|~~~+).*?^\1\2`*~*[ \t]*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TARGET = re.compile(r"(?<=\])\([^)\s]*\)|https?://[^\s)>]+")
_NUMBER = re.compile(
    r"(?<![\w.])(?:[\d,]*\.\d+(?:e[+-]?\d+)?(?![\w]*\.\d)|\d[\d,]*(?=×(?!\d)))[ %×]*|± ?\d[\d,.]*", re.IGNORECASE
)


@dataclass(frozen=True)
class Exemption:
    """A number that is no result.

    Attributes:
        page: path from the root, in which `*` stands for anything.
        words: as they stand on the page, with the number among them; `*` for a page that is not checked.
    """

    page: str
    words: str
    line: int


@dataclass
class Pages:
    """The pages below `root`, and the results that their regions show."""

    root: Path = ROOT

    def markdown(self) -> list[Path]:
        return [
            path for path in (self.root / "README.md", *sorted((self.root / "docs").rglob("*.md"))) if path.exists()
        ]

    def filled(self, path: Path) -> str:
        """The text of a page with its regions as the results are.

        Raises:
            ValueError: a marker without its partner, or a reference to what no result holds; it gives the line.
        """
        text = path.read_text(encoding="utf-8")
        tables: set[str] = set()
        about: set[str] = set()
        for opening, closing, margin in _KINDS:
            parts, last = [], 0
            for region in regions(text, opening, closing):
                try:
                    content = self.shown(region.name, path, table=bool(margin))
                except ValueError as error:
                    raise ValueError(f"line {line_of(text, region.start)}: {error}") from error
                parts += [text[last : region.start], margin, content, margin]
                last = region.end
                if margin:
                    name, _, key = region.name.partition(".")
                    (about if key == ABOUT else tables).add(name)
            text = "".join([*parts, text[last:]])
        if tables - about:
            names = ", ".join(f"<!-- result: {name}.{ABOUT} -->" for name in sorted(tables - about))
            raise ValueError(f"line 1: says nothing of rows and command of its tables: needs {names}")
        return text

    def shown(self, reference: str, page: Path, *, table: bool) -> str:
        """What a marker on `page` stands for."""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise ValueError(f"{reference}: expected result.table, result.value or result.table[row].column")
        result = self.result(match["result"])
        if table and match["key"] == ABOUT:
            stored = self.root / "docs" / "results" / f"{match['result']}.json"
            return about_text(result, f"[{stored.name}]({os.path.relpath(stored, page.parent)})")
        if table or match["row"]:
            rows = result["tables"].get(match["key"])
            if rows is None:
                raise ValueError(f"{reference}: {match['result']}.json has no such table: {_listed(result['tables'])}")
            return table_text(rows) if table else _part(_of_row(rows, match["row"], match["column"]), match["part"])
        if match["key"] not in result["values"]:
            raise ValueError(f"{reference}: {match['result']}.json has no such value: {_listed(result['values'])}")
        return cell_text(result["values"][match["key"]])

    def result(self, name: str) -> dict[str, Any]:
        path = self.root / "docs" / "results" / f"{name}.json"
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path.relative_to(self.root)}: cannot be read ({error})") from error
        missing = [key for key in REQUIRED if key not in result]
        if missing:
            raise ValueError(f"{path.name}: not written by a benchmark; it lacks {', '.join(missing)}")
        return dict(result)

    def problems(self) -> Iterator[str]:
        """Sentences on what does not hold, each with file and line."""
        exemptions = self.exemptions()
        used: set[Exemption] = set()
        unread: list[str] = []
        for path in self.markdown():
            name = str(path.relative_to(self.root))
            try:
                if self.filled(path) != path.read_text(encoding="utf-8"):
                    yield f"{name}:{self._first_difference(path)}: not as the stored result is; `make pages` writes it"
            except ValueError as error:
                yield f"{name}:{str(error).removeprefix('line ')}"
                unread.append(name)
                continue
            yield from _unstored(name, path.read_text(encoding="utf-8"), exemptions, used)
        for path in sorted((self.root / "notebooks").glob("*.ipynb")):
            name = str(path.relative_to(self.root))
            for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], start=1):
                if cell["cell_type"] == "markdown":
                    yield from _unstored(name, "".join(cell["source"]), exemptions, used, f"cell {number}, line ")
        for path in sorted((self.root / "conf" / "experiment").glob("*.yaml")):
            lines = path.read_text(encoding="utf-8").splitlines()
            comments = [line if line.startswith("# ") and "python " not in line else "" for line in lines]
            yield from _unstored(str(path.relative_to(self.root)), "\n".join(comments), exemptions, used)
        for exemption in exemptions:
            if exemption not in used and not any(fnmatch(name, exemption.page) for name in unread):
                yield f"{EXCEPTIONS}:{exemption.line}: {exemption.page} has no number in the words {exemption.words!r}"

    def exemptions(self) -> list[Exemption]:
        path = self.root / EXCEPTIONS
        exemptions = []
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], start=1):
            if not text.strip() or text.startswith("#"):
                continue
            fields = [field.strip() for field in text.split(" | ")]
            if len(fields) != 3 or not all(fields):
                raise SystemExit(f"{EXCEPTIONS}:{line}: expected `page | words around the number | reason`")
            exemptions.append(Exemption(fields[0], fields[1], line))
        return exemptions

    def _first_difference(self, path: Path) -> int:
        pairs = zip(path.read_text(encoding="utf-8").split("\n"), self.filled(path).split("\n"), strict=False)
        return next((line for line, (stands, expected) in enumerate(pairs, start=1) if stands != expected), 1)


def about_text(result: dict[str, Any], link: str) -> str:
    """On which rows, with which intervals, and how it was measured."""
    fitted = [commit for commit in result.get("fitted", ()) if commit != result["commit"]]
    commits = f"commit {result['commit']}" + (f" (fits: commit {', '.join(fitted)})" if fitted else "")
    threads = " or ".join(str(n) for n in result.get("threads", ()))
    where = f"{result['device']}, {threads} thread{'' if threads == '1' else 's'} a process"
    measured = f"`{result['command']}`, {commits}, {where}, {result['date']}: {link}."
    return " ".join(filter(None, [result["rows"], result["intervals"], measured]))


def table_text(rows: list[dict[str, Any]]) -> str:
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([cell_text(row[column]) for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cell_text(cell: str | dict[str, Any]) -> str:
    return cell if isinstance(cell, str) else str(cell["text"])


def _of_row(rows: list[dict[str, Any]], name: str, column: str) -> Any:
    first = next(iter(rows[0]))
    for row in rows:
        if cell_text(row[first]) == name:
            if column not in row:
                raise ValueError(f"no column {column!r}: {_listed(row)}")
            return row[column]
    raise ValueError(f"no row {name!r}: {_listed(cell_text(row[first]) for row in rows)}")


def _part(cell: Any, part: str | None) -> str:
    """The text of a cell, or another of its texts, or one of its numbers with three digits."""
    if part is None:
        return cell_text(cell)
    if isinstance(cell, dict) and isinstance(cell.get(part), str):
        return str(cell[part])
    if not isinstance(cell, dict) or not isinstance(cell.get(part), int | float):
        raise ValueError(f"{part}: the cell {cell!r} has no such number")
    return str(cell[part]) if isinstance(cell[part], int) else f"{cell[part]:.3f}"


def _listed(names: Any) -> str:
    return ", ".join(map(str, names)) or "none"


def _unstored(
    page: str, text: str, exemptions: list[Exemption], used: set[Exemption], where: str = ""
) -> Iterator[str]:
    """Numbers of `text` that neither a result nor an exemption stands for."""
    for opening, closing, _ in _KINDS:
        for region in regions(text, opening, closing):
            text = _blank(text, region.start, region.end)
    for pattern in (_FENCED, _COMMENT, _TARGET):
        for match in pattern.finditer(text):
            text = _blank(text, match.start(), match.end())
    for exemption in exemptions:
        if not fnmatch(page, exemption.page):
            continue
        if exemption.words == "*":
            used.add(exemption)
            return
        for match in re.finditer(re.escape(exemption.words).replace(r"\ ", r"\s+"), text):
            if _NUMBER.search(match[0]):
                used.add(exemption)
            text = _blank(text, match.start(), match.end())
    for match in _NUMBER.finditer(text):
        yield f"{page}:{where}{line_of(text, match.start())}: {match[0].strip()} {NOT_STORED}"


def _blank(text: str, start: int, end: int) -> str:
    """`text` with spaces from `start` to `end`, line by line as before."""
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is not as it has to be")
    pages = Pages()
    if not parser.parse_args().check:
        from hallmark.storage.files import write_text  # imports pandas, which the check has no need of

        for path in pages.markdown():
            try:
                text = pages.filled(path)
            except ValueError as error:
                sys.exit(f"{path.relative_to(ROOT)}:{str(error).removeprefix('line ')}")
            if text != path.read_text(encoding="utf-8"):
                write_text(path, text)
    problems = list(pages.problems())
    print("\n".join(problems) or "every number on the pages stands on a stored result")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
