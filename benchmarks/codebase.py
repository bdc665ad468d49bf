"""What a reader of the tree meets, as numbers.

    python -m benchmarks.codebase [--list names|functions|twice|duplicates] [folder ...]
    python -m benchmarks.codebase --check [folder ...]
    python -m benchmarks.codebase --before COMMIT

The last one writes `docs/results/codebase.json`: a commit beside the tree as it is.
"""

import argparse
import ast
import subprocess
import sys
import tarfile
import tempfile
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path

from benchmarks.pages import ROOT
from benchmarks.results import Cell, Table, write_result

VAGUE = frozenset(
    {"one", "own", "found", "told", "kept", "whole", "place", "shown", "given", "rest", "made", "taken", "got", "said"}
    | {"asked", "theirs", "mine", "ours", "item", "items", "thing", "things", "stuff", "obj", "res", "ret", "retval"}
    | {"val", "tmp", "foo", "bar"}
)
"""Names that say nothing of what they hold."""

RUN = 6
"""Lines of code that stand again in the same order, from which on they are a duplicate."""

_INTERFACES = frozenset({"main", "run", "add_arguments"})  # what the modules of scripts and commands share by agreement
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DIRECTIVES = ("# fmt:", "# type:", "# noqa", "#!")  # comments for tools


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
        folders: relative to `root`.
        root: the project's folder, or that of another state of it.
    """

    def __init__(self, *folders: str, root: Path = ROOT) -> None:
        self.root = root
        self.paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]

    @cached_property
    def texts(self) -> dict[Path, str]:
        return {path: path.read_text(encoding="utf-8") for path in self.paths}

    @cached_property
    def trees(self) -> dict[Path, ast.Module]:
        return {path: ast.parse(text) for path, text in self.texts.items()}

    def bindings(self) -> Iterator[Binding]:
        """Every name that is given a value."""
        for path, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield Binding(path, node.lineno, node.id)

    def vague(self) -> list[Binding]:
        """The bindings of a name in `VAGUE`."""
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

    def called_once(self) -> list[Function]:
        """Private functions with one use: a reader has to jump for each of them."""
        return [function for function in self.functions() if function.is_private and function.n_uses == 1]

    def named_twice(self) -> dict[str, list[Path]]:
        """Public classes and functions of modules whose name another module of the package has too, and their files."""
        homes: dict[str, list[Path]] = {}
        for path, tree in self.trees.items():
            for node in tree.body:
                name = node.name if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else "_"
                if not name.startswith("_") and name not in _INTERFACES:
                    homes.setdefault(name, []).append(path)
        return {name: paths for name, paths in homes.items() if len(paths) > 1}

    def duplicates(self) -> dict[Path, set[int]]:
        """Lines by file that stand in two places, in a run of `RUN` or more of them to the letter.

        Blank lines, comments, imports and lines without a letter do not count.
        """
        places: dict[tuple[str, ...], list[tuple[Path, list[int]]]] = {}
        for path, tree in self.trees.items():
            nodes = (node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))
            imports = {number for node in nodes for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
            numbered = [(number, line.strip()) for number, line in enumerate(self.texts[path].splitlines(), 1)]
            code = [
                (number, line)
                for number, line in numbered
                if number not in imports and not line.startswith("#") and any(map(str.isalpha, line))
            ]
            for start in range(len(code) - RUN + 1):
                run = code[start : start + RUN]
                lines = tuple(line for _, line in run)
                places.setdefault(lines, []).append((path, [number for number, _ in run]))
        duplicates: dict[Path, set[int]] = {}
        for several in places.values():
            for path, numbers in several if len(several) > 1 else ():
                duplicates.setdefault(path, set()).update(numbers)
        return duplicates

    def fullest_folder(self) -> tuple[str, int]:
        """The folder with the most modules beside its `__init__.py`, and their number."""
        counts = Counter(path.parent for path in self.paths if path.name != "__init__.py")
        folder, n_modules = max(counts.items(), key=lambda entry: entry[1])
        return folder.relative_to(self.root).as_posix(), n_modules

    def comments_per_100_lines(self) -> float:
        """Comments for readers; docstrings and comments for tools are none."""
        n_comments = 0
        for text in self.texts.values():
            tokens = tokenize.tokenize(BytesIO(text.encode()).readline)
            comments = (token.string for token in tokens if token.type == tokenize.COMMENT)
            n_comments += sum(not comment.startswith(_DIRECTIVES) for comment in comments)
        return 100 * n_comments / sum(self.lines_by_package().values())

    def lines_by_package(self) -> dict[str, int]:
        """Lines of each first folder below the package, most lines first; `.` for modules of the package itself."""
        counts = Counter[str]()
        for path, text in self.texts.items():
            folders = path.relative_to(self.root).parts[2:-1]  # below src/<package>
            counts[folders[0] if folders else "."] += len(text.splitlines())
        return dict(counts.most_common())

    def longest_import_chain(self) -> list[str]:
        """Modules of which each imports the next one when it is itself imported; of a cycle each module once."""
        modules = {self._module(path): tree for path, tree in self.trees.items()}
        imports = {name: sorted(set(_imports(tree)) & modules.keys() - {name}) for name, tree in modules.items()}
        entered: set[str] = set()

        @cache
        def chain(name: str) -> tuple[str, ...]:
            entered.add(name)
            onward = [chain(imported) for imported in imports[name] if imported not in entered]
            entered.remove(name)
            return name, *max(onward, key=len, default=())

        longest = max((chain(name) for name in sorted(modules)), key=len)
        return list(longest)

    def _module(self, path: Path) -> str:
        parts = path.relative_to(self.root).with_suffix("").parts[1:]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _uses(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _imports(tree: ast.Module) -> Iterator[str]:
    """What may be modules among the names that the module's own statements import."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def measures(root: Path = ROOT) -> dict[str, Cell]:
    """Every measure of the tree at `root` by its title."""
    src, tests = Codebase("src", root=root), Codebase("tests", root=root)
    folder, n_modules = src.fullest_folder()
    chain = src.longest_import_chain()
    twice, duplicates = src.named_twice(), src.duplicates()
    classes = [name for name in twice if name[0].isupper()]
    n_presets = len(list((root / "conf" / "experiment").glob("*.yaml")))
    return {
        **{
            f"vague names per 1,000, {folder}": _cell(1000 * len(code.vague()) / len(list(code.bindings())), 1)
            for folder, code in (("src", src), ("tests", tests))
        },
        "private functions called once, %": _cell(100 * len(src.called_once()) / len(src.functions()), 1),
        "modules in the fullest folder": {**_cell(n_modules), "folder": folder},
        "comments per 100 lines": _cell(src.comments_per_100_lines(), 1),
        "longest import chain, modules": {**_cell(len(chain)), "chain": chain},
        "classes whose name stands twice": {**_cell(len(classes)), "names": sorted(classes)},
        "public functions whose name stands twice": _cell(len(twice) - len(classes)),
        f"lines in runs of {RUN} that stand twice": _cell(sum(map(len, duplicates.values()))),
        "lines of src": _cell(sum(src.lines_by_package().values())),
        "presets": _cell(n_presets),
    }


