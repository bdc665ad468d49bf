"""An evaluation or a finished sweep that is typed again: answered by its note, unless anything has changed."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine.sweeping import PRESET, THREE

from hallmark.engine.cached import notes
from hallmark.engine.cached.answers import evaluation_note, is_answered, sweep_note
from hallmark.engine.evaluate import evaluate as evaluate_config
from hallmark.engine.search.sweep import sweep
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.fixture
def finished(typed, small, corpus, swept, trained, monkeypatch, capsys) -> Callable[..., str]:
    """Carries a sweep out twice; gives what is printed of a finished one."""

    def finished(*overrides: str) -> str:
        config = typed(PRESET, *small, f"data.folder={corpus}", *(overrides or THREE))
        for _ in range(2):
            capsys.readouterr()
            sweep(config)
        return capsys.readouterr().out

    return finished


@pytest.fixture
def note(typed, small, corpus) -> Callable:
    return lambda *overrides: sweep_note(typed(PRESET, *small, f"data.folder={corpus}", *(overrides or THREE)))


def test_a_finished_sweep_is_answered_in_the_same_words(finished, note, capsys):
    printed = finished()
    assert "best: trial 2" in printed
    assert is_answered(note())
    assert capsys.readouterr().out == printed


def test_what_else_is_asked_of_a_sweep_is_done(finished, note):
    finished()
    assert note(*THREE, "rerun=true") is None and note(*THREE, "storage=sqlite:///s.db") is None
    for more in ("seed=1", "++sweep.space={model.ngrams: [1]}", "jobs=2"):
        assert not note(*THREE, more).exists


def test_changed_data_end_the_note_on_a_sweep(finished, note, corpus):
    finished()
    _append(sorted((corpus / "data").glob("*.txt"))[0])
    assert note().read() is None


def test_changed_and_deleted_files_end_the_note_on_a_sweep(finished, note, tmp_path):
    finished()
    for name in ("study.db", "summary.json", "trials.csv"):
        (file,) = (tmp_path / "outputs").rglob(name)
        shutil.copy2(file, tmp_path / name)
        assert note().read() is not None
        _append(file)
        assert note().read() is None
        file.unlink()
        assert note().read() is None
        shutil.copy2(tmp_path / name, file)


def test_changed_runs_end_the_note_on_a_sweep(finished, note, tmp_path):
    finished()
    (table,) = (tmp_path / "outputs").rglob("trials.csv")
    run = Path(table.read_text().splitlines()[1].split(",")[4])
    run.mkdir(parents=True)
    (run / "metrics.json").write_text("{}")
    assert note().read() is None


def test_other_code_packages_and_presets_end_the_note_on_a_sweep(finished, note, monkeypatch):
    finished()
    assert note().exists
    for name, value in (("notes._installation", ("other code",)), ("answers._presets", ["other presets"])):
        with monkeypatch.context() as patch:
            patch.setattr(f"hallmark.engine.cached.{name}", lambda value=value: value)
            assert not note().exists


@pytest.fixture
def evaluated(typed, fitted, capsys) -> Callable[..., tuple[Run, str]]:
    """Evaluates a run; gives it and what is printed."""

    def evaluated(*overrides: str) -> tuple[Run, str]:
        run = fitted(PRESET)
        capsys.readouterr()
        evaluate_config(typed(f"run={run.directory}", *overrides, command="evaluate"))
        return run, capsys.readouterr().out

    return evaluated


def test_an_evaluation_is_answered_in_the_same_words(typed, evaluated, capsys):
    run, printed = evaluated()
    assert "macro_f1" in printed
    assert is_answered(evaluation_note(typed(f"run={run.directory}", command="evaluate")))
    assert capsys.readouterr().out == printed


def test_what_takes_more_than_a_stored_table_is_evaluated(typed, evaluated):
    run, _ = evaluated()
    for more in ("split=test", "split=predict", "split=out_of_fold", "split=train", "analysis=[slices]"):
        assert evaluation_note(typed(f"run={run.directory}", more, command="evaluate")) is None
    other = typed(f"run={run.directory}", "statistics.n_resamples=7", command="evaluate")
    assert not evaluation_note(other).exists


@pytest.mark.parametrize("name", ["record.json", "metrics.json", "config.yaml", "predictions/val.parquet"])
def test_a_changed_run_ends_the_note_on_its_evaluation(typed, evaluated, name):
    run, _ = evaluated()
    config = typed(f"run={run.directory}", command="evaluate")
    assert evaluation_note(config).read() is not None
    with (run.directory / name).open("ab") as file:
        file.write(b"\n")
    assert evaluation_note(config).read() is None


def test_a_link_out_of_a_run_is_refused_as_ever(typed, evaluated, tmp_path):
    run, _ = evaluated()
    (run.directory / "figures" / "elsewhere").symlink_to(tmp_path)
    assert evaluation_note(typed(f"run={run.directory}", command="evaluate")) is None


def _in_a_process(project: Path, *command: str) -> str:
    """What a command prints, and which of the heavy packages its process then holds."""
    code = (
        f"import runpy, sys; sys.argv = {[str(project / command[0]), *command[1:]]}; "
        "runpy.run_path(sys.argv[0], run_name='__main__'); "
        "print([name for name in ('torch', 'pandas', 'optuna', 'sklearn', 'scipy') if name in sys.modules])"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_a_process_answers_without_a_heavy_package(typed, small, corpus, finished, evaluated, project):
    printed = finished()
    settings = [PRESET, *small, f"data.folder={corpus}", *THREE]
    assert _in_a_process(project, "sweep.py", *settings) == f"{printed}[]\n"
    run, printed = evaluated()
    assert _in_a_process(project, "evaluate.py", f"run={run.directory}") == f"{printed}[]\n"


def test_a_note_knows_the_source_code_and_the_installed_packages(tmp_path, monkeypatch):
    source = tmp_path / "hallmark" / "__init__.py"
    source.parent.mkdir()
    source.write_text("x = 1")
    monkeypatch.setattr("hallmark.__file__", str(source))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    states = [notes._installation.__wrapped__()]
    source.write_text("x = 2")
    states.append(notes._installation.__wrapped__())
    (tmp_path / "package-2.dist-info").mkdir()
    states.append(notes._installation.__wrapped__())
    assert states[0] != states[1] != states[2] == notes._installation.__wrapped__()
