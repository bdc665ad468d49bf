"""The test split as two people meet it who evaluate at the same moment."""

import shutil

import pytest

from hallmark.runs.run import Run
from hallmark.runs.seal import accesses_of

pytestmark = pytest.mark.e2e


def test_of_two_evaluations_one_wins_and_its_record_outlives_its_run(command, start, small, tmp_path):
    command("train.py", "-m", "experiment=sentiment_tfidf", "seed=0,1", *small)
    runs = [path for path in (tmp_path / "outputs" / "sentiment_tfidf").iterdir() if (path / "record.json").exists()]
    assert len(runs) == 2
    processes = [start("evaluate.py", f"run={run}", "split=test") for run in runs]
    printed = [process.communicate()[0] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2], printed
    winner = [process.returncode for process in processes].index(0)
    assert "test · n =" in printed[winner]
    assert "error: the test split of sentiment_tfidf" in printed[1 - winner]
    (access,) = accesses_of(Run(runs[winner]))
    assert access.covers([Run(runs[winner])])
    shutil.rmtree(runs[winner])
    late = start("evaluate.py", f"run={runs[1 - winner]}", "split=test")
    text = late.communicate()[0]
    assert late.returncode == 2
    assert str(runs[winner]) in text and 'seal.reason="..."' in text
    assert f"accuracy {access.metrics['main']['accuracy']:.3f}" in text
