"""What evaluate.py makes of a finished run: splits, label file, analyses, out-of-fold rows, more rows to train on."""

import pickle
import re
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from hallmark.checks import SettingError
from hallmark.data.leakage import LeakageError
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import Run, RunDirectory
from hallmark.runs.seal import accesses_of

pytestmark = pytest.mark.e2e

TFIDF = "experiment=sentiment_tfidf"
ANALYSES = ["slices", "calibration", "curves", "bad_cases", "compare", "augment_text", "augment_images"]
MINED = "analysis=[bad_cases,augment_text]"
TWO_FOLDS = "out_of_fold.folds=2"


def predictions(run: Run, split: str) -> pd.DataFrame:
    return read_predictions(run.directory / "predictions" / f"{split}.parquet")


def splits(run: Run) -> pd.DataFrame:
    return pd.read_csv(run.directory / "splits.csv", dtype=str)


@pytest.fixture
def run(fitted) -> Run:
    return fitted(TFIDF)


def test_all_analyses_of_a_run_beside_another(fitted, evaluate, run, capsys):
    other = fitted(TFIDF, "model.ngrams=1", "model.inverse_regularisation=0.1")
    few = ["statistics.n_resamples=50"]
    baseline = f"analysis.compare.baseline={other.directory}"
    evaluate(run, f"analysis=[{','.join(ANALYSES)}]", baseline, TWO_FOLDS, "analysis.bad_cases.limit=5", *few)
    printed = capsys.readouterr().out
    assert re.search(r"curves: analysis/curves.csv, .*confusion.png, .*pr_roc.png", printed)
    assert "auroc" in printed and "auprc" in printed
    written = {path.stem for path in (run.directory / "analysis").iterdir()}
    assert set(ANALYSES) <= written
    figures = {path.name for path in (run.directory / "figures").iterdir()}
    assert {"slices.png", "calibration.png", "bad_cases.png", "compare.png", "learning_curves.png"} <= figures
    table = pd.read_csv(run.directory / "analysis" / "compare.csv").set_index("metric")
    for name in ("accuracy", "macro_f1"):
        assert table.loc[name, "value"] == pytest.approx(run.metrics["val"]["main"][name])
        assert table.loc[name, "baseline_value"] == pytest.approx(other.metrics["val"]["main"][name])


def test_an_analysis_that_is_not_set_up_says_what_is_missing(evaluate, run):
    with pytest.raises(ValueError, match=r"analysis\.compare\.baseline"):
        evaluate(run, "analysis=[compare]")


def test_an_analysis_of_another_module_is_refused_before_anything_is_predicted(evaluate, run):
    with pytest.raises(SettingError) as refused:
        evaluate(run, "analysis=[slices,cascade]", "split=test")
    assert refused.value.key == "analysis" and refused.value.value == ["slices", "cascade"]
    assert not (run.directory / "predictions" / "test.parquet").exists() and not accesses_of(run)


def test_the_test_split_is_predicted_and_measured(evaluate, run, capsys):
    assert "test" not in run.metrics
    evaluate(run, "split=test")
    table, rows = predictions(run, "test"), splits(run)
    assert set(table["id"]) == set(rows.loc[rows["split"] == "test", "id"])
    metrics = run.metrics["test"]["main"]
    assert metrics["n"] == len(table)
    assert metrics["accuracy"] == pytest.approx((table["prediction"] == table["target"]).mean())
    assert run.metrics["val"] != run.metrics["test"]
    assert f"sentiment_tfidf · test · n = {len(table)}" in capsys.readouterr().out


def test_a_stored_split_is_not_predicted_again(evaluate, run, files, monkeypatch):
    evaluate(run, "split=train")
    before = files(run)
    monkeypatch.setattr("lightning.Trainer.predict", lambda *_, **__: pytest.fail("the split was predicted again"))
    evaluate(run, "split=train")
    assert files(run) == before


def test_the_unlabelled_rows_get_their_label_file(evaluate, run):
    evaluate(run, "split=predict")
    lines = (run.directory / "test_with_label.txt").read_text().splitlines()
    rows = splits(run)
    assert lines[0] == "guid,tag"
    tags = dict(line.split(",") for line in lines[1:])
    assert set(tags) == set(rows.loc[rows["split"] == "predict", "id"])
    assert len(lines) == 21
    assert set(tags.values()) <= {"negative", "neutral", "positive"}
    assert tags == dict(zip(*predictions(run, "predict")[["id", "prediction"]].to_numpy().T, strict=True))
    assert "predict" not in run.metrics


def test_out_of_fold_predictions_cover_the_training_rows_once(evaluate, run, files):
    evaluate(run, "split=out_of_fold")
    table, rows = predictions(run, "out_of_fold"), splits(run)
    training = rows[rows["split"] == "train"].set_index("id")
    assert sorted(table["id"]) == sorted(training.index)
    assert (table["target"] == training.loc[table["id"], "target"].to_numpy()).all()
    assert set(table["split"]) == {"out_of_fold"}
    folds = [Run(path.parent) for path in sorted((run.directory / "out_of_fold").glob("*/record.json"))]
    assert len(folds) == 3
    held_out = [splits(fold).query("split == 'held_out'") for fold in folds]
    for fold, held in zip(folds, held_out, strict=True):
        fitted = splits(fold).query("split == 'train'")
        assert not set(fitted["group"]) & set(held["group"])
        assert set(splits(fold).query("split == 'val'")["id"]) == set(rows.loc[rows["split"] == "val", "id"])
    assert len(pd.concat(held_out)) == len(training)
    before = files(run)
    evaluate(run, "split=out_of_fold")
    assert files(run) == before


