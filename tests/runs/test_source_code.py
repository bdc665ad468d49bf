"""The code that a result depends on is what its classes import, by what it does."""

import ast
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import hallmark
from hallmark.runs.source_code import _form, code_hashes

SENTIMENT = {"model": {"_target_": "hallmark.systems.sentiment.module.PairClassifier"}}
TOUCH = {"model": {"_target_": "hallmark.systems.touch.module.TouchModule"}}


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """A function that writes `mine/<name>.py` outside the tree and gives the hashes of a class `mine.net.Net`."""
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**sources: str) -> dict[str, str]:
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(source, encoding="utf-8")
        hashes = code_hashes({"model": {"_target_": "mine.net.Net", "parts": [{"_target_": "mine.part.Part"}]}})
        return {name: hash_ for name, hash_ in hashes.items() if name.startswith("mine")}

    yield write
    sys.modules.pop("mine", None)


def test_the_closure_is_of_a_system_and_of_what_it_imports_and_nothing_else() -> None:
    hashes = code_hashes(SENTIMENT)
    needed = {
        "storage/seeds.py", "data/sampling.py", "features/store.py", "learning/optim.py",
        "learning/callbacks/training.py", "statistics/tables.py",
        "engine/setup.py", "engine/train.py", "engine/predict.py",
        "systems/sentiment/module.py", "learning/heads.py",
    }  # fmt: skip
    assert needed <= hashes.keys()
    assert not [name for name in hashes if name.startswith(("systems/touch", "systems/refseg", "report", "analysis"))]
    assert "learning/balancing/gradnorm.py" not in hashes
    assert list(hashes) == sorted(hashes)


def test_every_name_is_a_file_of_the_package() -> None:
    package = Path(hallmark.__file__).parent
    assert all((package / name).is_file() for name in code_hashes(TOUCH))


def test_classes_at_any_depth_of_the_configuration_count() -> None:
    nested = {**SENTIMENT, "data": {"x": [{"_target_": "hallmark.learning.balancing.GradNorm"}]}}
    assert "learning/balancing/gradnorm.py" in code_hashes(nested)


def test_a_class_outside_the_tree_counts_with_what_it_imports(outside) -> None:
    sources = {
        "__init__": "",
        "net": "def f():\n    from . import far\n",
        "part": "import mine.near",
        "far": "",
        "near": "",
    }
    assert list(outside(**sources, unused="")) == ["mine", "mine.far", "mine.near", "mine.net", "mine.part"]


@pytest.mark.parametrize(
    ("edited", "same"),
    [
        ('"""Text."""\n\nclass Net:\n    """More."""\n    x = 1  # why\n', True),
        ("class Net:\n\n    x = (1)\n", True),
        ("class Net:\n    x = 2\n", False),
        ('class Net:\n    x = 1\n    y = "text"\n', False),
        ("class Net:\n    x = 1.0\n", False),
    ],
)
def test_comments_docstrings_and_layout_do_not_count_and_all_else_does(outside, edited: str, same: bool) -> None:
    sources = {"__init__": "", "part": ""}
    before = outside(**sources, net="class Net:\n    x = 1\n")
    assert (outside(**sources, net=edited) == before) is same


def test_what_is_known_of_sources_is_kept_by_their_content(outside, tmp_path: Path, monkeypatch) -> None:
    cached, settings = tmp_path / "cache" / "source_code.json", {"model": {"_target_": "mine.net.Net"}}
    outside(__init__="", net="class Net:\n    x = 1\n", part="")
    before = code_hashes(settings, cached)
    assert before == code_hashes(settings)

    with monkeypatch.context() as patched:
        patched.setattr("hallmark.runs.source_code._read", None)  # nothing is parsed again
        assert code_hashes(settings, cached) == before
    outside(__init__="", net="class Net:\n    x = 2\n", part="")
    after = code_hashes(settings, cached)
    assert after == code_hashes(settings) and after["mine.net"] != before["mine.net"]

    for damaged in ("", "[1]", '{"key": 1}', '{"key": ["hash", 5]}'):
        cached.write_text(damaged, encoding="utf-8")
        assert code_hashes(settings, cached) == after


def test_an_installed_package_is_known_by_its_version() -> None:
    assert code_hashes({"model": {"_target_": "torch.nn.Linear"}}) == code_hashes({})
    assert code_hashes({"model": {"_target_": "json.JSONDecoder"}}) == code_hashes({})


@pytest.mark.parametrize("folder", ["lib/python3.11/site-packages", "lib/python3/dist-packages"])
def test_a_package_of_another_environment_is_installed_as_well(tmp_path, monkeypatch, folder: str) -> None:
    package = tmp_path / folder / "elsewhere"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("class Net: ...", encoding="utf-8")
    monkeypatch.syspath_prepend(str(package.parent))
    assert code_hashes({"model": {"_target_": "elsewhere.Net"}}) == code_hashes({})


def test_an_expression_of_any_length_is_hashed(outside) -> None:
    def hashes(n_terms: int) -> dict[str, str]:
        return outside(__init__="", part="", net=f"import mine.far\nx = {'1 + ' * n_terms}1\n", far="")

    assert hashes(800) == hashes(800) != hashes(801)
    assert "mine.far" in hashes(800)


def test_a_class_that_is_not_there_changes_nothing() -> None:
    assert code_hashes({"model": {"_target_": "no_such_package.module.Class"}}) == code_hashes({})


def test_the_hash_is_of_a_form_that_all_versions_of_python_share() -> None:
    source = b"import os\n\n\ndef f(x: int = 1) -> str:\n    return str(x)\n"
    with_empty_fields = ast.parse(source)
    for node in ast.walk(with_empty_fields):
        if isinstance(node, ast.FunctionDef):  # a field of Python 3.12
            node.type_params, node._fields = [], (*node._fields, "type_params")
    assert _form(with_empty_fields) == _form(ast.parse(source))
