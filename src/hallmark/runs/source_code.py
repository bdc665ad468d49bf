"""The source code that a result depends on: every module that its classes import, by what it does."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from hallmark.checks import UserError
from hallmark.runs.source_files import SourceFiles
from hallmark.storage.files import read_json, write_json
from hallmark.storage.hashing import digest, digest_bytes

# What a fit and a prediction run, whatever the classes of the configuration are.
_ENGINE = ("hallmark.engine.setup", "hallmark.engine.train", "hallmark.engine.predict", "hallmark.engine.parents",
           "hallmark.engine.refits", "hallmark.engine.distributed")  # fmt: skip
# These find, keep and show results; none of them changes one.
_IRRELEVANT = ("hallmark.analysis", "hallmark.commands", "hallmark.engine", "hallmark.report", "hallmark.runs",
               "hallmark.console", "hallmark.wording")  # fmt: skip

_KEPT = 4000  # files in a cache; a run needs about a hundred

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_hashes(settings: Mapping[str, Any], cached: Path | None = None) -> dict[str, str]:
    """Hash of every source file that training and predictions can run: `data/splits.py`, or `mypackage.networks`.

    That is the closure of the imports of all classes in `settings` and of the engine, wherever an import stands in a
    file; what is installed beside hallmark is known by its version. A hash is of the syntax tree, so that comments,
    docstrings and layout do not count.

    Args:
        cached: a file of what is known of sources by their content, which is added to; parsing takes half a second.
    """
    known = _known(cached)
    n_known = len(known)
    modules = [target.rpartition(".")[0] for target in _targets(settings)]
    waiting, seen, hashes = [*_ENGINE, *modules], set[str](), dict[str, str]()
    files = SourceFiles()
    while waiting:
        parts = waiting.pop().split(".")
        for n in range(1, len(parts) + 1):  # to import a.b.c is to run the modules a and a.b as well
            module = ".".join(parts[:n])
            if module in seen:
                continue
            seen.add(module)
            if _is_irrelevant(module):
                continue
            if (path := files.of(module)) is not None:
                is_package, source = path.name == "__init__.py", path.read_bytes()
                key = digest_bytes(_reader(), f"{module} {is_package}".encode(), source)
                if key not in known:
                    known[key] = _read(source, module, is_package)
                hashes[_name(module, path)], imports = known[key]
                waiting += imports
    if cached is not None and len(known) > n_known:
        with suppress(OSError):
            write_json(cached, dict(list(known.items())[-_KEPT:]))
    return dict(sorted(hashes.items()))


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(target := node.get("_target_"), str):
            yield target
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _targets(value)


def _is_irrelevant(module: str) -> bool:
    def below(packages: Iterable[str]) -> bool:
        return any(module == package or module.startswith(f"{package}.") for package in packages)

    return below(_IRRELEVANT) and not below(_ENGINE)


def _name(module: str, path: Path) -> str:
    """`hallmark.data.splits` by its file, as a reader looks for it; a module of another package by its name."""
    top, *parts = module.split(".")
    if top != "hallmark":
        return module
    return "/".join([*parts, "__init__.py"] if path.name == "__init__.py" else [*parts[:-1], path.name])


def _known(cached: Path | None) -> dict[str, tuple[str, list[str]]]:
    """What `_read` gives, by the content of the source; {} where the cache is not there or damaged."""
    try:
        content = read_json(cached) if cached is not None else {}
        return {key: (str(hash_), list(map(str, imports))) for key, (hash_, imports) in content.items()}
    except (OSError, UserError, AttributeError, TypeError, ValueError):
        return {}


@cache
def _reader() -> bytes:
    """What the hash of a source depends on beside that source."""
    return sys.version.encode() + Path(__file__).read_bytes()


@cache
def _read(source: bytes, module: str, is_package: bool) -> tuple[str, list[str]]:
    """Hash of the syntax tree of `source`, and the modules that it imports."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # whoever imports it gets the error
        return digest_bytes(source)[:12], []
    package = module.split(".") if is_package else module.split(".")[:-1]
    imports = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            imports += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        elif isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    try:
        return digest(_form(tree))[:12], imports
    except RecursionError:  # an expression of hundreds of terms
        return digest_bytes(source)[:12], imports


def _form(node: Any) -> Any:
    """A syntax tree in lists, without what is empty, of which the versions of Python have different fields."""
    if isinstance(node, ast.Constant):
        return ["Constant", repr(node.value)]
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return [type(node).__name__, *([name, _form(value)] for name, value in fields)]
    return list(map(_form, node)) if isinstance(node, list) else repr(node)
