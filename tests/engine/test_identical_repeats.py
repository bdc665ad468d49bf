"""Repeats whose members predict the same count once, and the n of a set is its rows."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from tests.engine.releasing import released

from hallmark.console import main
from hallmark.engine.job import Job
from hallmark.engine.repeats import train_repeats
from hallmark.runs.predictions import read_predictions, write_predictions
from hallmark.runs.repeats import RepeatSet
from hallmark.statistics import Resampling, all_intervals, table_metrics
from hallmark.storage.files import read_json

pytestmark = pytest.mark.e2e

TFIDF = "experiment=sentiment_tfidf"
LUCKY = ["experiment=clip_probe", "trainer.max_epochs=1"]  # its batches and weights are drawn by the seed
SAME = "The seed changes nothing in this model: its 3 runs predict the same and count as one"


@pytest.fixture
def repeat(compose, small):
    """A function from overrides to the set that they make."""

    def repeat(*overrides: str) -> RepeatSet:
        config = compose(*small, *overrides)
        train_repeats(config)
        return RepeatSet(Job.of(config).directory)

    return repeat


def rows_of(repeats: RepeatSet, split: str = "val") -> int:
    """Different labelled rows of a split, from the members' own lists of rows."""
    tables = [pd.read_csv(member.run.directory / "splits.csv", dtype=str) for member in repeats.members]
    return len({row for table in tables for row in table.loc[table["split"] == split, "id"]})


def test_seeds_that_change_nothing_are_one_model_everywhere(repeat, evaluate, capsys, tmp_path):
    repeats = repeat(TFIDF, "repeat=seeds:3")
    printed = " ".join(capsys.readouterr().out.split())
    assert SAME in printed and "Train with repeat=folds:5" in printed and "mean and std over 1 seed" in printed
    run = repeats.members[0].run
    assert read_json(repeats.directory / "repeats.json")["identical"] == [["seed 0", "seed 1", "seed 2"]]
    value = run.metrics["val"]["main"]["macro_f1"]
    assert repeats.metrics()["val"]["main"]["macro_f1"] == {"mean": value, "std": None, "n": 1}
    assert read_json(repeats.directory / "metrics.json") == repeats.metrics()
    assert pd.read_csv(repeats.directory / "runs.csv")["val/macro_f1"].tolist() == pytest.approx(
        [value] * 4 + [np.nan], nan_ok=True
    )
    single, pooled = read_predictions(run.directory / "predictions" / "val.parquet"), repeats.predictions("val")
    settings = {"resampling": Resampling(0.95, 200, 0)}
    assert pooled["member"].tolist() == [0] * len(single)
    assert table_metrics(pooled) == table_metrics(single)
    assert all_intervals(pooled, ["macro_f1"], **settings) == all_intervals(single, ["macro_f1"], **settings)
    evaluate(repeats, "analysis=[slices]")
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"n = {len(single)}( in \d+ groups)?, 1 seed ", printed) and SAME in printed
    main(["runs", str(tmp_path / "outputs"), "--json", "--kind", "set"])
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["n"], entry["std"], entry["identical"], entry["value"]) == (1, None, 2, pytest.approx(value))
    main(["runs", str(tmp_path / "outputs"), "--kind", "set"])
    assert "of its 3 runs the seed changes nothing" in capsys.readouterr().out
    main(["report", str(repeats.directory), "--output", str(tmp_path / "page")])
    text = (tmp_path / "page" / "report.md").read_text()
    assert SAME in text and "± 0.000" not in text and f"From {len(single)} rows × 1 seed" in text


def test_a_set_without_luck_is_released_by_a_waiver_only(repeat, place):
    repeats = repeat(TFIDF, "repeat=seeds:2", f"paths.outputs={place / 'outputs'}")
    with pytest.raises(ValueError, match=r"repeats: the seed changes nothing in this model, its 2 runs predict"):
        released(repeats)
    with pytest.raises(ValueError, match=r"train with repeat=folds:5 .*"):
        released(repeats.members[1].run)
    notes = place / "NOTES.md"
    archive = released(repeats, "repeats", into=notes)
    text = notes.read_text()
    assert (
        archive.exists()
        and "The seed changes nothing in this model: its 2 runs" in text
        and "±" not in (text.partition("Mean ± standard deviation over 1 seed:")[2])
    )
    assert f"val (n = {rows_of(repeats)})" in " ".join(text.replace("validation", "val").split())


def test_those_that_are_alike_among_others_count_once(repeat):
    repeats = repeat(*LUCKY, "repeat=seeds:3")
    first, _, last = [member.run for member in repeats.members]
    table = read_predictions(first.directory / "predictions" / "val.parquet")
    write_predictions(last.directory / "predictions" / "val.parquet", table)
    assert len(RepeatSet(repeats.directory).different) == 3  # as it was recorded
    repeats.write_summary()
    partly = RepeatSet(repeats.directory)
    assert partly.identical == [["seed 0", "seed 2"]] and partly.over == "2 seeds"
    assert partly.identical_text.endswith("(seed 0, seed 2): 2 of 3 runs are different.")
    assert sorted(set(partly.predictions("val")["member"])) == [0, 1]
    values = [member.run.metrics["val"]["main"]["accuracy"] for member in repeats.members[:2]]
    assert partly.metrics()["val"]["main"]["accuracy"]["n"] == 2
    assert partly.metrics()["val"]["main"]["accuracy"]["std"] == pytest.approx(np.std(values, ddof=1))


@pytest.mark.parametrize("how", ["seeds:2", "folds:2"])
def test_the_n_of_a_set_is_its_rows(how, repeat, evaluate, capsys, tmp_path):
    repeats = repeat(*LUCKY, f"repeat={how}")
    n, over = rows_of(repeats), f"2 {how[:5]}"
    assert repeats.identical == [] and len(repeats.different) == 2
    capsys.readouterr()
    evaluate(repeats, "analysis=[slices]")
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"n = {n}( in \d+ groups)?, {over} ", printed)
    table = pd.read_csv(repeats.directory / "analysis" / "slices.csv")
    assert table.loc[table["slice"] == "all", "n"].tolist() == [n]
    assert table_metrics(repeats.predictions("val"))["main"]["n"] == n
    main(["report", str(repeats.directory), "--output", str(tmp_path / "page")])
    text = (tmp_path / "page" / "report.md").read_text()
    size = f"{n} rows × 2 seeds" if how == "seeds:2" else f"{n} rows of 2 folds"
    assert f"From {size}" in text and f"mean ± standard deviation over {over}" in text
