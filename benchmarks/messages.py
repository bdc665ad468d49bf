"""Every text that a user can read, in one list: `python -m benchmarks.messages [PATH ...]`.

A text is a string with a space and a letter that is no docstring. Expressions in it are shown by their source.
Errors (`raise`, `require`) come first, then what is printed or logged, then labels of tables, figures and pages.
"""

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATHS = ("src", "train.py", "evaluate.py", "sweep.py")
_PRINTED = {"echo", "print", "print_block", "log", "info", "warning", "warn", "error", "exception", "rank_zero_info",
            "rank_zero_warn", "add_argument", "add_parser", "update", "show"}  # fmt: skip


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (
            f"{{{ast.unparse(part.value)}}}" if isinstance(part, ast.FormattedValue) else str(part.value)  # type: ignore[attr-defined]
            for part in node.values
        )
        return "".join(parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return left + right if left is not None and right is not None else None
    return None


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def messages(tree: ast.AST, kind: str = "label") -> Iterator[tuple[str, int, str]]:
    """Kind (`error`, `output` or `label`), line and text of each message below `tree`."""
    if isinstance(tree, ast.Raise):
        kind = "error"
    elif isinstance(tree, ast.Call):
        name = _name(tree)
        if name == "require" or name.endswith(("Error", "Interrupted")):
            kind = "error"
        elif kind != "error" and name in _PRINTED:
            kind = "output"
    text = _text(tree)
    if text is not None:
        if " " in text.strip() and any(letter.isalpha() for letter in text):
            yield kind, getattr(tree, "lineno", 0), " ".join(text.split())
        return
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue  # a docstring
        yield from messages(child, kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", default=[str(ROOT / path) for path in PATHS])
    parser.add_argument("--kind", choices=["error", "output", "label"])
    arguments = parser.parse_args()
    files = [file for path in map(Path, arguments.paths) for file in ([path] if path.is_file() else path.rglob("*.py"))]
    rows = [
        (kind, file.resolve().relative_to(ROOT), line, text)
        for file in sorted(files)
        for kind, line, text in messages(ast.parse(file.read_text(encoding="utf-8")))
    ]
    kinds = [arguments.kind] if arguments.kind else ["error", "output", "label"]
    for kind in kinds:
        selected = [row for row in rows if row[0] == kind]
        print(f"# {kind}: {len(selected)}")
        for _, file, line, text in selected:
            print(f"{file}:{line}: {text}")


if __name__ == "__main__":
    main()
