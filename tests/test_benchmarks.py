"""What the benchmarks share: finished runs of another commit, tables of differences, the choice by validation rows."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks import refseg_tables, scale, scale_parts, scale_sweeps
from benchmarks.fits import CONF, composed, fitted, looked_at
from benchmarks.sentiment_real import best_by_fold, pooled
from benchmarks.tables import against, difference_table, holm_sentence
from omegaconf import OmegaConf

from hallmark.runs.record import Provenance, Record, RunState
from hallmark.runs.run import Run
from hallmark.statistics.significance.holm import holm


def finished(outputs: Path, number: str, overrides: list[str]) -> Path:
    """A run as it stands on disk after its fit, without what benchmarks do not read."""
    config = composed(overrides)
    OmegaConf.resolve(config)
    directory = outputs / config.name / number
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(config))
    facts: dict = {"git": {"commit": "c" * 40, "dirty": False}, "versions": {}, "device": {"threads": 1}}
    Record(
        name=config.name, run_id=number, state=RunState.DONE, provenance=Provenance("d", {}), seed=0, command=[],
        started="2026-01-01T00:00:00+00:00", splits={}, leakage={}, **facts,
    ).write(directory)  # fmt: skip
    return directory


SWEEPS = ("refseg_arms", "refseg_table", "refseg_anchors")
FOLDS = [["experiment=sentiment_tfidf", "data/split=kfold", f"data.split.fold={fold}"] for fold in (0, 1)]


def test_finished_runs_are_known_by_their_settings(tmp_path):
    expected = [finished(tmp_path, number, overrides) for number, overrides in zip("ab", FOLDS, strict=True)]
    assert [fitted(overrides, tmp_path).directory for overrides in FOLDS] == expected


@pytest.mark.parametrize("overrides", [[*FOLDS[0], "model.ngrams=1"], ["experiment=sentiment_tfidf", "repeat=seeds:2"]])
def test_what_was_not_fitted_is_refused(tmp_path, overrides):
    finished(tmp_path, "a", FOLDS[0])
    with pytest.raises(ValueError, match=r"sentiment_tfidf: expected one finished result of .*; found none"):
        fitted(overrides, tmp_path)


def test_two_results_of_the_same_settings_are_refused(tmp_path):
    for number in "ab":
        finished(tmp_path, number, FOLDS[0])
    with pytest.raises(ValueError, match="found a, b"):
        fitted(FOLDS[0], tmp_path)


def test_a_run_whose_test_split_nobody_looked_at_is_refused(tmp_path):
    directory = finished(tmp_path, "a", FOLDS[0])
    with pytest.raises(ValueError, match="not opened"):
        looked_at([Run(directory)], tmp_path)


def predictions(correct: float, seed: int, rows: int = 60) -> pd.DataFrame:
    """Two classes, one row a group, with a share of `correct` predictions."""
    target = np.where(np.arange(rows) % 2 == 0, "yes", "no")
    right = np.random.default_rng(seed).random(rows) < correct
    answer = np.where(right, target, np.where(target == "yes", "no", "yes"))
    names = [f"r{row}" for row in range(rows)]
    table = pd.DataFrame({"id": names, "group": names, "task": "main", "target": target, "prediction": answer})
    table = table.assign(score=right.astype(float), probabilities=[[0.5, 0.5]] * rows)
    table.attrs["classes"] = {"main": ["no", "yes"]}
    return table


def test_differences_are_a_minus_b_and_adjusted_over_the_whole_table():
    tables = {"good": predictions(0.95, 1), "poor": predictions(0.5, 2), "middling": predictions(0.8, 3)}
    table = difference_table(against("good", tables, ["poor", "middling"]))
    assert [row["A − B"] for row in table] == ["good − poor", "good − middling"]
    cells = [cell for row in table for name, cell in row.items() if name != "A − B"]
    mean = {name: float(rows["score"].mean()) for name, rows in tables.items()}
    assert cells[0]["estimate"] == pytest.approx(mean["good"] - mean["poor"], abs=1e-6) and cells[0]["estimate"] > 0
    np.testing.assert_allclose([cell["p_holm"] for cell in cells], holm([cell["p"] for cell in cells]), atol=2e-6)
    assert [cells[0]["verdict"], cells[2]["verdict"]] == ["A better", "not significant"]
    reversed_table = difference_table({"poor − good": (tables["poor"], tables["good"])})
    assert reversed_table[0]["accuracy"]["verdict"] == "B better" and reversed_table[0]["accuracy"]["estimate"] < 0
    assert "over all 4." in holm_sentence(table)


def test_each_fold_chooses_by_its_validation_rows_alone():
    assert best_by_fold({"a": [0.5, 0.9, 0.4], "b": [0.6, 0.8, 0.4]}) == ["b", "a", "a"]


def test_pooled_folds_are_members_of_one_repetition():
    table = pooled([predictions(0.9, 1), predictions(0.9, 2)])
    assert table["id"].is_unique and set(table["member"]) == {0, 1} and set(table["repetition"]) == {0}
    assert table.attrs["classes"] == {"main": ["no", "yes"]}


def test_the_table_of_the_loop_is_of_jobs_that_sweeps_list():
    listed = {sweep: OmegaConf.load(CONF / "sweep" / f"{sweep}.yaml").plan.jobs for sweep in SWEEPS}
    named = refseg_tables.ANSWERS | refseg_tables.PERTURBED | refseg_tables.ANCHORS
    assert {sweep for sweep, _ in named.values()} == set(SWEEPS)
    assert all(job in listed[sweep] for sweep, job in named.values())
    bounds = [name for name, job in named.items() if any("oracle" in part for part in listed[job[0]][job[1]])]
    assert bounds and all("upper bound" in name for name in bounds)


def test_of_the_unseen_words_only_the_upper_bound_knows_all():
    known = [
        (row["mapped to a trained one"]["value"], row["mapped wrongly"]["value"]) for row in refseg_tables.word_table()
    ]
    assert known == [(25, 0), (14, 1), (39, 0)]


@pytest.mark.parametrize("name", scale_parts.PARTS)
def test_each_part_of_the_cost_by_rows_is_carried_out(tmp_path, blank_figures, name):
    part = scale_parts.PARTS[name]
    part.source(120, tmp_path)
    part.prepared(tmp_path)()


def test_a_sweep_whose_jobs_sleep_ends(tmp_path, monkeypatch, blank_figures):
    monkeypatch.setattr(scale_sweeps, "SLEEP", 0.0)
    scale_sweeps.prepared(1, 2, tmp_path)()
    (trials,) = tmp_path.glob("*/sweeps/*/trials.csv")
    assert pd.read_csv(trials)["state"].tolist() == ["complete", "complete"]


def test_the_cost_by_rows_is_stored(tmp_path, monkeypatch):
    chosen = ["--parts", "list", "miou", "--at-most", "miou=150", "--rows", "50", "100", "200"]
    monkeypatch.setattr(sys, "argv", ["scale", *chosen, "--output", str(tmp_path)])
    scale.main()
    rows = json.loads((tmp_path / "scale.json").read_text())["tables"]["rows"]
    assert [row["part"] for row in rows] == ["reading the list of a data set", "mean IoU with interval"]
    assert "rows" not in rows[0]["200"] and rows[1]["200"]["rows"] == 150
    assert all(row["peak memory"]["value"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("cost", "exponent", "within"), [(lambda n: n * math.log(n), 1.09, "yes"), (lambda n: n**1.5, 1.5, "no")]
)
def test_growth_is_of_the_two_larger_sizes(cost, exponent, within):
    measured = {n: {"seconds": cost(n), "peak": 100.0 * n} for n in (10_000, 100_000)}
    row = scale.growth({1000: {"seconds": 1e9, "peak": 1e9}, **measured})
    assert row["exponent"]["value"] == pytest.approx(exponent, abs=0.01) and row["within n log n"] == within
    assert row["memory a row"]["value"] == 0.1
