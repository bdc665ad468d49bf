"""Which errors are sentences."""

import errno
import json
import os
import pickle
from pathlib import Path

import pytest
import yaml

from hallmark.checks import SettingError, UserError
from hallmark.statistics.significance.holm import holm
from hallmark.storage.failures import sentence, traceback_text
from hallmark.storage.files import atomic_path, read_json


def caught(act) -> BaseException:
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def raised(error: BaseException, cause: BaseException | None = None):
    def act() -> None:
        raise error from cause

    return act


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/record.json")
SENTENCES = {
    "a setting": (raised(SettingError("lr", -1, "above 0")), "lr=-1: expected above 0"),
    "another kind of Hallmark's": (raised(UserError("no such run")), "no such run"),
    "a statement of Hallmark's": (lambda: holm([2.0]), "p_values must be"),
    "a full disk": (raised(FULL), "/disk/record.json: No space left on device"),
    "what a full disk led to": (raised(RuntimeError("unexpected pos 64"), FULL), "/disk/record.json: No space left"),
    "an array cut short": (raised(OSError("4096 requested and 12 written")), "could not be written whole"),
    "not YAML": (lambda: yaml.safe_load("a: 'b\nc: d"), "line 2, column 5: not valid YAML"),
}
TRACEBACKS = {
    "a ValueError from elsewhere": raised(ValueError("boom")),
    "one of a library": lambda: int("three"),
    "one of a library, below Hallmark": lambda: pickle.loads(b"\x80"),
    "JSON": lambda: json.loads("{"),
    "another kind": raised(KeyError("boom")),
    "a file that code did not find": lambda: Path("/no/such/file").read_text(),
    "a process that may not be asked": raised(PermissionError(errno.EPERM, "Operation not permitted")),
}


@pytest.mark.parametrize(("act", "said"), SENTENCES.values(), ids=SENTENCES)
def test_what_a_user_or_the_machine_did(act, said):
    answer = sentence(caught(act))
    assert answer is not None and said in answer


@pytest.mark.parametrize("act", TRACEBACKS.values(), ids=TRACEBACKS)
def test_what_code_did(act):
    assert sentence(caught(act)) is None


def test_notes_and_secrets(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    error = caught(raised(SettingError("name", "0123456789abcdef", "a name")))
    error.add_note("recorded in outputs/record.json")
    assert sentence(error) == "name='***': expected a name\nrecorded in outputs/record.json"
    printed = traceback_text(error)
    assert "Traceback" in printed and "recorded in outputs/record.json" in printed and "0123456789abcdef" not in printed


def test_a_write_that_fails_without_a_name_is_given_one(tmp_path):
    def write() -> None:
        with atomic_path(tmp_path / "table.csv"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert sentence(caught(write)) == f"{tmp_path / 'table.csv'}: No space left on device"


def test_a_damaged_file_of_a_run_is_named(tmp_path):
    (tmp_path / "metrics.json").write_text('{"val": ')
    error = caught(lambda: read_json(tmp_path / "metrics.json"))
    assert isinstance(error, UserError) and str(tmp_path / "metrics.json") in (sentence(error) or "")
