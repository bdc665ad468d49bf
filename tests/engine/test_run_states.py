"""What the same command means in a run directory that is done, failed, interrupted, foreign or taken."""

import signal

import pandas as pd
import pytest
from filelock import FileLock
from lightning import Callback

from hallmark.checks import Interrupted
from hallmark.engine.train import train
from hallmark.learning.callbacks.training import History
from hallmark.learning.encoders.weights import safe_load
from hallmark.runs.record import RunState
from hallmark.runs.source_files import SourceFiles

pytestmark = pytest.mark.e2e

TFIDF = "experiment=sentiment_tfidf"
TEXT = ["experiment=sentiment_text", "trainer.max_epochs=2", "trainer.limit_train_batches=2"]


def never(*_, **__) -> None:
    pytest.fail("a finished run must not be fitted again")


def test_a_finished_run_is_found_done(compose, small, fit, files, monkeypatch, capsys):
    run = fit(TFIDF)
    before = files(run)
    monkeypatch.setattr("lightning.Trainer.fit", never)
    assert train(compose(TFIDF, *small)) == run.record.selected["value"]
    assert files(run) == before
    assert "is done (rerun=true would replace it)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "harmless",
    ["features.enabled=false", "data.num_workers=1", "logger=tensorboard", "trainer.enable_progress_bar=false"],
)
def test_what_cannot_change_a_result_does_not_make_another_run(run_of, harmless):
    prefix = "+" if harmless.startswith("trainer") and "enable_progress" in harmless else ""
    assert run_of(TFIDF, prefix + harmless).directory == run_of(TFIDF).directory


@pytest.mark.parametrize("change", ["seed=1", "model.ngrams=1", "data.split.seed=1", "data.leakage=report"])
def test_what_can_change_a_result_makes_another_run(run_of, change):
    assert run_of(TFIDF, change).directory != run_of(TFIDF).directory


def test_another_picture_is_other_data(fit, corpus):
    overrides = [TFIDF, f"data.folder={corpus}"]
    run = fit(*overrides)
    first = pd.read_csv(corpus / "train.txt", dtype=str)["guid"][0]
    with (corpus / "data" / f"{first}.jpg").open("ab") as picture:
        picture.write(b"\0")
    with pytest.raises(ValueError, match=r"is done, but was produced with .*; it differs in data: .*rerun=true"):
        fit(*overrides)
    again = fit(*overrides, "rerun=true")
    assert again.directory == run.directory
    assert again.record.provenance.data != run.record.provenance.data


def test_another_label_is_other_data(fit, corpus):
    fit(TFIDF, f"data.folder={corpus}")
    table = pd.read_csv(corpus / "train.txt", dtype=str)
    table.loc[0, "tag"] = "neutral" if table.loc[0, "tag"] != "neutral" else "positive"
    table.to_csv(corpus / "train.txt", index=False)
    with pytest.raises(ValueError, match="it differs in data: "):
        fit(TFIDF, f"data.folder={corpus}")


def test_changed_code_is_named_by_its_file(fit, monkeypatch):
    run = fit(TFIDF)
    hashes = {**run.record.provenance.code, "learning/optim.py": "0" * 12}
    monkeypatch.setattr("hallmark.engine.job.code_hashes", lambda *_: hashes)
    with pytest.raises(ValueError, match=r"it differs in code: learning/optim\.py\. Add rerun=true"):
        fit(TFIDF)


def test_changed_code_is_accepted_with_a_warning_where_that_is_asked_for(fit, monkeypatch, capsys):
    run = fit(TFIDF)
    monkeypatch.setattr("hallmark.engine.job.code_hashes", lambda *_: {"learning/optim.py": "0" * 12})
    fit(TFIDF, "on_code_change=warn")
    printed = capsys.readouterr().out
    assert f"{run.directory} is done" in printed and "warning: it was produced with different code: " in printed
    with pytest.raises(ValueError, match="it differs in code: "):
        fit(TFIDF)


