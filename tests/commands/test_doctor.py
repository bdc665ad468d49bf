import json
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hallmark.commands import doctor
from hallmark.commands.diagnosis import machine, packages, places
from hallmark.commands.diagnosis.finding import failed, ok, warning

SECRET = "sk-0123456789-do-not-print"
INSTALL = "pip install --require-hashes -r requirements.txt"


def told(findings):
    return [(str(finding.level), finding.text) for finding in findings]


def replace_checks(monkeypatch, **checks):
    monkeypatch.setattr(doctor, "_checks", lambda outputs, data_folder: checks)


def test_one_line_each_and_a_check_that_raises_does_not_stop_the_others(monkeypatch, hallmark):
    def broken():
        yield ok("so far")
        raise OSError("no\nsuch device")

    replace_checks(monkeypatch, first=lambda: iter([ok("fine"), warning("full\n  soon")]), second=broken,
                   third=lambda: iter([ok("last")]))  # fmt: skip
    code, printed, _ = hallmark("doctor")
    assert code == 1
    assert [line.split(maxsplit=2) for line in printed.splitlines()] == [
        ["ok", "first", "fine"],
        ["warning", "first", "full soon"],
        ["ok", "second", "so far"],
        ["failed", "second", "could not be checked (OSError: no such device)"],
        ["ok", "third", "last"],
    ]
    assert json.loads(hallmark("doctor", "--json")[1])[3] == {
        "check": "second", "level": "failed", "text": "could not be checked (OSError: no such device)",
    }  # fmt: skip


def test_a_secret_in_an_error_is_not_printed(monkeypatch, hallmark):
    def broken():
        raise OSError(f"refused: https://user:{SECRET}@hub")
        yield

    monkeypatch.setenv("HF_TOKEN", SECRET)
    replace_checks(monkeypatch, only=broken)
    assert SECRET not in hallmark("doctor")[1] + hallmark("doctor", "--json")[1]


@pytest.mark.parametrize(("finding", "code"), [(ok("a"), 0), (warning("a"), 0), (failed("a"), 1)])
def test_the_exit_code_says_whether_something_failed(monkeypatch, hallmark, finding, code):
    replace_checks(monkeypatch, only=lambda: iter([finding]))
    assert hallmark("doctor")[0] == hallmark("doctor", "--json")[0] == code


def test_all_checks_on_this_machine(monkeypatch, hallmark, tmp_path):
    for name in ("WANDB_API_KEY", "OPENAI_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setattr("hallmark.commands.diagnosis.needs.preset_classes", lambda conf: [])
    code, printed, errors = hallmark("doctor", "--json", "--data-folder", str(tmp_path))
    findings = json.loads(printed)
    assert code == 0, [line for line in findings if line["level"] == "failed"]
    assert {line["check"] for line in findings} >= {
        "python", "packages", "torch", "devices", "determinism", "disk", "locks", "runs", "keys", "extras",
        "test tools", "git", "data", "hub caches",
    }  # fmt: skip
    assert SECRET not in printed + errors


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("numpy>=2", None),
        ("numpy>=999", f"numpy {metadata.version('numpy')} is installed, >=999 needed: {INSTALL}"),
        ("no-such-package>=1", f"no-such-package is not installed: {INSTALL}"),
    ],
)  # fmt: skip
def test_packages_are_held_against_their_ranges(monkeypatch, wanted, problem):
    assert packages.mismatch(Requirement(wanted)) == problem
    monkeypatch.setattr(packages, "declared", lambda package: [Requirement(wanted), Requirement("x; extra == 'dev'")])
    expected = ("failed", problem) if problem else ("ok", "1 packages within their ranges")
    assert told(packages.packages()) == [expected]


def test_the_declared_ranges_are_those_of_the_project(project):
    assert {package.name for package in packages.declared(packages.PROJECT)} >= {
        "torch",
        "optuna",
        "cleanlab",
        "pytest",
    }


def test_a_torchvision_for_another_torch_has_failed(monkeypatch):
    monkeypatch.setattr(packages, "declared", lambda package: [Requirement("torch==1.0"), Requirement("numpy")])
    [(level, text)] = told(packages.torch_pair())
    assert level == "failed"
    assert "do not match" in text and "install both together" in text


