"""Train and evaluate as a user types it."""

import re

import pandas as pd
import pytest

pytestmark = pytest.mark.e2e


def test_train_then_evaluate(command, small, tmp_path):
    printed = command("train.py", "experiment=sentiment_tfidf", *small)
    assert re.search(r"sentiment_tfidf starts: profile=sample, data .*sentiment-\w+ \(predict 20, test \d+", printed)
    assert re.search(r"selected on val/macro_f1 = 0\.\d+", printed)
    (folder,) = (tmp_path / "outputs" / "sentiment_tfidf").iterdir()
    assert str(folder) in printed
    printed = command("evaluate.py", f"run={folder}", "split=predict")
    assert f"20 unlabelled rows: {folder / 'test_with_label.txt'}" in printed
    assert len(pd.read_csv(folder / "test_with_label.txt")) == 20
