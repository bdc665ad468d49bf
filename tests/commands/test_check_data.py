import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

SMALL = ["experiment=sentiment_tfidf", "data.sample.rows=60", "data.sample.unlabelled=10"]


@pytest.fixture
def corpus(hallmark, cache, tmp_path) -> Path:
    """A generated corpus that a test may spoil."""
    code, printed, _ = hallmark("check-data", *SMALL)
    assert code == 0
    source = next(line for line in printed.splitlines() if line.startswith("Splits of ")).removeprefix("Splits of ")
    return Path(shutil.copytree(source, tmp_path / "corpus"))


def spoil(corpus: Path) -> list[str]:
    """Take away a picture, tear another, and give a third row a tag that is none; the three ids."""
    rows = pd.read_csv(corpus / "train.txt", dtype=str)
    missing, torn, odd = ids = rows["guid"].tolist()[:3]
    (corpus / "data" / f"{missing}.jpg").unlink()
    picture = corpus / "data" / f"{torn}.jpg"
    picture.write_bytes(picture.read_bytes()[:200])
    rows.loc[rows["guid"] == odd, "tag"] = "angry"
    rows.to_csv(corpus / "train.txt", index=False)
    return ids


def test_the_refusal_is_a_whole_sentence(hallmark, corpus):
    spoil(corpus)
    code, printed, _ = hallmark("check-data", *SMALL, f"data.folder={corpus}", "data.on_problem.missing_image=fatal")
    assert code == 1
    assert printed.rstrip().endswith("bad rows")


def test_sound_data_is_counted_by_split_and_class(hallmark, tmp_path):
    code, printed, _ = hallmark("check-data", *SMALL, "--output", str(tmp_path / "out"))
    assert code == 0
    splits = pd.read_csv(tmp_path / "out" / "splits.csv")
    for split, rows in splits.groupby("split"):
        line = next(line.split() for line in printed.splitlines() if line.split()[:1] == [split])
        classes = [str((rows["target"] == name).sum()) for name in ("negative", "neutral", "positive")]
        assert line == [split, str(len(rows)), str(rows["group"].nunique()), *classes]
    assert "No problems." in printed
    assert printed.rstrip().endswith("A fit would start.")
    assert not (tmp_path / "outputs").exists()


def test_every_problem_is_listed_at_once(hallmark, corpus, tmp_path):
    missing, torn, odd = spoil(corpus)
    code, printed, _ = hallmark("check-data", *SMALL, f"data.folder={corpus}", "--output", str(tmp_path / "out"))
    assert code == 1
    table = pd.read_csv(tmp_path / "out" / "problems.csv", dtype=str).set_index("id")
    assert table["kind"].to_dict() == {missing: "missing_image", torn: "unreadable_image", odd: "unknown_tag"}
    assert table["policy"].to_dict() == {missing: "skip", torn: "skip", odd: "fatal"}
    for kind in table["kind"]:
        assert f"{kind}: 1, by data.on_problem" in printed
    assert "A fit would be refused: 1 bad row\n" in printed


@pytest.mark.parametrize(
    ("override", "key", "split"),
    [("data.batch_size=500", "data.batch_size=500", "train"),
     ("data.split.test=0.001", "data.split.test=0.001", "not split")],
)  # fmt: skip
def test_what_stops_a_fit_is_said_after_problems_and_counts(hallmark, corpus, override, key, split):
    missing, *_ = spoil(corpus)
    typed = [*SMALL, f"data.folder={corpus}", "data.on_problem.unknown_tag=skip", override]
    code, printed, _ = hallmark("check-data", *typed)
    assert code == 1
    counts = next(line for line in printed.splitlines() if line.strip().startswith(f"{split} "))
    refusal = next(line for line in printed.splitlines() if line.startswith(f"A fit would be refused: {key}"))
    assert printed.index(missing) < printed.index(counts) < printed.index(refusal)


def test_what_may_be_skipped_does_not_stop_a_fit(hallmark, corpus):
    spoil(corpus)
    code, printed, _ = hallmark("check-data", *SMALL, f"data.folder={corpus}", "data.on_problem.unknown_tag=skip")
    assert code == 0
    assert "unknown_tag: 1, by data.on_problem skip" in printed


def test_a_leak_is_listed_and_refused(hallmark, corpus, tmp_path):
    output = tmp_path / "out"
    hallmark("check-data", *SMALL, f"data.folder={corpus}", "--output", str(output))
    splits = pd.read_csv(output / "splits.csv", dtype=str)
    splits = splits[splits["target"].notna()]
    shared = splits[splits.duplicated("group", keep=False)].sort_values("group")
    splits.loc[shared.index[0], "split"], splits.loc[shared.index[1], "split"] = "train", "val"
    splits.to_csv(tmp_path / "splits.csv", index=False)
    leaky = [f"data.folder={corpus}", "data/split=from_file", f"data.split.path={tmp_path / 'splits.csv'}"]
    code, printed, _ = hallmark("check-data", *SMALL, *leaky)
    assert code == 1
    assert "group found" in printed
    assert "pairs of rows are shared between splits" in printed
    assert hallmark("check-data", *SMALL, *leaky, "data.leakage=report")[0] == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["experiment=sentiment_tfdf"], "Did you mean experiment=sentiment_tfidf?"),
        ([*SMALL, "data.foldr=x"], "Did you mean data.folder"),
        ([*SMALL, "data.folder=nowhere"], "data.folder='nowhere': expected a folder"),
        ([*SMALL, "data.batch_size=many"], "data.batch_size='many'"),
    ],
)
def test_a_mistake_is_a_sentence(hallmark, overrides, message):
    code, _, printed = hallmark("check-data", *overrides)
    assert code == 2
    assert printed.startswith("error: ")
    assert message in printed


