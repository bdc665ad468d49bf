"""A finished run that is asked for again is found done by its note, unless anything has changed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine.centroids import MODEL
from tests.engine.sweeping import PRESET as TFIDF

from hallmark.engine.cached.done import note_of
from hallmark.engine.job import Job
from hallmark.engine.repeats import is_done, train_repeats
from hallmark.runs.run import RunConflict
from hallmark.systems.sentiment.sample.world import generate

pytestmark = pytest.mark.e2e


@pytest.fixture
def corpus(tmp_path) -> Path:
    return generate(tmp_path / "corpus", rows=120, unlabelled=20, seed=7, label_noise=0.05, image_size=32)


@pytest.fixture
def config(compose, small, corpus):
    return compose(TFIDF, *small, f"data.folder={corpus}")


@pytest.fixture
def unread(monkeypatch) -> Callable[[], None]:
    """From its call on nothing is read and nothing computed."""

    def unread() -> None:
        for name in ("setup.prepare_data", "train.print_result"):
            monkeypatch.setattr(f"hallmark.engine.{name}", lambda *_: pytest.fail("the data was read"))

    return unread


def test_it_says_what_it_said_without_reading_its_data(config, capsys, unread, files):
    value = train_repeats(config)
    table = capsys.readouterr().out.partition("sentiment_tfidf · val")[2]
    before = files(Job.of(config).run)
    unread()
    assert is_done(config)
    assert train_repeats(config) == value
    printed = capsys.readouterr().out
    assert printed.startswith(f"{Job.of(config).directory} is done (rerun=true would replace it)\n")
    assert printed.partition("sentiment_tfidf · val")[2] == table
    assert files(Job.of(config).run) == before


def test_a_set_of_repeats_is_found_done_too(compose, small, corpus, unread, capsys):
    config = compose(TFIDF, *small, f"data.folder={corpus}", "repeat='seeds:2'")
    value = train_repeats(config)
    assert not is_done(compose(TFIDF, *small, f"data.folder={corpus}", "repeat='seeds:3'"))
    unread()
    assert is_done(config)
    assert train_repeats(config) == value
    assert capsys.readouterr().out.count(" is done ") == 2


def _other_text(corpus: Path) -> None:
    path = sorted((corpus / "data").glob("*.txt"))[0]
    status = path.stat()
    path.write_text(path.read_text()[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_other_data_are_noticed_as_ever(config, corpus):
    train_repeats(config)
    _other_text(corpus)
    with pytest.raises(RunConflict, match="data: fingerprint"):
        train_repeats(config)


def test_other_code_is_noticed_as_ever(config, monkeypatch):
    train_repeats(config)
    monkeypatch.setattr("hallmark.engine.repeats.report_noted", lambda job: None)  # a note stands for the same sources
    monkeypatch.setattr("hallmark.engine.job.code_hashes", lambda *_: {"data/module.py": "other"})
    with pytest.raises(RunConflict, match=r"code: .*data/module.py"):
        train_repeats(config)


def test_classes_of_other_packages_are_known_by_their_source(compose, monkeypatch, unread):
    config = compose(*MODEL)
    value = train_repeats(config)
    with monkeypatch.context() as patched:
        patched.setattr("hallmark.engine.job.code_hashes", lambda *_: {"tests.engine.centroids": "other"})
        assert not is_done(config)
        with pytest.raises(RunConflict, match=r"code: .*tests.engine.centroids"):
            train_repeats(config)
    assert not is_done(compose(*MODEL, "trusted_packages=[tests,other]"))
    unread()
    assert is_done(config)
    assert train_repeats(config) == value


def test_a_note_on_anything_else_is_not_believed(config, unread):
    train_repeats(config)
    unread()
    path = note_of(Job.of(config)).file
    note = json.loads(path.read_text())
    (files, _), *others = note["states"]
    changed = {"checked": "other", "states": [[files, "times:other"], *others]}
    for key, value in changed.items():
        path.write_text(json.dumps({**note, key: value}))
        with pytest.raises(pytest.fail.Exception, match="the data was read"):
            train_repeats(config)


def test_what_else_is_asked_for_is_done(config, compose, small, corpus, unread):
    train_repeats(config)
    for more in ("rerun=true", "analysis=[slices]", "seed=1"):
        assert not is_done(compose(TFIDF, *small, f"data.folder={corpus}", more))
    (Job.of(config).directory / "record.json").unlink()
    unread()
    with pytest.raises(pytest.fail.Exception, match="the data was read"):
        train_repeats(config)


@pytest.mark.parametrize("more", [[], ["repeat='seeds:2'"]])
def test_what_was_deleted_is_not_done_and_a_refusal_leaves_no_folder(compose, small, corpus, tmp_path, more):
    config = compose(TFIDF, *small, f"data.folder={corpus}", *more)
    train_repeats(config)
    shutil.rmtree(tmp_path / "outputs")
    assert not is_done(config)
    shutil.rmtree(corpus)
    with pytest.raises(ValueError, match=str(corpus)):
        train_repeats(config)
    assert not (tmp_path / "outputs").exists()
