"""One archive with all that a result stands on, after one access to the test split."""

import json
import os
import re
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file
from tests.engine.releasing import NAME, count, git, released

from hallmark.console import main
from hallmark.engine.loggers.wandb import Wandb
from hallmark.engine.release.readiness import CHECKS
from hallmark.engine.release.verify import verify
from hallmark.runs.archive import damage, unpack
from hallmark.runs.repeats import RepeatSet
from hallmark.runs.seal import SealedError, accesses_of, seal_of
from hallmark.statistics import table_metrics
from hallmark.storage.files import write_json

pytestmark = pytest.mark.e2e


def test_a_set_becomes_one_archive_with_all_that_it_stands_on(repeats, runs, place):
    archive = released(repeats)
    assert archive == place / "outputs" / NAME / f"{NAME}-{repeats.record.set_id}.zip"
    assert damage(archive) == []
    root = unpack(archive, place / "there")
    top = {"README.md", "RESULTS.md", "MANIFEST.sha256", "command.txt", "environment.txt", "receipts.json",
           "release.json", "runs", "set"}  # fmt: skip
    assert {path.name for path in root.iterdir()} == top
    for run in runs:
        unpacked = root / "runs" / run.directory.name
        for name in ("config.yaml", "record.json", "metrics.json", "history.csv", "splits.csv", "checkpoints/best.ckpt",
                     "predictions/val.parquet", "predictions/test.parquet", "figures/learning_curves.png"):  # fmt: skip
            assert (unpacked / name).read_bytes() == (run.directory / name).read_bytes(), name
        weights, state = (
            load_file(unpacked / "weights.safetensors"),
            torch.load(run.best, weights_only=True)["state_dict"],
        )
        assert weights.keys() == state.keys() and all(torch.equal(weights[name], state[name]) for name in state)
    again = RepeatSet(root / "set")
    assert [member.run.directory for member in again.members] == [root / "runs" / r.directory.name for r in runs]
    assert again.metrics() == repeats.metrics() == json.loads((root / "set" / "metrics.json").read_text())
    assert set(again.metrics()) == {"val", "test"}
    facts = json.loads((root / "release.json").read_text())
    assert facts["kind"] == "set" and facts["checks"] == dict.fromkeys(CHECKS, "passed")
    assert f"numpy=={np.__version__}" in (root / "environment.txt").read_text().splitlines()


def test_the_test_split_is_looked_at_once_for_the_set_and_by_no_second_release(repeats, runs, monkeypatch):
    first = released(repeats).read_bytes()
    (access,) = accesses_of(repeats)
    assert access.covers(runs) and access.reason is None
    monkeypatch.setattr("lightning.Trainer.predict", lambda *_, **__: pytest.fail("the test split was read again"))
    assert released(repeats).read_bytes() == first
    assert accesses_of(repeats) == [access]


def test_a_run_that_had_its_access_is_released_with_what_it_gave(evaluate, runs):
    evaluate(runs[0], "split=test")
    table = (runs[0].directory / "predictions" / "test.parquet").read_bytes()
    archive = released(runs[0])
    assert len(accesses_of(runs[0])) == 1
    with ZipFile(archive) as opened:
        name = f"{archive.stem}/runs/{runs[0].directory.name}/predictions/test.parquet"
        assert opened.read(name) == table
        assert f"{archive.stem}/repeats/runs.csv" in opened.namelist()
    assert verify(archive).metrics == count(runs[0])


def test_metrics_that_a_killed_process_did_not_write_are_computed(evaluate, runs):
    evaluate(runs[0], "split=test")
    measured = runs[0].metrics
    write_json(runs[0].directory / "metrics.json", {"val": measured["val"]})
    archive = released(runs[0])
    assert runs[0].metrics == measured and verify(archive).metrics == count(runs[0])


