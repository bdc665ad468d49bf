"""The robustness analysis on finished runs: perturbed inputs go through the data module and the selected weights."""

import pandas as pd
import pytest

from hallmark.runs.repeats import RepeatSet
from hallmark.statistics import table_metrics

pytestmark = pytest.mark.e2e

ASKED = ["analysis=[robustness]", "statistics.n_resamples=40", "analysis.robustness.strengths=[5]"]
NOISE_AND_CROP = [*ASKED, "analysis.robustness.perturbations=[noise,crop]"]
PICTURES = ["experiment=sentiment_image", "debug=fast"]


def table(directory) -> pd.DataFrame:
    return pd.read_csv(directory / "analysis" / "robustness.csv").set_index("perturbation")


def test_a_run_is_predicted_again_and_its_clean_value_is_the_stored_one(fitted, evaluate):
    run = fitted(*PICTURES)
    evaluate(run, *NOISE_AND_CROP)
    measured = table(run.directory)
    assert list(measured.index) == ["clean", "noise", "crop"]
    assert measured.loc["clean", "value"] == pytest.approx(run.metrics["val"]["main"]["macro_f1"])


def test_a_set_of_repeats_is_measured_as_one(repeats, evaluate):
    assert isinstance(repeats, RepeatSet)
    evaluate(repeats, *ASKED)
    measured = table(repeats.directory)
    pooled = table_metrics(repeats.predictions("val"))["main"]["macro_f1"]
    assert measured.loc["clean", "value"] == pytest.approx(pooled)


def test_a_model_of_texts_alone_is_told_that_pictures_do_not_matter(fitted, evaluate, caplog):
    run = fitted("experiment=sentiment_tfidf")
    evaluate(run, *ASKED)
    assert list(table(run.directory).index) == ["clean"]
    assert "nothing that this model reads has a perturbation" in caplog.text


def test_a_mistyped_perturbation_is_refused_by_its_key(fitted, evaluate):
    run = fitted("experiment=sentiment_tfidf")
    with pytest.raises(ValueError, match=r"^analysis\.robustness\.perturbations='blurr'"):
        evaluate(run, *ASKED, "analysis.robustness.perturbations=[blurr]")