def test_a_class_outside_the_tree_is_code_of_the_run_and_its_comments_are_not(fit, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "outside_the_tree.py"
    source = (
        "from hallmark.systems.sentiment.module import TfidfClassifier\n\n\nclass Mine(TfidfClassifier):\n    x = {}\n"
    )
    overrides = [TFIDF, "model._target_=outside_the_tree.Mine", "trusted_packages=[outside_the_tree]"]
    module.write_text(source.format(1))
    run = fit(*overrides)
    module.write_text("# Why.\n" + source.format(1))
    assert fit(*overrides).record.started == run.record.started
    module.write_text(source.format(2))
    with pytest.raises(ValueError, match=r"it differs in code: outside_the_tree\. Add rerun=true"):
        fit(*overrides)


def test_a_comment_in_a_module_that_all_systems_share_leaves_a_run_done(fit, tmp_path, monkeypatch):
    run = fit(TFIDF)
    file_of = SourceFiles.of
    shared, edited = "hallmark.data.sampling", tmp_path / "sampling.py"
    source = file_of(SourceFiles(), shared).read_text()
    monkeypatch.setattr(SourceFiles, "of", lambda files, module: edited if module == shared else file_of(files, module))
    edited.write_text('"""Other words."""\n# Another comment.' + source.split('"""', 2)[2])
    assert fit(TFIDF).record.started == run.record.started
    edited.write_text(source + "\nADDED = 1\n")
    with pytest.raises(ValueError, match=r"it differs in code: data/sampling\.py\. Add rerun=true"):
        fit(TFIDF)


def test_rerun_replaces_everything_that_was_there(fit):
    run = fit(TFIDF)
    (run.directory / "analysis").mkdir()
    (run.directory / "analysis" / "old.csv").write_text("of the earlier run")
    started = run.best.stat().st_mtime_ns
    again = fit(TFIDF, "rerun=true")
    assert again.best.stat().st_mtime_ns > started
    assert not (run.directory / "analysis").exists()
    assert again.metrics == run.metrics


def test_the_record_counts_parameters_and_those_that_are_trained(fit):
    run = fit(*TEXT, "model.encoders.text.frozen=true")
    total, trained = run.record.parameters["total"], run.record.parameters["trained"]
    assert 0 < trained < total
    saved = safe_load(run.best)["state_dict"]
    assert trained == sum(value.numel() for name, value in saved.items() if name.startswith("head."))


def fail_in_second_epoch(_: Callback, trainer, *__) -> None:
    if trainer.current_epoch == 1:
        raise RuntimeError("a bad moment")


def test_a_failure_is_recorded_with_its_traceback_and_goes_on_from_its_checkpoint(fit, run_of, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_batch_start", fail_in_second_epoch)
        with pytest.raises(RuntimeError, match="a bad moment"):
            fit(*TEXT)
    failed = run_of(*TEXT).record
    assert failed.state is RunState.FAILED
    assert failed.error.startswith("Traceback") and "RuntimeError: a bad moment" in failed.error
    run = fit(*TEXT)
    assert (run.record.state, run.record.error, run.record.resumed) == (RunState.DONE, None, 1)
    assert len(pd.read_csv(run.directory / "history.csv")) == 2


def stop_in_second_epoch(_: Callback, trainer, *__) -> None:
    if trainer.current_epoch == 1:
        signal.raise_signal(signal.SIGTERM)


def test_sigterm_saves_and_the_same_command_goes_on(fit, run_of, monkeypatch, capsys):
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_batch_start", stop_in_second_epoch)
        with pytest.raises(Interrupted, match="SIGTERM: stopped after step 3"):
            fit(*TEXT)
    assert signal.getsignal(signal.SIGTERM) is handler
    assert run_of(*TEXT).record.state is RunState.INTERRUPTED
    run = fit(*TEXT)
    assert "sentiment_text resumes: " in capsys.readouterr().out
    assert (run.record.state, run.record.resumed) == (RunState.DONE, 1)
    assert pd.read_csv(run.directory / "history.csv")["epoch"].tolist() == [0, 1]


def test_an_unfinished_run_on_other_data_is_not_resumed(fit, monkeypatch, corpus):
    overrides = [*TEXT, f"data.folder={corpus}"]
    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_batch_start", stop_in_second_epoch)
        with pytest.raises(Interrupted):
            fit(*overrides)
    table = pd.read_csv(corpus / "train.txt", dtype=str)
    table.iloc[1:].to_csv(corpus / "train.txt", index=False)
    with pytest.raises(ValueError, match=r"is interrupted, but was produced with .*; it differs in data"):
        fit(*overrides)


def test_a_run_that_another_process_holds_is_refused(fit, run_of):
    folder = run_of(TFIDF).directory
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(ValueError, match="another process is working on this run"):
        fit(TFIDF)
    assert fit(TFIDF).record.state is RunState.DONE


def test_a_start_from_another_run_copies_its_weights_and_names_its_parent(fit):
    probe = fit("experiment=clip_probe", "debug=fast")
    lora = fit("experiment=clip_lora", "debug=fast", f"init_from={probe.directory}")
    assert lora.record.parents["init_from"]["run_id"] == probe.record.run_id
    with pytest.raises(ValueError, match=r"init_from: .* shares .* numbers"):
        fit(TFIDF, f"init_from={probe.directory}")