def test_training_goes_on_with_rewritten_bad_cases(fit, evaluate, run):
    evaluate(run, MINED, TWO_FOLDS)
    mined = run.directory / "analysis" / "augment_text.csv"
    extra = pd.read_csv(mined, dtype=str)
    assert len(extra) > 0
    assert set(extra["mined_from"]) == {"out_of_fold"}
    again = fit(TFIDF, f"data.extra={mined}")
    assert again.directory != run.directory
    assert again.record.data["extra"][str(mined)]["rows"] == len(extra)
    before, after = splits(run), splits(again)
    assert after[~after["id"].isin(extra["id"])].reset_index(drop=True).equals(before)
    added = after[after["id"].isin(extra["id"])].set_index("id").loc[extra["id"]]
    assert set(added["split"]) == {"train"}
    groups = before.set_index("id")["group"]
    assert added["group"].tolist() == groups[extra["source_id"]].tolist()
    assert again.record.leakage["findings"] == 0
    pd.testing.assert_frame_equal(
        predictions(again, "val")[["id", "target"]], predictions(run, "val")[["id", "target"]], check_names=False
    )


def test_rows_made_from_bad_pictures_are_trained_on_too(fit, evaluate, run):
    evaluate(run, "analysis=[bad_cases,augment_images]", "analysis.bad_cases.limit=3", TWO_FOLDS)
    table = run.directory / "analysis" / "augment_images.csv"
    again = fit("experiment=sentiment_image", "debug=fast", f"data.extra={table}")
    assert again.record.splits["train"]["n"] == run.record.splits["train"]["n"] + len(pd.read_csv(table))


def test_rows_made_from_validation_rows_are_stopped_by_the_gate(fit, evaluate, run):
    evaluate(run, MINED, "analysis.bad_cases.source=val", "analysis.bad_cases.confidence_below=1")
    table = run.directory / "analysis" / "augment_text.csv"
    with pytest.raises(LeakageError, match=r"group: \S+ \(val\) ~ \S+ \(train\)"):
        fit(TFIDF, f"data.extra={table}")
    again = fit(TFIDF, f"data.extra={table}", "data.leakage=report")
    assert again.record.leakage["checks"]["group"] == "found"


def test_data_that_is_gone_since_is_noticed(fit, evaluate, corpus):
    run = fit(TFIDF, f"data.folder={corpus}")
    victim = splits(run).query("split == 'test'")["id"].iloc[0]
    (corpus / "data" / f"{victim}.txt").write_text("something else altogether")
    with pytest.raises(ValueError, match="is no longer what the run was made on"):
        evaluate(run, "split=test")


class Explosion:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def test_a_foreign_pickle_in_place_of_the_checkpoint_is_refused_unread(evaluate, run, tmp_path):
    run.best.write_bytes(pickle.dumps({"state_dict": {}, "x": Explosion(tmp_path / "exploded")}))
    with pytest.raises(ValueError, match=r"best\.ckpt: refused, because it holds pickled objects"):
        evaluate(run, "split=test")
    assert not (tmp_path / "exploded").exists()
    assert not (run.directory / "predictions" / "test.parquet").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["split=tets"], "split=tets: the data has no such rows; it has predict, test, train, val"),
        (["out_of_fold.folds=1", "split=out_of_fold"], "folds=1: expected at least 2"),
    ],
)
def test_what_cannot_be_evaluated(evaluate, run, overrides, message):
    with pytest.raises(ValueError, match=message):
        evaluate(run, *overrides)


def test_a_run_that_is_not_there(evaluate, tmp_path):
    with pytest.raises(ValueError, match="give one finished run"):
        evaluate(RunDirectory(tmp_path / "nothing"))


def test_a_run_that_is_not_named(compose):
    from hallmark.engine.evaluate import evaluate

    with pytest.raises(ValueError, match="run: give a finished run"):
        evaluate(compose(command="evaluate"))


def test_the_only_run_of_an_experiment_is_found_by_its_folder(evaluate, run):
    evaluate(RunDirectory(run.directory.parent), "split=test")
    assert "test" in run.metrics


def test_a_run_whose_settings_the_code_no_longer_has_says_so(evaluate, run):
    config = OmegaConf.load(run.directory / "config.yaml")
    config.model.stop_words = True
    OmegaConf.save(config, run.directory / "config.yaml")
    with pytest.raises(ValueError, match=r"model\.stop_words=True") as caught:
        evaluate(run, "split=predict")
    assert "other code" not in str(caught.value)  # the code is the same: somebody wrote into the file
    record = run.record
    record.provenance.code["systems/sentiment/module.py"] = "0" * 8
    record.git["commit"] = "0123abcd"
    record.write(run.directory)
    with pytest.raises(ValueError, match=r"made with other code, .*model\.stop_words=True.*check out commit 0123abcd"):
        evaluate(Run(run.directory), "split=predict")
