"""What a user's settings and the machine do is a sentence; a mistake in code keeps its traceback."""

import errno
import gc
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from tests.engine.entry import Entry, entry

from hallmark.checks import SettingError
from hallmark.console import main as console
from hallmark.engine.launch import collector_paused
from hallmark.engine.search.worker import work
from hallmark.runs.record import Record
from hallmark.systems.sentiment.module import TfidfClassifier

pytestmark = pytest.mark.e2e

__all__ = ["entry"]

TFIDF = "experiment=sentiment_tfidf"
TEXT = ["experiment=sentiment_text", "debug=fast"]
STEP = "hallmark.systems.sentiment.module.PairClassifier.training_step"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


def records(outputs: Path) -> list[Path]:
    return sorted(outputs.glob("*/*/record.json"))


def raiser(error: BaseException):
    def step(*_, **__):
        raise error

    return step


IN_CODE = {
    "a training step": (STEP, ValueError("boom")),
    "a prediction": (STEP.replace("training", "predict"), ValueError("boom")),
    "another kind": (STEP, KeyError("boom")),
    "a library": ("hallmark.engine.train.predict_split", ValueError("boom")),
}


@pytest.mark.parametrize(("target", "error"), IN_CODE.values(), ids=IN_CODE)
def test_a_mistake_in_code_keeps_its_traceback(entry: Entry, outputs, small, monkeypatch, target, error):
    monkeypatch.setattr(target, raiser(error))
    ended = entry("train.py", *TEXT, *small)
    (record,) = records(outputs)
    assert (ended.code, ended.is_traceback) == (1, True)
    assert "boom" in ended.err and Path(__file__).name in ended.err
    assert f"recorded in {record}" in ended.err
    assert "boom" in (Record.read(record.parent).error or "")


def test_what_a_user_did_within_a_fit_is_a_sentence(entry: Entry, outputs, small, monkeypatch):
    monkeypatch.setattr(STEP, raiser(SettingError("model.head.width", -1, "at least 1")))
    ended = entry("train.py", *TEXT, *small)
    assert (ended.code, ended.is_traceback) == (2, False)
    assert "error: model.head.width=-1: expected at least 1\n" in ended.err
    assert str(records(outputs)[0]) in ended.err


def test_a_setting_is_a_sentence(entry: Entry, outputs, small):
    ended = entry("train.py", TFIDF, *small, "data.batch_size=-1")
    assert (ended.code, ended.is_traceback) == (2, False)
    assert ended.err.endswith("error: data.batch_size=-1: expected at least 1\n")
    assert records(outputs) == []


MACHINE = [errno.EROFS, errno.EDQUOT, errno.EACCES]
FILES = ["config.yaml", "splits.csv", "history.csv", "val.parquet", "learning_curves.png"]


@pytest.mark.parametrize("number", MACHINE, ids=errno.errorcode.get)
def test_what_the_machine_does_not_allow_is_a_sentence(entry: Entry, small, monkeypatch, number):
    refuse(monkeypatch, "record.json", number)
    ended = entry("train.py", TFIDF, *small)
    assert (ended.code, ended.is_traceback) == (2, False)
    assert os.strerror(number) in ended.err and "record.json" in ended.err


@pytest.mark.parametrize("name", FILES)
def test_a_full_disk_at_any_file_of_a_fit_is_a_sentence(entry: Entry, small, monkeypatch, name):
    refuse(monkeypatch, name, errno.ENOSPC)
    ended = entry("train.py", TFIDF, *small)
    assert (ended.code, ended.is_traceback) == (2, False)
    assert "No space left on device" in ended.err and name in ended.err


def refuse(monkeypatch, name: str, number: int) -> None:
    """Let every renaming onto a file `name` fail as the system does with `number`."""
    replace = os.replace

    def refusing(source, target, **settings):
        if Path(target).name == name:
            raise OSError(number, os.strerror(number), str(target))
        replace(source, target, **settings)

    monkeypatch.setattr("os.replace", refusing)


@pytest.fixture
def copied(project: Path, tmp_path: Path) -> Path:
    """The scripts with a `conf` that may be changed."""
    shutil.copytree(project / "conf", tmp_path / "copy" / "conf")
    for script in ("train.py", "evaluate.py", "sweep.py"):
        shutil.copy(project / script, tmp_path / "copy")
    return tmp_path / "copy"