def test_a_seal_that_others_opened_stops_the_release_before_it_writes(evaluate, repeats, runs, place):
    evaluate(runs[0], "split=test")
    with pytest.raises(SealedError, match=r"run=\S+ split=test seal\.reason=\"\.\.\.\"` does, and the release can"):
        released(repeats)
    assert not list((place / "outputs").rglob("*.zip")) and git(place / "clone", "tag") == ""


def broken_markers(repeats: RepeatSet, place: Path) -> None:
    (place / "NOTES.md").write_text(f"<!-- hallmark release: {NAME} -->\n")


def no_text(repeats: RepeatSet, place: Path) -> None:
    (place / "NOTES.md").write_bytes(b"\xff\xfe\0")


def a_file_for_a_folder(repeats: RepeatSet, place: Path) -> None:
    (place / "NOTES.md").mkdir()


def other_metrics(repeats: RepeatSet, place: Path) -> None:
    path = repeats.members[1].run.directory / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["val"]["main"]["accuracy"] += 1e-9
    write_json(path, metrics)


def lost_weights(repeats: RepeatSet, place: Path) -> None:
    repeats.members[1].run.best.unlink()


def damaged_weights(repeats: RepeatSet, place: Path) -> None:
    repeats.members[1].run.best.write_bytes(b"<html>")


def odd_name(repeats: RepeatSet, place: Path) -> None:
    (repeats.members[1].run.directory / "figures" / "a:b.png").touch()


def nobody(repeats: RepeatSet, place: Path) -> None:
    git(place / "clone", "config", "user.useConfigOnly", "true")
    for name in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "EMAIL"):
        os.environ.pop(name, None)  # the fixture restores them
    os.environ["GIT_CONFIG_GLOBAL"] = os.devnull


