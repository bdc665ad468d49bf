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


def test_folders_comments_and_lines(code):
    assert code.fullest_folder() in [("src/package", 2), ("src/package/low", 2)]
    assert code.lines_by_package() == {"low": 18, ".": 8}
    assert code.comments_per_100_lines() == pytest.approx(100 / 26)


def test_the_longest_chain_follows_what_runs_on_import(code):
    assert code.longest_import_chain() == ["package.top", "package.middle", "package.low.base"]
