"""What a reader of the tree meets, as numbers: python -m benchmarks.codebase [--list names|functions] [folder ...]

A name is vague where it is one of `VAGUE`. A private function with one use is called from one place only.
"""

import argparse
import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.pages import ROOT

VAGUE = frozenset(
    {"one", "own", "found", "told", "kept", "whole", "place", "shown", "given", "rest", "made", "taken", "got", "said"}
    | {"asked", "theirs", "mine", "ours", "item", "items", "thing", "things", "stuff", "obj", "res", "ret", "retval"}
    | {"val", "tmp", "foo", "bar"}
)
"""Names that say nothing of what they hold."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Binding:
    """A name that is given a value: by an assignment, a loop, `with … as` or a comprehension."""

    path: Path
    line: int
    name: str


@dataclass(frozen=True)
class Function:
    """A function or method; `n_uses` counts where the code names it: a private one's own file, or all files."""

    path: Path
    line: int
    name: str
    n_lines: int
    n_uses: int

    @property
    def is_private(self) -> bool:
        return self.name.startswith("_") and not self.name.startswith("__")


class Codebase:
    """The Python files below some folders.

    Args:
        folders: relative to the root of the project.
    """

    def __init__(self, *folders: str) -> None:
        self.paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]

    @cached_property
    def trees(self) -> dict[Path, ast.Module]:
        return {path: ast.parse(path.read_text(encoding="utf-8")) for path in self.paths}

    def bindings(self) -> Iterator[Binding]:
        """Every name that is given a value."""
        for path, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield Binding(path, node.lineno, node.id)

    def vague(self) -> list[Binding]:
        return [binding for binding in self.bindings() if binding.name in VAGUE]

    def functions(self) -> list[Function]:
        everywhere = Counter(name for tree in self.trees.values() for name in _uses(tree))
        functions = []
        for path, tree in self.trees.items():
            here = Counter(_uses(tree))
            for node in ast.walk(tree):
                if isinstance(node, _FUNCTIONS):
                    uses = here if node.name.startswith("_") else everywhere
                    n_lines = (node.end_lineno or node.lineno) - node.lineno + 1
                    functions.append(Function(path, node.lineno, node.name, n_lines, uses[node.name]))
        return functions


def _uses(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", choices=("names", "functions"))
    parser.add_argument("folders", nargs="*", default=["src"])
    arguments = parser.parse_args()
    code = Codebase(*arguments.folders)
    bindings, vague, functions = list(code.bindings()), code.vague(), code.functions()
    once = [function for function in functions if function.is_private and function.n_uses == 1]
    if arguments.list == "names":
        print("\n".join(f"{binding.path.relative_to(ROOT)}:{binding.line}: {binding.name}" for binding in vague))
    if arguments.list == "functions":
        print("\n".join(f"{f.path.relative_to(ROOT)}:{f.line}: {f.name} ({f.n_lines} lines)" for f in once))
    print(f"{len(vague)} of {len(bindings)} names are vague: {1000 * len(vague) / len(bindings):.1f} per 1,000")
    print(f"{len(once)} of {len(functions)} functions are private and called once: {len(once) / len(functions):.1%}")


if __name__ == "__main__":
    main()