BROKEN = {
    "a quote": (b"name: 'sentiment_tfidf\nseed: 1\n", "line 3"),
    "an indentation": (b"name: a\n  seed: 1\n", "line 2, column 7"),
    "a tab": (b"name: a\nmodel:\n\tseed: 1\n", "line 3, column 1"),
    "a key twice": (b"name: a\nname: b\n", "line 2, column 1"),
    "a control character": (b"name: a\x07\n", "sentiment_tfidf.yaml"),
    "another encoding": ("name: \u00e4\n".encode("latin-1"), "not UTF-8"),
}


@pytest.mark.parametrize(
    ("script", "content", "where"),
    [
        *(("train.py", *case) for case in BROKEN.values()),
        *((script, *BROKEN["a quote"]) for script in ("evaluate.py", "sweep.py")),
    ],
    ids=[*BROKEN, "to evaluate", "to search"],
)
def test_a_preset_that_is_not_yaml_is_named_with_its_line(entry: Entry, outputs, copied, script, content, where):
    preset = copied / "conf" / "experiment" / "sentiment_tfidf.yaml"
    preset.write_bytes(content)
    ended = entry(script, TFIDF, folder=copied)
    assert (ended.code, ended.is_traceback) == (2, False)
    assert str(preset) in ended.err and where in ended.err
    assert not outputs.exists()


def test_so_by_the_tool_that_composes(copied, monkeypatch, capsys):
    preset = copied / "conf" / "experiment" / "sentiment_tfidf.yaml"
    preset.write_bytes(BROKEN["a quote"][0])
    monkeypatch.chdir(copied)
    assert console(["check-data", TFIDF]) == 2
    printed = capsys.readouterr()
    assert str(preset) in printed.err + printed.out and "Traceback" not in printed.err


def test_a_stored_configuration_that_is_not_yaml(entry: Entry, fitted):
    run = fitted(TFIDF)
    (run.directory / "config.yaml").write_text("name: 'x\n")
    ended = entry("evaluate.py", f"run={run.directory}")
    assert (ended.code, ended.is_traceback) == (2, False)
    assert str(run.directory / "config.yaml") in ended.err


def test_a_trial_that_fails_says_why_and_where_its_log_is(swept, outputs, monkeypatch, capsys):
    """The log is that of a worker process, and this one's stands in its place."""
    monkeypatch.setattr("tests.engine.sweeping.work", lambda *job: work(*job, Path("workers") / "1.log"))
    monkeypatch.setattr(TfidfClassifier, "on_fit_start", raiser(ValueError("boom")))
    with pytest.raises(ValueError, match="1 of 1 trials failed"):
        swept("sweep=grid", "sweep.space={model.ngrams: [1]}")
    (record,) = records(outputs)
    printed = capsys.readouterr().out
    assert f"ValueError: boom; recorded in {record}; log: workers/1.log" in printed
    assert "Traceback" in printed  # which is what the log holds


class Ascii(io.TextIOWrapper):
    """A terminal that knows ASCII alone."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), "ascii", write_through=True)

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]


@contextmanager
def ascii_terminal() -> Iterator[Ascii]:
    """In the place of this process's output, which pytest gives a test anew."""
    terminal = Ascii()
    with redirect_stdout(terminal), redirect_stderr(terminal):
        yield terminal


def test_an_ascii_terminal_shows_a_fit_and_an_evaluation(entry: Entry, outputs, small):
    with ascii_terminal() as terminal:
        assert entry("train.py", TFIDF, *small).code == 0, terminal.text
        (record,) = records(outputs)
        assert entry("evaluate.py", f"run={record.parent}", "analysis=[slices]").code == 0, terminal.text
        assert entry("sweep.py", "--help").code == 0
    assert "| macro_f1" in terminal.text and "sentiment_tfidf | val | n = 12" in terminal.text


@pytest.mark.parametrize("command", ["runs", "report", "check-data"])
def test_an_ascii_terminal_shows_what_the_tools_say(fitted, small, command):
    run = fitted(TFIDF)
    arguments = {"report": [str(run.directory)], "check-data": [TFIDF, *small]}.get(command, [])
    with ascii_terminal() as terminal:
        assert console([command, *arguments]) == 0, terminal.text
    assert terminal.text


def test_a_storage_that_cannot_be_reached(entry: Entry, outputs, small, monkeypatch):
    monkeypatch.setenv("HALLMARK_STORAGE", "postgresql+psycopg://me@127.0.0.1:1/sweeps")
    ended = entry("sweep.py", TFIDF, *small, "sweep=grid", "sweep.space={model.ngrams: [1, 2]}")
    assert (ended.code, ended.is_traceback) == (2, False)
    assert "error: storage='postgresql+psycopg://me@127.0.0.1:1/sweeps'" in ended.err
    assert not (outputs / "sentiment_tfidf").exists()


def test_the_garbage_collector_rests_while_heavy_modules_load():
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