def test_settings_without_effect_on_the_data_are_named(hallmark):
    code, printed, _ = hallmark("check-data", *SMALL, "model.ngrams=1", "seed=3", "trainer.max_epochs=2")
    assert code == 0
    assert "Without effect on the data: model.ngrams=1, trainer.max_epochs=2\n" in printed


def test_a_preset_of_another_package_is_found(hallmark, tmp_path):
    preset = "# @package _global_\ndefaults: [digits_classifier]\nname: mine\ndata: {classes: ['3', '4']}\n"
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(preset, encoding="utf-8")
    typed = ["--config-dir", str(tmp_path / "conf"), "trusted_packages=[tests]", "experiment=mine"]
    code, printed, _ = hallmark("check-data", *typed)
    assert code == 0
    assert "A fit would start." in printed and "Without effect" not in printed
    code, _, printed = hallmark("check-data", "--config-dir", str(tmp_path / "none"), "experiment=mine")
    assert code == 2 and printed.startswith("error: --config-dir=")


def test_an_output_that_cannot_be_written_is_refused_before_data_is_read(hallmark, tmp_path):
    (tmp_path / "file").touch()
    code, _, printed = hallmark("check-data", "experiment=nowhere", "--output", str(tmp_path / "file"))
    assert code == 2 and printed.startswith("error: --output=")


def test_repeats_are_not_checked_as_one_split(hallmark):
    code, _, printed = hallmark("check-data", *SMALL, "repeat=folds:3")
    assert code == 2
    assert printed.startswith("error: repeat='folds:3': expected null; one split is checked at a time")


def test_what_rows_to_predict_share_is_said_and_refuses_nothing(hallmark, corpus):
    rows = pd.read_csv(corpus / "train.txt", dtype=str)
    predict = pd.read_csv(corpus / "test_without_label.txt", dtype=str)
    labeled, unlabeled = rows["guid"][0], predict["guid"][0]
    text = (corpus / "data" / f"{labeled}.txt").read_bytes()
    (corpus / "data" / f"{unlabeled}.txt").write_bytes(text)
    code, printed, _ = hallmark("check-data", *SMALL, f"data.folder={corpus}")
    assert code == 0
    (line,) = [line for line in printed.splitlines() if line.startswith("Rows to predict: ")]
    assert " of 10 rows to predict share content with labelled rows: group (" in line
    assert "duplicate text (" in line


def test_parents_have_an_effect_and_those_that_are_not_made_are_named(hallmark):
    node = "+parents.init_from={experiment: digits_classifier, overrides: ['model.width=4']}"
    code, printed, _ = hallmark("check-data", "experiment=digits_classifier", node)
    assert code == 0 and "Without effect" not in printed
    assert "Parents that are not made yet: init_from" in printed


def test_what_tells_classes_apart_beside_the_content_is_a_warning_and_refuses_nothing(hallmark, tmp_path):
    for label, suffix in (("real", "jpg"), ("fake", "png")):
        (tmp_path / label).mkdir()
        for number in range(12):
            pixels = np.random.default_rng([number, label == "real"]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((40, 40)).save(tmp_path / label / f"{label}{number}.{suffix}")
    split = ["data.split.val=0.25", "data.split.test=0", "data.split.calibration=0", "data.split.meta=0"]
    arguments = ["experiment=deepfake_stage1", f"data.folder={tmp_path}", "data.batch_size=4", *split]
    code, printed, _ = hallmark("check-data", *arguments)
    assert code == 0
    warning = next(line for line in printed.splitlines() if line.startswith("Warning: "))
    assert "format" in warning and "AUC 1.00" in warning


def test_rows_that_a_model_cannot_be_calibrated_on_are_refused(hallmark):
    code, printed, _ = hallmark("check-data", "experiment=digits_stack", "model.rows=meta", "data.split.meta=0.2")
    assert code == 0 and printed.rstrip().endswith("A fit would start.")
    code, printed, _ = hallmark("check-data", "experiment=digits_stack", "model.rows=meta")
    assert code == 1 and "A fit would be refused: data.split.meta=0" in printed


def test_labels_are_said_as_the_message_about_them_types_it(hallmark, tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        names = [f"{split}{number}.png" for number in range(8)]
        for name in names:
            Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).save(tmp_path / name)
        rows = pd.DataFrame({"path": names, "label": np.arange(8) % 2, "video": names})
        rows.to_csv(tmp_path / f"{split}_manifest.csv", index=False)
    typed = ["experiment=deepfake_stage1", f"data.folder={tmp_path}", "data.batch_size=4"]
    typed += [f"data.split.{split}=0" for split in ("test", "calibration", "meta")]
    code, printed, _ = hallmark("check-data", *typed)
    assert code == 1 and "data.labels='{0: real, 1: fake}'" in printed
    code, printed, _ = hallmark("check-data", *typed, "data.labels={0: real, 1: fake}")
    assert code == 0 and "No problems." in printed