REFUSED = {
    "markers": (broken_markers, r"NOTES\.md: needs both"),
    "no text": (no_text, r"NOTES\.md: expected a Markdown file in UTF-8"),
    "a folder": (a_file_for_a_folder, r"NOTES\.md: expected a Markdown file"),
    "metrics": (other_metrics, r"metrics\.json: val/main/accuracy is 0\.\d+, its predictions give 0\.\d+"),
    "no weights": (lost_weights, r"checkpoints/best\.ckpt was selected and is missing"),
    "damaged weights": (damaged_weights, r"best\.ckpt: damaged checkpoint"),
    "a name": (odd_name, r"figures/a:b\.png': not a plain path"),
    "nobody who tags": (nobody, r"git has no name to tag with"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_can_be_refused_is_refused_before_the_look(repeats, place, monkeypatch, change, message):
    for name in ("GIT_CONFIG_GLOBAL", "EMAIL"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    change(repeats, place)
    with pytest.raises(ValueError, match=message):
        released(RepeatSet(repeats.directory), into=place / "NOTES.md")
    assert accesses_of(repeats) == [] and not list((place / "outputs").rglob("*.zip"))
    assert git(place / "clone", "tag") == ""


def test_an_archive_that_does_not_agree_with_itself_is_not_released(evaluate, runs, place):
    evaluate(runs[0], "split=test")
    seal, notes = seal_of(runs[0]).path, place / "NOTES.md"
    records = json.loads(seal.read_text())
    records["looks"][0]["runs"][0]["metrics"]["main"]["accuracy"] += 0.1
    write_json(seal, records)
    notes.write_text("# Notes\n")
    with pytest.raises(ValueError, match=r"\.zip: not released: intact, but inconsistent:\n  receipts"):
        released(runs[0], into=notes)
    assert notes.read_text() == "# Notes\n" and git(place / "clone", "tag") == ""
    assert not list((place / "outputs").rglob("*.zip"))


def test_a_release_is_tagged_and_written_between_markers(repeats, place):
    readme = place / "NOTES.md"
    readme.write_text("# Notes\n\nbefore\n")
    archive = released(repeats, into=readme)
    tag = f"hallmark/{NAME}/{repeats.record.set_id}"
    assert git(place / "clone", "rev-parse", f"{tag}^{{commit}}") == git(place / "clone", "rev-parse", "HEAD")
    assert archive.name in git(place / "clone", "tag", "-n1", "-l", tag)
    text = readme.read_text()
    test = repeats.metrics()["test"]["main"]["accuracy"]
    pooled = repeats.predictions("test")
    assert text.startswith("# Notes\n\nbefore\n\n<!-- hallmark release: sentiment_tfidf -->\n")
    assert f"{test['mean']:.3f} ± {test['std']:.3f} (n = 2)" in text
    assert "Mean ± standard deviation over 2 folds:" in text
    assert f"| accuracy | {table_metrics(repeats.predictions('val'))['main']['accuracy']:.3f} [" in text
    assert f"test (n = {len(pooled)})" in text and "2 runs, folds:2; seed 0, 0" in text
    assert all(f"- {name}: passed" in text for name in CHECKS)
    assert "ngrams: " in text and "cache:" not in text
    for name, member in zip(("fold 0", "fold 1"), repeats.members, strict=True):
        assert re.search(rf"\| {member.run.directory.name} \| {name} \| 0\.\d+ .*checkpoints/best", text)
    assert "| mean |  | " in text and "| std |  | " in text
    assert str(accesses_of(repeats)[0]) in text
    readme.write_text(text + "after\n")
    released(repeats, into=readme)
    assert readme.read_text() == text + "after\n"


def test_without_a_tag(repeats, place):
    released(repeats, tagged=False)
    assert git(place / "clone", "tag") == ""


def test_a_tag_of_another_commit_stops_the_release_before_the_look(repeats, place):
    tag = f"hallmark/{NAME}/{repeats.record.set_id}"
    git(place / "clone", "commit", "-q", "--allow-empty", "-m", "second")
    git(place / "clone", "tag", tag)
    git(place / "clone", "checkout", "-q", "HEAD~1")
    with pytest.raises(ValueError, match=f"the tag {tag} is on another commit"):
        released(repeats)
    assert accesses_of(repeats) == []


def test_the_wandb_run_of_each_member_hears_of_the_release(repeats, runs, monkeypatch):
    heard: list[tuple[Path, str]] = []
    monkeypatch.setattr(Wandb, "released", lambda self, run, archive: heard.append((run.directory, archive.name)))
    config = OmegaConf.load(runs[1].directory / "config.yaml")
    logger = "hallmark.engine.loggers.wandb.Wandb"
    config.logger = {"wandb": {"_target_": logger, "project": "p", "group": None, "tags": []}}
    OmegaConf.save(config, runs[1].directory / "config.yaml")
    archive = released(repeats)
    assert heard == [(runs[1].directory, archive.name)]


def test_the_command_line(repeats, runs, place, capsys):
    assert main(["release", str(repeats.directory), "--no-tag", "--into", str(place / "R.md")]) == 0
    printed = capsys.readouterr().out
    archive = Path(re.search(r"released: (.*)", printed)[1])
    assert archive.exists() and (place / "R.md").exists()
    assert main(["release", "--verify", str(archive)]) == 0
    assert f"{count(*runs)} metrics computed again" in capsys.readouterr().out
    assert main(["release", str(repeats.directory), "--waive", "seal"]) == 2
    assert "--waive='seal': expected one of git, leakage, repeats, selection, environment" in capsys.readouterr().err
    assert main(["release"]) == 2
    assert "give either a result to release" in capsys.readouterr().err
    assert main(["release", str(place / "nothing")]) == 2
    assert "give one finished run" in capsys.readouterr().err


def test_pooled_tables_of_a_set_have_all_rows(repeats):
    released(repeats)
    assert len(repeats.predictions("test")) == sum(
        len(pd.read_parquet(member.run.directory / "predictions" / "test.parquet")) for member in repeats.members
    )
