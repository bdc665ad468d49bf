"""What a class declares of its own settings counts in run ids, and nothing is imported for it."""

import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from hallmark.checks import UserError
from hallmark.runs.identity import run_id

NET = """
    class Net:
        without_effect = ("parallel", "batch")
        added_later: tuple[str, ...] = ("dropout", "layers")

        def __init__(self, width: int, *, batch: int, parallel: int = 2, dropout: float = 0.0, layers=(1, 2)) -> None:
            raise AssertionError("built")
"""


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that writes `<name>.py` of each source, in a package `mine`."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**sources: str) -> None:
        for name, source in sources.items():
            (tmp_path / "mine" / f"{name}.py").write_text(dedent(source), encoding="utf-8")

    yield write
    assert "mine" not in sys.modules


def id_of(target: str = "mine.net.Net", **arguments: Any) -> str:
    return run_id({"model": {"parts": [{"_target_": target, "width": 8, **arguments}]}})


def test_a_setting_without_effect_counts_as_its_default_or_not_at_all(declared) -> None:
    declared(net=NET)
    assert id_of(parallel=7) == id_of(parallel=2) != id_of()  # a run made with the default keeps its id
    assert id_of(batch=1) == id_of(batch=64) == id_of()
    assert id_of(width=9) != id_of()


def test_what_was_added_later_does_not_count_at_its_default(declared) -> None:
    declared(net=NET)
    assert id_of(dropout=0.0) == id_of(dropout=0) == id_of()
    assert id_of(dropout=0.1) != id_of()
    assert id_of(layers=[1, 2]) == id_of() != id_of(layers=[1])


def test_a_declaration_is_inherited_across_modules_and_can_be_replaced(declared) -> None:
    declared(
        net=NET, far="from .net import Net as Base\n",
        deep="""
            import mine.far as far
            class Deep(far.Base):
                def __init__(self, depth: int = 1, dropout: float = 0.5, **arguments): ...
            class Strict(Deep):
                without_effect = ()
        """,
    )  # fmt: skip
    assert id_of("mine.far.Base", dropout=0.0) == id_of("mine.far.Base")
    for target in ("mine.deep.Deep", "mine.deep.Strict"):
        assert id_of(target, dropout=0.5) == id_of(target) != id_of(target, dropout=0.0)
        assert id_of(target, depth=1) != id_of(target)
    assert id_of("mine.deep.Deep", batch=1) == id_of("mine.deep.Deep")
    assert id_of("mine.deep.Strict", batch=1) != id_of("mine.deep.Strict")


def test_a_dataclass_has_its_defaults_in_its_fields(declared) -> None:
    declared(net="@dataclass\nclass Net:\n    width: int\n    skip: bool = False\n    added_later = ('skip',)\n")
    assert id_of(skip=False) == id_of() != id_of(skip=True)


@pytest.mark.parametrize("source", ["", "class Net(Net): pass", "from mine.net import Net", "class Net(", "\0"])
def test_a_class_that_cannot_be_read_declares_nothing(declared, source: str) -> None:
    declared(net=source)
    assert id_of(parallel=1) != id_of()
    assert id_of("torch.nn.Linear", bias=True) != id_of("torch.nn.Linear")
    assert id_of("Net", bias=True) != id_of("Net")


@pytest.mark.parametrize("value", ["'batch'", "('batch')", "NAMES", "['batch']"])
def test_what_is_no_tuple_of_names_is_said(declared, value: str) -> None:
    declared(net=f"class Net:\n    without_effect = {value}\n")
    with pytest.raises(UserError, match=r"mine\.net\.Net\.without_effect is .*: expected a tuple of names"):
        id_of()


def test_how_fast_the_closed_loop_works_does_not_change_its_id() -> None:
    model = {"_target_": "hallmark.systems.refseg.module.LoopModule", "budget": 1.0, "parallel": 1, "region_batch": 64}
    ids = {change: run_id({"model": {**model, change: 7}}) == run_id({"model": model}) for change in model}
    assert ids == {"_target_": False, "budget": False, "parallel": True, "region_batch": True}
