"""No secret of the environment reaches a file or the terminal."""

import io
import secrets
import zipfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pandas as pd
import pyarrow.parquet as pq
import pytest

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


def readings(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what is compressed in them."""
    content = path.read_bytes()
    yield content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(member) for member in archive.namelist())
    if path.suffix == ".parquet":
        yield str(pq.read_metadata(path).metadata).encode()
        yield pd.read_parquet(path).to_csv().encode()


def leaks(folder: Path, sentinels: dict[str, str]) -> list[tuple[str, str]]:
    """(file, name of the secret) of each that is found below `folder`."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        (str(path), name)
        for path in files
        for name, value in sentinels.items()
        if any(value.encode() in reading for reading in readings(path))
    ]


def test_secrets_stay_in_the_environment(command, start, sentinels, small, tmp_path, monkeypatch):
    printed = command("train.py", *RUN, *small)
    (folder,) = (tmp_path / "outputs" / "sentiment_text").iterdir()
    printed += command("evaluate.py", f"run={folder}", "analysis=[bad_cases,slices]", "analysis.bad_cases.source=val")
    (tmp_path / "leaky.py").write_text(LEAKY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = start("train.py", *RUN, *small, "seed=1", "+callbacks.leaky={_target_: leaky.Leaky}")
    failed = process.communicate()[0]
    assert process.returncode == 1
    assert "RuntimeError: 401 for ***" in failed
    assert "Traceback" in failed
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


def test_the_search_finds_what_is_hidden(tmp_path):
    sentinels = {"HF_TOKEN": "0123456789abcdef"}
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", "x" * 99 + sentinels["HF_TOKEN"])
    pd.DataFrame({"text": ["x" * 99 + sentinels["HF_TOKEN"]] * 9}).to_parquet(
        tmp_path / "b.parquet", compression="zstd"
    )
    (tmp_path / "c.log").write_text("key " + sentinels["HF_TOKEN"])
    assert sorted(Path(file).name for file, _ in leaks(tmp_path, sentinels)) == ["a.ckpt", "b.parquet", "c.log"]
