"""No secret of the environment reaches a file or the terminal."""

import os
import secrets
import zipfile
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from tests.leaks import leaks
from tests.processes import Process

pytestmark = pytest.mark.e2e

NAMES = ["WANDB_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PGPASSWORD"]
RUN = ["experiment=sentiment_text", "debug=fast", "logger=wandb"]
LEAKY = """import os

from lightning import Callback


class Leaky(Callback):
    def on_train_start(self, *_):
        raise RuntimeError(f"401 for {os.environ['OPENAI_API_KEY']}")
"""


@pytest.fixture
def sentinels(tmp_path, monkeypatch) -> dict[str, str]:
    """The value of each secret; the user's home lies in the test's folder, so that it is searched too."""
    values = {name: secrets.token_hex(20) for name in NAMES}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_configdir())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return values


class ProcessAtHome(Process):
    """A process that has imported everything in the home and with the secrets of `sentinels`."""

    server = None


def test_secrets_stay_in_the_environment(command, start, sentinels, small, tmp_path, monkeypatch):
    (tmp_path / "leaky.py").write_text(LEAKY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    here = {"kind": ProcessAtHome}
    printed = command("train.py", *RUN, *small, **here)
    (folder,) = (tmp_path / "outputs" / "sentiment_text").iterdir()
    bad_cases = ["analysis=[bad_cases,slices]", "analysis.bad_cases.source=val"]
    printed += command("evaluate.py", f"run={folder}", *bad_cases, **here)
    process = start("train.py", *RUN, *small, "seed=1", "+callbacks.leaky={_target_: leaky.Leaky}",
                    "trusted_packages=[leaky]", **here)  # fmt: skip
    failed = process.communicate()[0]
    assert process.returncode == 1
    assert "RuntimeError: 401 for ***" in failed
    assert "Traceback" in failed and "Error executing job" not in failed
    assert "RuntimeError: 401 for ***" in "".join(
        path.read_text() for path in (tmp_path / "outputs").glob("*/*/record.json")
    )
    assert len(list((tmp_path / "outputs").glob("*/*/wandb/offline-run-*/*.wandb"))) == 3
    assert list((tmp_path / "outputs").rglob("*.ckpt")) and list((tmp_path / "outputs").rglob("*.parquet"))
    assert leaks(tmp_path, sentinels) == []
    assert not [value for value in sentinels.values() if value in printed + failed]


@pytest.mark.parametrize(
    ("key", "override"),
    [
        ("logger.wandb.api_key", "+logger.wandb.api_key={}"),
        ("logger.wandb.password", "+logger.wandb={{project: x, password: {}}}"),
        ("data.folder", "data.folder=/data/{}"),
        ("sweep.storage", "+sweep.storage=postgresql://user:{}@host/db"),
    ],
)
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(start, sentinels, tmp_path, key, override):
    value = sentinels["PGPASSWORD"]
    process = start("train.py", *RUN, override.format(value))
    printed = process.communicate()[0]
    assert process.returncode == 2
    assert printed.startswith(f"error: {key}: ")
    assert "environment variable" in printed
    assert value not in printed
    assert not (tmp_path / "outputs").exists()


def test_a_secret_read_into_a_setting_is_refused(start, sentinels, small, tmp_path):
    process = start("train.py", *RUN, *small, "logger.wandb.project=${oc.env:HF_TOKEN}")
    printed = process.communicate()[0]
    assert process.returncode == 2
    assert "error: logger.wandb.project: this is a secret" in printed
    assert sentinels["HF_TOKEN"] not in printed
    assert leaks(tmp_path, sentinels) == []


ADDRESS = "https://user:{}@127.0.0.1/v1"
VLM = ["experiment=refseg_vlm"]
JOBS = "sweep.plan={{_target_: hallmark.engine.search.plans.JobList, jobs: {{a: ['model.rewriter.key_variable={}']}}}}"
# (script, arguments with the secret as {}, what the environment holds, the key that is named)
WAYS = {
    "a key where its variable belongs": (
        "evaluate.py", [*VLM, "model.rewriter.key_variable={}"], {}, "model.rewriter.key_variable"),
    "the same within a section": (
        "train.py", [*RUN, "+callbacks.mail={{api_key_env: {}}}"], {}, "callbacks.mail.api_key_env"),
    "the same in every point of a grid": (
        "train.py", ["-m", *VLM, "model.rewriter.key_variable=A_KEY,{}"], {}, "model.rewriter.key_variable"),
    "the same in a listed job": (
        "sweep.py", [*VLM, "sweep=grid", JOBS, "jobs=2"], {}, "model.rewriter.key_variable"),
    "a variable whose name is a key": (
        "evaluate.py", [*VLM, "model.rewriter.base_url=${{oc.env:{}-x}}"], {}, "model.rewriter.base_url"),
    "an endpoint with a login": (
        "evaluate.py", [*VLM, "model.rewriter.base_url=${{oc.env:LLM}}"], {"LLM": ADDRESS}, "model.rewriter.base_url"),
    "an endpoint with a query": (
        "evaluate.py", [*VLM, "model.rewriter.base_url=${{oc.env:LLM}}"], {"LLM": "http://127.0.0.1/v1?x={}"},
        "model.rewriter.base_url"),
    "a database": ("train.py", [*RUN, "+note=${{oc.env:DATABASE_URL}}"], {"DATABASE_URL": "postgresql://u:{}@h/d"},
                   "note"),
    "a proxy, by the way of another setting": (
        "train.py", [*RUN, "+a=${{oc.env:HTTPS_PROXY}}", "+b=${{a}}"], {"HTTPS_PROXY": "http://u:{}@h:3128"}, "a"),
    "a password by a short name": ("train.py", [*RUN, "+note=${{oc.env:DB_PASS}}"], {"DB_PASS": "{}"}, "note"),
    "another": ("train.py", ["-m", *RUN, "seed=1,2", "+note=x${{oc.env:MYSQL_PWD}}"], {"MYSQL_PWD": "{}"}, "note"),
    "a connection string": ("train.py", [*RUN, "+note='AccountKey={};Name=x'"], {}, "note"),
    "a value of a search space": (
        "sweep.py", [*RUN, "sweep=grid", "sweep.space={{data.folder: ['/d/${{oc.env:DB_PWD}}']}}"], {"DB_PWD": "{}"},
        "sweep.space.data.folder"),
    "why the seal is opened": (
        "evaluate.py", ["run=x", "split=test", "seal.reason=${{oc.env:DB_PWD}}"], {"DB_PWD": "{}"}, "seal.reason"),
}  # fmt: skip


@pytest.mark.parametrize(("script", "arguments", "variables", "key"), WAYS.values(), ids=WAYS)
def test_each_way_of_a_secret_into_files_is_refused_before_the_first_byte(
    start, tmp_path, monkeypatch, script, arguments, variables, key
):
    sentinel = secrets.token_hex(20)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(sentinel))
    hydra = [f"hydra.run.dir={tmp_path / 'job'}", "hydra.output_subdir=.hydra", "hydra/job_logging=default"]
    process = start(script, *(argument.format(sentinel) for argument in arguments), *hydra)
    printed = process.communicate()[0]
    assert process.returncode == 2, printed
    assert printed.startswith(f"error: {key}: ")
    assert sentinel not in printed
    assert not (tmp_path / "outputs").exists() and not (tmp_path / "job").exists()