def _cell(value: float, digits: int = 0) -> dict[str, object]:
    return {"text": f"{value:,.{digits}f}", "value": round(value, digits) if digits else int(value)}


def tables(commit: str) -> dict[str, Table]:
    """Measures, and lines by package, of `commit` and of the tree as it is."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", commit, "src", "tests", "conf"], cwd=ROOT, capture_output=True)
        if archive.returncode:
            raise ValueError(f"--before {commit}: {archive.stderr.decode().strip()}")
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        before, lines_before = measures(Path(folder)), Codebase("src", root=Path(folder)).lines_by_package()
    lines = Codebase("src").lines_by_package()
    packages = {package: _cell(lines.get(package, 0)) for package in {**lines, **lines_before}}
    return {
        "measures": _side_by_side("measure", before, measures()),
        "lines": _side_by_side("package", {name: _cell(lines_before.get(name, 0)) for name in packages}, packages),
    }


def _side_by_side(title: str, before: Mapping[str, Cell], after: Mapping[str, Cell]) -> Table:
    return [{title: name, "before": before[name], "after": cell} for name, cell in after.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    choices = ("names", "functions", "twice", "duplicates")
    parser.add_argument("--list", choices=choices, help="vague names, private functions called once, names that two "
                        "modules give to a class or function, or lines that stand twice")  # fmt: skip
    parser.add_argument("--check", action="store_true", help="list vague names and fail where there are any")
    parser.add_argument("--before", metavar="COMMIT", help="write docs/results/codebase.json: this commit and the tree")
    parser.add_argument("folders", nargs="*", default=["src"])
    arguments = parser.parse_args()
    if arguments.before:
        rows = f"All Python files of src and tests and all presets: before ({arguments.before}) and after."
        print(write_result("codebase", rows=rows, intervals="", tables=tables(arguments.before)))
        return
    code = Codebase(*arguments.folders)
    vague, once = code.vague(), code.called_once()
    if arguments.list == "names" or arguments.check:
        for binding in vague:
            print(f"{binding.path.relative_to(ROOT)}:{binding.line}: {binding.name}")
    if arguments.list == "functions":
        for function in once:
            print(f"{function.path.relative_to(ROOT)}:{function.line}: {function.name} ({function.n_lines} lines)")
    if arguments.list == "twice":
        for name, paths in sorted(code.named_twice().items()):
            print(f"{name}: {', '.join(path.relative_to(ROOT).as_posix() for path in paths)}")
    if arguments.list == "duplicates":
        for path, numbers in code.duplicates().items():
            print(f"{path.relative_to(ROOT)}: lines {', '.join(map(str, sorted(numbers)))}")
    n_bindings, n_functions = len(list(code.bindings())), len(code.functions())
    print(f"{len(vague)} of {n_bindings} names are vague: {1000 * len(vague) / n_bindings:.1f} per 1,000")
    print(f"{len(once)} of {n_functions} functions are private and called once: {len(once) / n_functions:.1%}")
    if arguments.check and vague:
        sys.exit("Give these names what they hold: run, row, table, values, metrics, indices, path, …")


if __name__ == "__main__":
    main()
