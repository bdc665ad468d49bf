import io
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import emoji
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from hallmark.systems.sentiment.sample import pictures, tweets
from hallmark.systems.sentiment.sample.world import generate

ARGUMENTS = {"rows": 400, "unlabelled": 100, "seed": 3, "label_noise": 0.1, "image_size": 32}
SMALL = {"rows": 30, "unlabelled": 5, "seed": 0, "label_noise": 0.0, "image_size": 32}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("sample") / "world", **ARGUMENTS)


@pytest.fixture(scope="module")
def posts(world: Path) -> pd.DataFrame:
    """One row per post: what the files say (tag, raw, text, picture) and what it means (latent.csv)."""
    listed = pd.concat(
        [
            pd.read_csv(world / name, dtype=str, keep_default_na=False)
            for name in ("train.txt", "test_without_label.txt")
        ]
    )
    listed["raw"] = [(world / "data" / f"{guid}.txt").read_bytes() for guid in listed.guid]
    listed["picture"] = [(world / "data" / f"{guid}.jpg").read_bytes() for guid in listed.guid]
    listed["text"] = [_decode(raw) for raw in listed.raw]
    return listed.merge(pd.read_csv(world / "latent.csv", dtype=str), on="guid", validate="1:1")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8" if _is_utf8(raw) else "gb18030")


def _normalised(text: str) -> str:
    return " ".join(re.sub(r"^RT @\w+:", "", text).lower().split())


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_layout_of_the_real_corpus(world: Path, posts: pd.DataFrame) -> None:
    assert (world / "train.txt").read_text().startswith("guid,tag\n")
    assert (posts.tag[: ARGUMENTS["rows"]] != "null").all()
    assert (posts.tag[ARGUMENTS["rows"] :] == "null").all()
    assert len(posts) == ARGUMENTS["rows"] + ARGUMENTS["unlabelled"] == posts.guid.nunique()
    assert {path.name for path in (world / "data").iterdir()} == {
        f"{g}.{end}" for g in posts.guid for end in ("jpg", "txt")
    }
    assert set(posts.tag[: ARGUMENTS["rows"]]) == {"negative", "neutral", "positive"}
    assert not posts.guid[: ARGUMENTS["rows"]].astype(int).is_monotonic_increasing


def test_record_counts_the_files(world: Path, posts: pd.DataFrame) -> None:
    record = json.loads((world / "sample.json").read_text())
    assert record["arguments"] == ARGUMENTS
    counts = record["counts"]
    labeled = posts[posts.tag != "null"]
    assert counts["wrong_label"] == (labeled.tag != labeled.true_tag).sum()
    assert counts["labelled_neutral"] == (labeled.tag == "neutral").sum()
    assert counts["gb18030"] == (~posts.raw.map(_is_utf8)).sum()
    assert counts["reused_picture"] == len(posts) - posts.picture.nunique()
    assert counts["sarcasm"] == (posts.kind == "sarcasm").sum()


def test_same_arguments_give_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    here = generate(tmp_path / "here", **SMALL)
    code = (
        "import sys; from pathlib import Path; from hallmark.systems.sentiment.sample.world import generate; "
        f"generate(Path(sys.argv[1]), **{SMALL!r})"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, tmp_path / "there"], check=True, env=environment)
    assert _contents(here) == _contents(tmp_path / "there")


def test_another_seed_gives_another_corpus(tmp_path: Path) -> None:
    first = _contents(generate(tmp_path / "a", **SMALL))
    second = _contents(generate(tmp_path / "b", **SMALL | {"seed": 1}))
    assert all(first[name] != second[name] for name in first)


def test_label_noise_changes_labels_only(tmp_path: Path) -> None:
    clean = _contents(generate(tmp_path / "clean", **SMALL))
    noisy = _contents(generate(tmp_path / "noisy", **SMALL | {"label_noise": 0.4}))
    assert {name for name in clean if clean[name] != noisy[name]} == {"train.txt", "sample.json"}


def test_a_complete_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = generate(tmp_path / "world", **SMALL)
    monkeypatch.setattr(pictures, "render", None)
    assert generate(folder, **SMALL) == folder


@pytest.mark.parametrize("change", [{"seed": 1}, {"rows": 31}, {"label_noise": 0.1}, {"image_size": 40}])
def test_a_folder_of_other_arguments_is_refused(tmp_path: Path, change: dict[str, float]) -> None:
    folder = generate(tmp_path / "world", **SMALL)
    before = _contents(folder)
    with pytest.raises(ValueError, match="choose another folder"):
        generate(folder, **SMALL | change)
    assert _contents(folder) == before


def test_a_foreign_folder_is_refused_and_an_empty_one_filled(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.txt").write_text("guid,tag\n")
    with pytest.raises(ValueError, match="choose another folder"):
        generate(tmp_path / "mine", **SMALL)
    (tmp_path / "empty").mkdir()
    assert (generate(tmp_path / "empty", **SMALL) / "sample.json").is_file()


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, render = itertools.count(), pictures.render

    def stop(*args: object, **kwargs: object) -> bytes:
        if next(calls) == 20:
            raise KeyboardInterrupt
        return render(*args, **kwargs)

    monkeypatch.setattr(pictures, "render", stop)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "world", **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("winner", [SMALL, SMALL | {"seed": 1}], ids=["equal", "other arguments"])
def test_the_first_of_two_writers_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, winner: dict[str, float]
) -> None:
    folder, render = tmp_path / "world", pictures.render

    def overtaken(*args: object, **kwargs: object) -> bytes:
        monkeypatch.setattr(pictures, "render", render)
        generate(folder, **winner)
        return render(*args, **kwargs)

    monkeypatch.setattr(pictures, "render", overtaken)
    if winner == SMALL:
        assert generate(folder, **SMALL) == folder
    else:
        with pytest.raises(ValueError, match="choose another folder"):
            generate(folder, **SMALL)
    assert json.loads((folder / "sample.json").read_text())["arguments"] == winner
    assert list(tmp_path.iterdir()) == [folder]


