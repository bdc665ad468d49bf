"""Train and evaluate as a user types it."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tests.processes import Process

pytestmark = pytest.mark.e2e


def test_train_then_evaluate(command, small, tmp_path):
    printed = command("train.py", "experiment=sentiment_tfidf", *small)
    assert re.search(r"sentiment_tfidf starts: profile=sample, data .*sentiment-\w+ \(predict 20, test \d+", printed)
    assert re.search(r"selected on val/macro_f1 = 0\.\d+ in epoch \d+, checkpoints/best\.ckpt", printed)
    (folder,) = (tmp_path / "outputs" / "sentiment_tfidf").iterdir()
    assert str(folder) in printed
    printed = command("evaluate.py", f"run={folder}", "split=predict", kind=subprocess.Popen)
    assert f"20 unlabelled rows: {folder / 'test_with_label.txt'}" in printed
    assert len(pd.read_csv(folder / "test_with_label.txt")) == 20


def test_from_repeats_to_a_verified_release(command, small, tmp_path):
    outputs = tmp_path / "outputs"
    printed = command("train.py", "experiment=sentiment_tfidf", "repeat=folds:2", *small)
    folder = next(line for line in reversed(printed.splitlines()) if line.startswith(str(outputs)))
    printed = command("evaluate.py", f"run={folder}", "analysis=[slices]")
    assert "slices: analysis/slices.csv" in printed
    assert f"sentiment_tfidf  {folder[-8:]}  done" in hallmark("runs", outputs)
    page = tmp_path / "page"
    hallmark("report", folder, "--output", page)
    assert "fold 1" in (page / "report.html").read_text()
    printed = hallmark("release", folder, "--waive", "git", "--no-tag", "--into", tmp_path / "RESULTS.md")
    archive = next(word for word in printed.split() if word.endswith(".zip"))
    assert "final settings and results" in (tmp_path / "RESULTS.md").read_text()
    printed = hallmark("release", "--verify", archive)
    assert re.search(
        r"\d+ files as they were written, \d+ metrics computed again from the predictions and equal", printed
    )


def hallmark(*arguments: object) -> str:
    """What `hallmark <arguments>` prints."""
    tool = Path(sys.executable).parent / "hallmark"
    process = Process([tool, *map(str, arguments)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, printed + errors
    return printed