def test_a_secret_in_a_preset_is_refused_before_hydra_writes_a_file(start, tmp_path):
    sentinel = secrets.token_hex(20)
    preset = tmp_path / "conf" / "experiment" / "leaky.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text(f"# @package _global_\nname: leaky\nnote: {{smtp_password: {sentinel}}}\n")
    process = start("train.py", "-m", f"hydra.searchpath=[{tmp_path / 'conf'}]", "experiment=leaky", "seed=1,2")
    printed = process.communicate()[0]
    assert process.returncode == 2, printed
    assert printed.startswith("error: note.smtp_password: ")
    assert sentinel not in printed
    assert not (tmp_path / "outputs").exists()


def test_the_search_finds_what_is_hidden(tmp_path):
    sentinels = {"HF_TOKEN": "0123456789abcdef"}
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", "x" * 99 + sentinels["HF_TOKEN"])
    pd.DataFrame({"text": ["x" * 99 + sentinels["HF_TOKEN"]] * 9}).to_parquet(
        tmp_path / "b.parquet", compression="zstd"
    )
    (tmp_path / "c.log").write_text("key " + sentinels["HF_TOKEN"])
    assert sorted(Path(file).name for file, _ in leaks(tmp_path, sentinels)) == ["a.ckpt", "b.parquet", "c.log"]