def test_an_extra_that_is_missing_says_how_to_get_it(monkeypatch):
    lines = [Requirement("no-such-package>=1; extra == 'wandb'"), Requirement("numpy; extra == 'tensorboard'")]
    monkeypatch.setattr(packages, "declared", lambda package: lines)
    findings = dict(text.split(": ", 1) for _, text in told(packages.extras()))
    assert findings["wandb"] == "no-such-package is not installed (pip install 'hallmark-experiments[wandb]')"
    assert findings["tensorboard"] == "installed"


def test_programs_for_tests(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(packages, "_POSTGRES", f"{tmp_path}/*/initdb")
    assert [level for level, _ in told(packages.test_tools())] == ["warning", "warning"]
    for program in ("chromium", "initdb"):
        (tmp_path / program).touch(mode=0o755)
    assert told(packages.test_tools()) == [
        ("ok", f"chromium: {tmp_path / 'chromium'}"), ("ok", f"PostgreSQL: {tmp_path / 'initdb'}"),
    ]  # fmt: skip


def test_keys_are_present_or_absent_and_never_shown(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert told(machine.keys()) == [
        ("ok", "WANDB_API_KEY: present"),
        ("ok", "OPENAI_API_KEY: absent; no hosted model is called"),
        ("ok", "HF_TOKEN: absent; only public weights are downloaded"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "fine"),
    [("CUBLAS_WORKSPACE_CONFIG", ":4096:8", True), ("CUBLAS_WORKSPACE_CONFIG", ":0:0", False),
     ("NVIDIA_TF32_OVERRIDE", "0", True), ("NVIDIA_TF32_OVERRIDE", "1", False)],
)  # fmt: skip
def test_an_environment_that_is_not_deterministic(monkeypatch, name, value, fine):
    for other in ("CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    [(level, text)] = told(machine.determinism())
    assert (level == "ok") is fine
    assert fine or f"{name}={value}" in text


def test_git_absent_clean_and_changed(monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    assert told(machine.git())[0][1].startswith("not in a git repository")
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *settings, *command], check=True)
    [(level, text)] = told(machine.git())
    assert level == "ok" and text.endswith(", clean")
    Path("new").touch()
    [(level, text)] = told(machine.git())
    assert level == "warning" and "needs a clean tree" in text
    monkeypatch.setenv("PATH", str(tmp_path))
    assert told(machine.git())[0][1].startswith("git not found")


def test_disk_space_and_permission(monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    outputs = tmp_path / "not" / "yet"
    monkeypatch.delenv("HALLMARK_CACHE")
    for free, level in ((2**40, "ok"), (2**30, "warning"), (2**20, "failed")):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage._replace(free=free))
        assert [findings for findings, _ in told(places.disk(outputs))] == [level, level]
    assert not outputs.exists()
    monkeypatch.setenv("HALLMARK_CACHE", "/proc/hallmark")  # nobody can write there
    assert told(places.disk(outputs))[1][0] == "failed"


def test_locks_that_hold_and_locks_that_do_not(monkeypatch, tmp_path):
    assert told(places.locks(tmp_path / "outputs")) == [("ok", f"file locks work in {tmp_path / 'outputs'}")]
    monkeypatch.setattr(places.FileLock, "__enter__", lambda self: self)  # a filesystem that grants every lock
    monkeypatch.setattr(places.FileLock, "__exit__", lambda self, *_: None)
    assert told(places.locks(tmp_path / "outputs"))[0][0] == "failed"
    assert list(tmp_path.iterdir()) == []


def test_runs_that_were_cut_off_or_damaged(make_run, tmp_path):
    outputs = tmp_path / "outputs"
    assert told(places.runs(outputs)) == [("ok", f"none yet in {outputs}")]
    make_run("clip", "a")
    make_run("clip", "b", state="running")
    (make_run("clip", "c") / "record.json").write_text("{")
    counts, damaged, interrupted = told(places.runs(outputs))
    assert counts == ("ok", "1 done, 1 interrupted, 1 unreadable")
    assert damaged[0] == "warning" and str(outputs / "clip" / "c" / "record.json") in damaged[1]
    assert interrupted[0] == "warning" and interrupted[1].startswith("1 interrupted")


def test_caches_that_the_environment_names(monkeypatch, tmp_path):
    for name in ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert [level for level, _ in told(machine.hub_caches())] == ["ok"]
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nowhere"))
    [(level, text)] = told(machine.hub_caches())
    assert level == "warning" and text.startswith(f"HF_HOME={tmp_path / 'nowhere'}: no such folder")
