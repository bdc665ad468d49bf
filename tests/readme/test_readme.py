"""Each block of commands of README and docs, typed into an empty folder, at a fraction of its size."""

import os
import shlex
import time
from itertools import groupby

import pytest
from tests.readme.commands import bring_own_files, commands, resolved, unknown_exceptions
from tests.readme.cut import cut, start
from tests.readme.outputs import missing

pytestmark = pytest.mark.e2e

BLOCKS = {
    block: list(group)
    for block, group in groupby((command for command in commands() if not command.not_run), lambda c: c.block)
    if not block.startswith("docs/guide.md")  # whose commands `test_guide` types, to the end of each fit
}


@pytest.mark.parametrize("block", BLOCKS)
def test_the_commands_of_a_block_leave_what_the_page_says(block, small_of, tmp_path, project):
    for name in ("conf", "train.py", "evaluate.py", "sweep.py"):
        (tmp_path / name).symlink_to(project / name)
    bring_own_files(tmp_path)
    for number, command in enumerate(BLOCKS[block]):
        text = resolved(command.text, tmp_path / "outputs")
        began, log = time.time(), tmp_path / f"{number}.log"
        status = start(cut(text, small_of), tmp_path, log)
        assert status == 0, f"{command.page}:{command.line}: {text}\n{log.read_text()}"
        assert "GPU available" not in log.read_text(), (
            f"{command.page}:{command.line}: {text} repeats what Lightning says"
        )
        lacking = missing(text, tmp_path / "outputs", since=began)
        assert not lacking, f"{command.page}:{command.line}: {text} leaves no {', '.join(lacking)}\n{log.read_text()}"


def test_an_id_is_the_result_that_was_made_last(tmp_path):
    for number, name in enumerate(("first", "second", "third")):
        record = tmp_path / "clip_final" / name / ("repeats.json" if name == "third" else "record.json")
        record.parent.mkdir(parents=True)
        record.touch()
        os.utime(record, (number, number))
    assert resolved("hallmark release outputs/clip_final/<id>", tmp_path) == "hallmark release outputs/clip_final/third"
    with pytest.raises(LookupError, match="no archive"):
        resolved("hallmark release --verify outputs/clip_final/<archive>.zip", tmp_path)


def test_a_promised_file_that_is_not_there_is_named(tmp_path):
    run = tmp_path / "touch_balanced" / "1a2b3c4d"
    (run / "figures").mkdir(parents=True)
    (run / "figures" / "curves.png").touch()
    command = "python evaluate.py run=outputs/touch_balanced/latest analysis=[curves,slices]"
    assert missing(command, tmp_path, since=time.time()) == ["touch_balanced/*/*/slices*"]
    assert len(missing(command, tmp_path, since=time.time() + 60)) == 2  # drawn by an earlier command


def test_every_command_that_is_not_run_is_still_on_a_page():
    assert unknown_exceptions() == []


@pytest.mark.parametrize(
    "words",
    [
        "python train.py experiment=sentiment_txt",
        "python train.py experiment=sentiment_tfidf modle.ngrams=1",
        "hallmark rusn",
        "hallmark doctor --al",
    ],
)
def test_a_misspelled_command_fails(words, small_of, tmp_path, project):
    for name in ("conf", "train.py"):
        (tmp_path / name).symlink_to(project / name)
    assert start(shlex.split(words), tmp_path, tmp_path / "log") == 2