def test_shares_of_kinds_classes_and_wrong_labels(posts: pd.DataFrame) -> None:
    kinds = posts.kind.value_counts(normalize=True)
    classes = posts.true_tag.value_counts(normalize=True)
    expected = {"agree": 0.44, "sarcasm": 0.2, "text_only": 0.18, "neither": 0.18}
    assert kinds.to_dict() == pytest.approx(expected, abs=0.06)
    assert classes.to_dict() == pytest.approx({"positive": 0.5, "negative": 0.31, "neutral": 0.19}, abs=0.06)
    labeled = posts[posts.tag != "null"]
    assert (labeled.tag != labeled.true_tag).mean() == pytest.approx(0.1, abs=0.04)


def test_the_cues_decide_the_class(posts: pd.DataFrame) -> None:
    decided = np.where(posts.image_cue != "neutral", posts.image_cue, posts.text_cue)
    assert (decided == posts.true_tag).all()
    assert (posts.image_cue[posts.kind == "text_only"] == "neutral").all()
    assert (posts.text_cue[posts.kind == "sarcasm"] == "ambiguous").all()


def test_words_tell_the_class_except_in_sarcasm(posts: pd.DataFrame) -> None:
    polar = posts[(posts.true_tag != "neutral") & ~posts.text.map(_normalised).duplicated()]
    reader = make_pipeline(CountVectorizer(), MultinomialNB(fit_prior=False))
    sarcastic = polar.kind == "sarcasm"
    blind, plain = (
        cross_val_score(reader, part.text, part.true_tag, cv=5, scoring="balanced_accuracy").mean()
        for part in (polar[sarcastic], polar[~sarcastic])
    )
    assert blind == pytest.approx(0.5, abs=0.13)
    assert plain > 0.65


def test_pictures_show_their_cue_and_vary_in_shape(posts: pd.DataFrame) -> None:
    images = [Image.open(io.BytesIO(picture)) for picture in posts.picture]
    assert {image.format for image in images} == {"JPEG"}
    assert {image.size for image in images} == {(32, 32), (42, 32), (32, 42)}
    saturation = pd.Series([np.asarray(image.convert("HSV"))[..., 1:].mean() for image in images])
    medians = saturation.groupby(posts.image_cue).median()
    assert medians["positive"] > medians["neutral"] > medians["negative"]


def test_some_texts_are_gb18030_and_not_utf8(posts: pd.DataFrame) -> None:
    foreign = posts[~posts.raw.map(_is_utf8)]
    assert len(foreign) / len(posts) == pytest.approx(0.08, abs=0.03)
    assert foreign.text.str.contains("[“”]").all()
    assert posts.text[posts.raw.map(_is_utf8)].map(lambda text: not text.isascii()).any()


def test_texts_look_like_tweets(posts: pd.DataFrame) -> None:
    assert posts.text.str.endswith("\n").all()
    words = posts.text.str.split().map(len)
    assert words.min() >= 3 and words.max() <= 29
    emojis = posts.text.map(emoji.emoji_count)
    assert (emojis == 0).any() and (emojis == 1).any() and (emojis >= 2).any()
    for pattern in (r"^RT @\w+: ", r"http://t\.co/\w{10}", r"#\w+", r"([aeou])\1\1"):
        assert posts.text.str.count(pattern).gt(0).mean() > 0.03, pattern


def test_subject_words_match_the_scene(posts: pd.DataFrame) -> None:
    named = posts[posts.text.str.contains("dog|pup", case=False)]
    assert (named.scene == "dog").mean() > 0.95
    assert posts.scene.nunique() == 11


@pytest.mark.parametrize("what", ["text", "picture"])
def test_copies_within_and_across_the_parts(posts: pd.DataFrame, what: str) -> None:
    key = posts.text.map(_normalised) if what == "text" else posts.picture
    if what == "text":
        assert key.nunique() < posts.text.nunique()
    pairs = [group for _, group in posts.groupby(key) if len(group) > 1]
    assert any((group.tag != "null").sum() > 1 for group in pairs)
    assert any((group.tag != "null").any() and (group.tag == "null").any() for group in pairs)
    assert all(group.true_tag.nunique() == 1 for group in pairs)
    share = sum(len(group) - 1 for group in pairs) / len(posts)
    assert share == pytest.approx({"text": 0.05, "picture": 0.02}[what], abs=0.02)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", 29),
        ("unlabelled", -1),
        ("seed", -1),
        ("label_noise", 0.5),
        ("label_noise", -0.1),
        ("image_size", 31),
    ],
)
def test_bad_arguments_are_named(tmp_path: Path, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}={value}"):
        generate(tmp_path / "world", **SMALL | {name: value})
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cue=st.sampled_from(["positive", "neutral", "negative", "ambiguous"]),
    scene=st.sampled_from(sorted(pictures.DRAW)),
)
def test_any_foreign_tweet_survives_gb18030_only(seed: int, cue: str, scene: str) -> None:
    text = tweets.compose(np.random.default_rng(seed), cue=cue, scene=scene, foreign=True)
    assert 3 <= len(text.split()) <= 27
    raw = text.encode("gb18030")
    assert raw.decode("gb18030") == text
    assert not _is_utf8(raw)
