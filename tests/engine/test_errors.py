"""What a user gets wrong is answered by one sentence with the setting, the value and what would be right."""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hallmark.engine.train import train

pytestmark = pytest.mark.e2e

TFIDF = "experiment=sentiment_tfidf"

SETTINGS = {
    "a word for a number": ([TFIDF, "data.batch_size=many"], "data.batch_size='many': expected a valid integer"),
    "a number for a word": ([TFIDF, "data.leakage=1"], "data.leakage=1: expected a valid string"),
    "a share for a count": ([TFIDF, "model.ngrams=1.5"], "model.ngrams=1.5: expected a valid integer"),
    "deep inside": (
        ["experiment=sentiment_text", "model.optimizer.lr=fast"],
        "model.optimizer.lr='fast': expected a valid number",
    ),
    "negative": ([TFIDF, "data.batch_size=-1"], "data.batch_size=-1: expected at least 1"),
    "no validation rows": ([TFIDF, "data.split.val=0"], "data.split.val=0: expected a share of rows in (0, 0.5)"),
    "no probability": (["experiment=clip_probe", "model.head.dropout=1"], "model.head.dropout=1: expected in [0, 1)"),
    "deep and out of range": (
        ["experiment=sentiment_text", "model.optimizer.schedule=step"],
        "model.optimizer.schedule='step': expected one of constant, linear, cosine",
    ),
    "no such policy": ([TFIDF, "data.on_problem.cmyk_image=mend"], "data.on_problem.cmyk_image='mend': expected"),
    "nothing to repair": ([TFIDF, "data.on_problem.unknown_tag=keep"], "data.on_problem.unknown_tag='keep': expected"),
    "a batch larger than the data": ([TFIDF, "data.batch_size=500"], "data.batch_size=500: expected at most the 96"),
    "widths that do not fit": (
        ["experiment=sentiment_text", "model.head._target_=hallmark.learning.heads.InteractionHead"],
        "two embeddings of one width; use GatedFusionHead",
    ),
    "a folder that is not there": ([TFIDF, "data.folder=/no/such/folder"], "data.folder='/no/such/folder': expected"),
    "a start that is not there": (["experiment=clip_probe", "init_from=/no/run"], "/no/run: give one finished run"),
    "a split without its file": (
        [TFIDF, "data/split=from_file", "data.split.path=/no/file"],
        "data.split.path='/no/file': expected an existing CSV file",
    ),
    "extra rows that are not there": ([TFIDF, "data.extra=/no/table.csv"], "data.extra='/no/table.csv': expected"),
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "message"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_that_is_not_right(fit, overrides, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(*overrides)


def test_the_full_profile_without_a_folder(compose):
    with pytest.raises(ValueError, match=r"data\.folder=None: expected the folder of your corpus .* or profile=sample"):
        train(compose(TFIDF, "profile=full"))


def test_no_preset(compose):
    with pytest.raises(ValueError, match="experiment: choose a preset, such as experiment=clip_final"):
        train(compose())


WEIGHTS = {
    "clip by path": ["experiment=clip_final", "model.encoders.name=ViT-B-32", "model.encoders.weights=/no/clip.pt"],
    "text by path": ["experiment=sentiment_text", "model.encoders.text.name=/no/bert"],
    "image by name": ["experiment=sentiment_image", "model.encoders.image.weights=pretrained",
                      "model.encoders.image.name=resnet50"],
}  # fmt: skip


@pytest.mark.parametrize("overrides", WEIGHTS.values(), ids=WEIGHTS)
def test_missing_weights_come_with_three_ways_to_provide_them(fit, monkeypatch, tmp_path, overrides):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(ValueError, match="weights not found") as error:
        fit(*overrides)
    for way in ("run once with network access", "give a local file or folder", "choose profile=sample"):
        assert way in str(error.value)


LISTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "one class alone": (lambda table: table.assign(tag="positive"), r"only one class \(positive\) in 1\d\d rows"),
    "a class without rows": (lambda table: table[table["tag"] != "neutral"], "class neutral has no training row"),
    "other columns": (
        lambda table: table.set_axis(["id", "label"], axis=1),
        r"train\.txt: needs the columns guid and tag; found id, label",
    ),
}


@pytest.mark.parametrize(("change", "message"), LISTS.values(), ids=LISTS)
def test_a_list_of_labels_that_cannot_be_trained_on(fit, corpus, change, message):
    change(pd.read_csv(corpus / "train.txt", dtype=str)).to_csv(corpus / "train.txt", index=False)
    with pytest.raises(ValueError, match=message):
        fit(TFIDF, f"data.folder={corpus}")


def test_a_corpus_without_one_usable_row(fit, corpus):
    for file in (corpus / "data").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="no usable rows"):
        fit(TFIDF, f"data.folder={corpus}")


def test_a_corpus_too_small_to_split(fit, tmp_path):
    (tmp_path / "few" / "data").mkdir(parents=True)
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "few" / "data" / f"{number}.jpg")
        (tmp_path / "few" / "data" / f"{number}.txt").write_text(f"text number {'x' * number}")
    (tmp_path / "few" / "train.txt").write_text("guid,tag\n0,positive\n1,negative\n2,neutral\n3,positive\n")
    with pytest.raises(ValueError, match=r"data\.split\.\w+=.* found 4 in 4 rows"):
        fit(TFIDF, f"data.folder={tmp_path / 'few'}")
