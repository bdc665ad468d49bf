"""`hallmark predict`: a finished run's answers about files that no data set holds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.commands.drawn_digits import SETTINGS, DrawnDigits, draw

from hallmark.commands.predict import brief
from hallmark.engine.finished import FinishedRun, sealed_tables
from hallmark.engine.job import Job
from hallmark.engine.repeats import train_repeats
from hallmark.engine.train import train
from hallmark.runs.predictions import read_predictions
from hallmark.runs.repeats import RepeatSet, open_result, runs_of
from hallmark.runs.run import Run
from hallmark.storage.files import read_csv, read_json, read_parquet, write_json
from hallmark.systems.digits.module import DigitsClassifier

pytestmark = pytest.mark.e2e
TRUST = ["--setting", "trusted_packages=[tests]"]
PROBABILITIES = [f"P({digit})" for digit in range(10)]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(autouse=True)
def _here(monkeypatch, project, outputs) -> None:
    monkeypatch.setenv("HALLMARK_OUTPUTS", str(outputs))
    monkeypatch.chdir(project)


@pytest.fixture(scope="module")
def _fitted(compose, outputs) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALLMARK_OUTPUTS", str(outputs))
        config = compose(*SETTINGS)
        train(config)
        return Job.of(config).run


@pytest.fixture
def digits(_fitted, compose) -> DrawnDigits:
    finished = FinishedRun(_fitted, 0, trust=Job.of(compose(*SETTINGS)).trust)
    assert isinstance(finished.data, DrawnDigits)
    return finished.data


def test_answers_equal_the_stored_predictions_and_rows_that_the_run_has_are_marked(hallmark, _fitted, digits, tmp_path):
    files, output = draw(tmp_path, "val", digits, len(digits.rows("val"))), tmp_path / "answers.csv"
    code, printed, _ = hallmark("predict", str(_fitted.directory), *map(str, files), "--output", str(output), *TRUST)
    assert code == 0 and str(output) in printed
    answers = read_csv(output)
    stored = read_predictions(_fitted.directory / "predictions" / "val.parquet")
    assert answers["id"].tolist() == [str(file) for file in files]
    assert answers["prediction"].astype(str).tolist() == stored["prediction"].tolist()
    np.testing.assert_array_equal(answers[PROBABILITIES].to_numpy(), np.array(stored["probabilities"].tolist()))
    assert answers["seen"].tolist() == ["val"] * len(files)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_every_kind_of_output_holds_the_same(hallmark, _fitted, digits, tmp_path, suffix):
    files, output = draw(tmp_path, "val", digits, 2), tmp_path / f"answers{suffix}"
    assert hallmark("predict", str(_fitted.directory), *map(str, files), "--output", str(output), *TRUST)[0] == 0
    _, printed, _ = hallmark("predict", str(_fitted.directory), *map(str, files), "--json", *TRUST)
    listed = pd.DataFrame(json.loads(printed))
    written = read_parquet(output) if suffix == ".parquet" else pd.read_json(output, lines=True)
    assert written["id"].tolist() == listed["id"].tolist()
    np.testing.assert_allclose(written[PROBABILITIES], listed[PROBABILITIES], atol=1e-9)


def test_a_file_that_cannot_be_read_is_a_row_without_an_answer(hallmark, _fitted, digits, tmp_path):
    (file,), broken = draw(tmp_path, "val", digits, 1), tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    arguments = ["predict", str(_fitted.directory), str(broken), str(file), "--json", *TRUST]
    code, printed, _ = hallmark(*arguments)
    assert code == 0
    answered, unanswered = json.loads(printed)
    assert answered["id"] == str(file) and answered["problem"] == ""
    assert unanswered["id"] == str(broken) and unanswered["problem"] == "unreadable image"
    assert unanswered["prediction"] is None
    assert hallmark(*arguments, "--strict")[0] == 1
    assert hallmark("predict", str(_fitted.directory), str(file), "--strict", *TRUST)[0] == 0


def test_where_no_file_can_be_read_there_are_their_problems_alone(hallmark, _fitted, tmp_path):
    broken, output, page = tmp_path / "broken.png", tmp_path / "answers.csv", tmp_path / "page.html"
    broken.write_bytes(b"")
    arguments = ["predict", str(_fitted.directory), str(broken), "--output", str(output), "--page", str(page), *TRUST]
    code, printed, warned = hallmark(*arguments)
    assert code == 0 and "unreadable image" in printed and broken.name in warned
    code, printed, _ = hallmark(*arguments, "--json", "--strict")
    expected = [{"id": str(broken), "problem": "unreadable image"}]
    assert code == 1 and json.loads(printed) == expected == read_csv(output).to_dict("records")
    assert "unreadable image" in page.read_text(encoding="utf-8")


def test_what_a_run_warns_of_is_on_stderr_and_stdout_is_json_alone(hallmark, _fitted, digits, tmp_path):
    run, (file,) = shutil.copytree(_fitted.directory, tmp_path / "run"), draw(tmp_path, "val", digits, 1)
    record = read_json(run / "record.json")
    write_json(run / "record.json", {**record, "warnings": ["weights of elsewhere"]})
    splits = read_csv(run / "splits.csv", dtype=str)
    splits.drop(columns="content").to_csv(run / "splits.csv", index=False)  # as an earlier version wrote it
    page = tmp_path / "page.html"
    code, printed, warned = hallmark("predict", str(run), str(file), "--json", "--page", str(page), *TRUST)
    (answer,) = json.loads(printed)
    assert code == 0 and answer["seen"] == "" and "weights of elsewhere" in answer["warning"]
    for text in (warned, page.read_text(encoding="utf-8")):
        assert "weights of elsewhere" in text and "splits.csv" in text
    _, printed, warned = hallmark("predict", str(run), str(file), *TRUST)
    assert "weights of elsewhere" in warned and "weights of elsewhere" not in printed


def test_rows_of_the_sealed_test_split_are_refused_until_they_were_measured(
    hallmark, digits, compose, monkeypatch, tmp_path
):
    monkeypatch.setenv("HALLMARK_OUTPUTS", str(tmp_path / "outputs"))  # of a run that no other test measures
    config = compose(*SETTINGS)
    train(config)
    run, (file,) = Job.of(config).run, draw(tmp_path, "test", digits, 1)
    arguments = ["predict", str(run.directory), str(file), "--json", *TRUST]
    code, _, printed = hallmark(*arguments)
    assert code == 2 and "sealed" in printed
    sealed_tables([run], trust=Job.of(config).trust)
    code, printed, _ = hallmark(*arguments)
    assert code == 0 and json.loads(printed)[0]["seen"] == "test"


@pytest.mark.parametrize("first", ["test", "train"])
def test_a_test_row_that_is_elsewhere_too_is_a_test_row_in_whatever_order(hallmark, _fitted, digits, tmp_path, first):
    run, (file,) = shutil.copytree(_fitted.directory, tmp_path / "run"), draw(tmp_path, "test", digits, 1)
    splits = read_csv(run / "splits.csv", dtype=str)
    row = splits[splits["id"] == digits.rows("test")["id"][0]]
    both = [row, row.assign(id="again", split="train")][:: 1 if first == "test" else -1]
    pd.concat([splits[splits["id"] != row["id"].item()], *both]).to_csv(run / "splits.csv", index=False)
    code, _, printed = hallmark("predict", str(run), str(file), *TRUST)
    assert code == 2 and "sealed" in printed


@pytest.fixture(scope="module")
def _repeated(compose, outputs) -> RepeatSet:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALLMARK_OUTPUTS", str(outputs))
        config = compose(*SETTINGS, "repeat=seeds:2")
        train_repeats(config)
        result = open_result(Job.of(config).directory)
        assert isinstance(result, RepeatSet)
        return result


def test_a_set_of_repeats_answers_by_the_mean_of_its_runs(hallmark, _repeated, digits, tmp_path):
    files = [str(file) for file in draw(tmp_path, "val", digits, 2)]
    members = runs_of(_repeated)
    each = [json.loads(hallmark("predict", str(run.directory), *files, "--json", *TRUST)[1]) for run in members]
    mean = json.loads(hallmark("predict", str(_repeated.directory), *files, "--json", *TRUST)[1])
    assert len(each) == 2
    for position, answer in enumerate(mean):
        for name in PROBABILITIES:
            assert answer[name] == pytest.approx(np.mean([run[position][name] for run in each]), abs=1e-9)


def test_of_a_set_whose_runs_have_thresholds_a_run_is_to_be_named(hallmark, _repeated, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(DigitsClassifier, "has_thresholds", True)
    (file,), (first, _) = draw(tmp_path, "val", digits, 1), runs_of(_repeated)
    code, _, printed = hallmark("predict", str(_repeated.directory), str(file), *TRUST)
    assert code == 2 and str(first.directory) in printed
    assert hallmark("predict", str(first.directory), str(file), *TRUST)[0] == 0


def test_the_size_of_a_batch_is_that_which_was_typed(hallmark, _fitted, digits, tmp_path, monkeypatch):
    sizes, predict_step = [], DigitsClassifier.predict_step

    def counted(self, batch, batch_idx):
        sizes.append(len(batch["index"]))
        return predict_step(self, batch, batch_idx)

    monkeypatch.setattr(DigitsClassifier, "predict_step", counted)
    files = [str(file) for file in draw(tmp_path, "val", digits, 7)]
    hallmark("predict", str(_fitted.directory), *files, "--batch-size", "3", *TRUST)
    assert sizes == [3, 3, 1]


def test_the_page_holds_every_answer(hallmark, _fitted, digits, tmp_path):
    files, page = draw(tmp_path, "val", digits, 2), tmp_path / "page.html"
    code, printed, errors = hallmark("predict", str(_fitted.directory), *map(str, files), "--page", str(page), *TRUST)
    assert code == 0, errors
    assert str(page) in printed
    text = page.read_text(encoding="utf-8")
    assert all(f"<h2>{file}</h2>" in text for file in files) and text.count("data:image/jpeg") == 2


@pytest.mark.parametrize(
    ("options", "key"),
    [(["--output", "a.txt"], "--output"), (["--page", "a.pdf"], "--page"), (["--batch-size", "0"], "--batch-size"),
     (["--output", "README.md/a.csv"], "--output"), (["--page", "README.md/a.html"], "--page")],
)  # fmt: skip
def test_options_out_of_range_are_named(hallmark, _fitted, options, key):
    code, _, printed = hallmark("predict", str(_fitted.directory), "a.png", *options, *TRUST)
    assert code == 2 and printed.startswith(f"error: {key}=")


def test_an_input_is_not_written_over(hallmark, _fitted, tmp_path):
    file = tmp_path / "list.csv"
    file.write_text("path\n")
    for source in (file, tmp_path):
        code, _, printed = hallmark("predict", str(_fitted.directory), str(source), "--output", str(file), *TRUST)
        assert code == 2 and printed.startswith("error: --output=")
    assert file.read_text() == "path\n"


def test_an_empty_word_is_no_input(hallmark, _fitted, capsys):
    with pytest.raises(SystemExit) as ended:
        hallmark("predict", str(_fitted.directory), "", *TRUST)
    assert ended.value.code == 2 and "INPUT" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["seed=3", "split=test", "analysis=[slices]", "+data.folder=x"])
def test_settings_without_effect_are_refused(hallmark, _fitted, setting):
    typed = ["--setting", setting, "--setting", "statistics.n_resamples=20", *TRUST]
    code, _, printed = hallmark("predict", str(_fitted.directory), "a.png", *typed)
    key = setting.partition("=")[0].removeprefix("+")
    assert code == 2 and printed.startswith(f"error: {key}: no effect") and "n_resamples:" not in printed


def test_a_system_that_reads_no_new_files_says_so(hallmark, compose, tmp_path):
    config = compose("experiment=digits_classifier", *SETTINGS[3:])
    train(config)
    code, _, printed = hallmark("predict", str(Job.of(config).directory), "a.png")
    assert code == 2 and "DigitsDataModule" in printed


def test_of_many_classes_the_answer_and_the_runner_up_are_shown():
    values = {"P(a)": [0.1, None], **{f"P(c{number})": [0.05, None] for number in range(4)}, "P((b))": [0.7, None]}
    table = pd.DataFrame({"id": ["x", "y"], "prediction": ["(b)", None], **values, "problem": ["", "missing file"]})
    assert brief(table).equals(table)
    many = table.assign(**{"P(d)": [0.0, None]})[[*table.columns[:-1], "P(d)", "problem"]]
    table = brief(many)
    assert list(table) == ["id", "prediction", "P", "runner_up", "problem"]
    assert table.loc[0, ["P", "runner_up"]].tolist() == [0.7, "a 0.100"]
    assert np.isnan(table.loc[1, "P"]) and table.loc[1, "runner_up"] == ""
