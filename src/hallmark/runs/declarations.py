"""What classes declare of their own settings, read from their source without importing them.

A class may name constructor arguments in two class attributes, which its subclasses inherit:

- `without_effect`: no value of them can change a result, such as how many calls are made at a time. A run id is
  computed with their default, or without them where they have none.
- `added_later`: they came when runs had been made without them. At their default they are no part of a run id, so that
  those runs keep theirs.
"""

import ast
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

from hallmark.checks import UserError
from hallmark.runs.source_files import SourceFiles

_ATTRIBUTES = ("without_effect", "added_later")
_ABSENT = object()


def without_declared(settings: Any, files: SourceFiles | None = None) -> Any:
    """`settings` in plain containers as a run id knows them, by what the classes in them declare."""
    files = files or SourceFiles()
    if isinstance(settings, list):
        return [without_declared(value, files) for value in settings]
    if not isinstance(settings, dict):
        return settings
    known = {key: without_declared(value, files) for key, value in settings.items()}
    if isinstance(target := settings.get("_target_"), str):
        lineage = list(_lineage(target, files))
        defaults = {name: value for each in reversed(lineage) for name, value in each.defaults.items()}
        for name in _declared(lineage, "without_effect") & known.keys():
            known[name] = defaults.get(name, _ABSENT)
        for name in _declared(lineage, "added_later") & known.keys():
            if known[name] == defaults.get(name, _ABSENT):
                known[name] = _ABSENT
    return {key: value for key, value in known.items() if value is not _ABSENT}


class _Class(NamedTuple):
    bases: list[str]
    declared: dict[str, frozenset[str]]
    defaults: dict[str, Any]  # of the arguments that have a plain one


class _Module(NamedTuple):
    classes: dict[str, _Class]
    names: dict[str, str]  # dotted origins of what it imports


def _declared(lineage: list[_Class], attribute: str) -> frozenset[str]:
    return next((each.declared[attribute] for each in lineage if attribute in each.declared), frozenset())


def _lineage(target: str, files: SourceFiles) -> Iterator[_Class]:
    """The class that `target` names and those that it inherits from, nearest first, as far as their source is known."""
    waiting, seen = [target], set[str]()
    while waiting:
        target = waiting.pop(0)
        module, _, name = target.rpartition(".")
        if target in seen or not module or (path := files.of(module)) is None:
            continue
        seen.add(target)
        source = _read(path.read_bytes(), module, path.name == "__init__.py")
        if name in source.classes:
            yield source.classes[name]
            waiting += source.classes[name].bases
        elif name in source.names:  # defined elsewhere
            waiting.append(source.names[name])


@cache
def _read(source: bytes, module: str, is_package: bool) -> _Module:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # whoever imports it gets the error
        return _Module({}, {})
    package = module.split(".") if is_package else module.split(".")[:-1]
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in node.names}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    known = names | {node.name: f"{module}.{node.name}" for node in classes}
    return _Module({node.name: _class(node, known) for node in classes}, names)


def _class(node: ast.ClassDef, known: dict[str, str]) -> _Class:
    bases = []
    for base in node.bases:
        first, *parts = ast.unparse(base).partition("[")[0].split(".")
        bases.append(".".join([known.get(first, first), *parts]))
    declared, defaults = {}, dict[str, ast.expr]()
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            defaults = _defaults(statement.args)
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            assigned = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            if not isinstance(assigned, ast.Name):
                continue
            if assigned.id in _ATTRIBUTES:
                declared[assigned.id] = _names(statement.value, f"{known[node.name]}.{assigned.id}")
            elif isinstance(statement, ast.AnnAssign):  # of a dataclass
                defaults[assigned.id] = statement.value
    plain = {}
    for name, value in defaults.items():
        with suppress(ValueError):  # made by an expression
            plain[name] = _as_in_yaml(ast.literal_eval(value))
    return _Class(bases, declared, plain)


def _as_in_yaml(value: Any) -> Any:
    return [_as_in_yaml(part) for part in value] if isinstance(value, tuple | list) else value


def _names(value: ast.expr, place: str) -> frozenset[str]:
    if isinstance(value, ast.Tuple) and all(isinstance(name, ast.Constant) for name in value.elts):
        return frozenset(map(str, ast.literal_eval(value)))
    raise UserError(f"{place} is {ast.unparse(value)}: expected a tuple of names, written out where the class is")


def _defaults(arguments: ast.arguments) -> dict[str, ast.expr]:
    positional = [*arguments.posonlyargs, *arguments.args]
    last = positional[len(positional) - len(arguments.defaults) :]
    pairs = [
        *zip(last, arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return {argument.arg: value for argument, value in pairs if value is not None}
