"""How the tree is counted: vague names, hops, folders, comments, chains of imports, lines."""

from pathlib import Path

import pytest
from benchmarks.codebase import Codebase

FILES = {
    "__init__.py": "",
    "top.py": "from package.low import base\nimport package.middle\n\n# why\nitem = 1  # noqa: F841\n",
    "middle.py": "if True:\n    import package.top\nfrom package.low.base import _once\n",
    "low/__init__.py": "",
    "low/base.py": '''"""# no comment"""


def _once(rows):
    return [one for one in rows]


def _twice():
    return 1  # fmt: skip


def public():
    with open("x") as found:
        total = _once(found)
    return _twice() + _twice() + total
''',
    "low/other.py": "import package.low.base\n\nx = 1\n",
}


@pytest.fixture
def code(tmp_path: Path) -> Codebase:
    for name, text in FILES.items():
        path = tmp_path / "src" / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Codebase("src", root=tmp_path)


def test_vague_names_are_those_that_are_given_a_value(code):
    assert sorted((binding.path.name, binding.line, binding.name) for binding in code.vague()) == [
        ("base.py", 5, "one"), ("base.py", 13, "found"), ("top.py", 5, "item"),
    ]  # fmt: skip
    assert {binding.name for binding in code.bindings()} == {"one", "found", "item", "total", "x"}


def test_private_functions_with_one_use_in_their_file(code):
    assert [(function.name, function.n_lines) for function in code.called_once()] == [("_once", 2)]
    assert {function.name: function.n_uses for function in code.functions()} == {"_once": 1, "_twice": 2, "public": 0}


def test_names_and_lines_that_stand_twice(tmp_path):
    body = "class Table:\n    a = 1\n    b = 2\n\n    # why\n    c = 3\n    d = 4\n    e = 5\n"
    for name, text in {"a.py": body, "b.py": f"import os\n\n\n{body}\n\ndef run(): ...\n", "c.py": body[:40]}.items():
        (tmp_path / "src" / "package").mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / "package" / name).write_text(text)
    code = Codebase("src", root=tmp_path)
    assert {name: [path.name for path in paths] for name, paths in code.named_twice().items()} == {
        "Table": ["a.py", "b.py", "c.py"]
    }
    lines = {path.name: sorted(numbers) for path, numbers in code.duplicates().items()}
    assert lines == {"a.py": [1, 2, 3, 6, 7, 8], "b.py": [4, 5, 6, 9, 10, 11]}


def test_folders_comments_and_lines(code):
    assert code.fullest_folder() in [("src/package", 2), ("src/package/low", 2)]
    assert code.lines_by_package() == {"low": 18, ".": 8}
    assert code.comments_per_100_lines() == pytest.approx(100 / 26)


def test_the_longest_chain_follows_what_runs_on_import(code):
    assert code.longest_import_chain() == ["package.top", "package.middle", "package.low.base"]
