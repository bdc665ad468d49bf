"""A release: refused with all reasons, or one archive that proves itself."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from hallmark.console import main
from hallmark.engine.readiness import CHECKS
from hallmark.engine.release import release
from hallmark.engine.repeats import train_repeats
from hallmark.engine.results import write_between_markers
from hallmark.engine.verify import verify
from hallmark.runs.archive import ArchiveError, damage, unpack, write_archive
from hallmark.runs.predictions import read_predictions, write_predictions
from hallmark.runs.record import Record
from hallmark.runs.repeats import RepeatSet
from hallmark.runs.run import Run
from hallmark.runs.seal import SealedError, receipts_of
from hallmark.statistics import table_metrics
from hallmark.storage.files import write_json

NAME = "sentiment_tfidf"


def git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *settings, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def made(compose, small, cache, tmp_path_factory) -> Path:
    """A clone with one commit, and a set of two seeds trained in it."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "clone").mkdir()
    git(folder / "clone", "init", "-q")
    git(folder / "clone", "commit", "-q", "--allow-empty", "-m", "first")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "clone")
        places = [f"paths.outputs={folder / 'outputs'}", f"paths.cache={cache}"]
        train_repeats(compose("experiment=sentiment_tfidf", *small, *places, "repeat=seeds:2"))
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch) -> Path:
    """A copy of that of this test alone; the clone is the working folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path / "clone")
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "a@b")
    return tmp_path


@pytest.fixture
def repeats(place) -> RepeatSet:
    (file,) = (place / "outputs" / NAME).glob("*/repeats.json")
    return RepeatSet(file.parent)


@pytest.fixture
def runs(repeats) -> list[Run]:
    return [member.run for member in repeats.members]


def released(result: RepeatSet | Run, *waived: str, into: Path | None = None, tagged: bool = True) -> Path:
    return release(result.directory, waived=waived, into=into, tagged=tagged)


def count(*runs: Run) -> int:
    return sum(len(values) for run in runs for tasks in run.metrics.values() for values in tasks.values())


def change(run: Run, **changes) -> None:
    record = Record.read(run.directory)
    assert record is not None
    for name, value in changes.items():
        setattr(record, name, value)
    record.write(run.directory)


def repack(archive: Path, folder: Path, edit) -> Path:
    """Change the content of an archive as somebody would who also makes its checksums new."""
    root = unpack(archive, folder)
    edit(root)
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    files.pop("MANIFEST.sha256")
    write_archive(archive, files)
    return archive


def test_a_set_becomes_one_archive_with_all_that_it_stands_on(repeats, runs, place):
    archive = released(repeats)
    assert archive == place / "outputs" / NAME / f"{NAME}-{repeats.set_id}.zip"
    assert damage(archive) == []
    root = unpack(archive, place / "there")
    top = {"README.md", "RESULTS.md", "MANIFEST.sha256", "command.txt", "environment.txt", "receipts.json",
           "release.json", "runs", "set"}  # fmt: skip
    assert {path.name for path in root.iterdir()} == top
    for run in runs:
        kept = root / "runs" / run.directory.name
        for name in ("config.yaml", "record.json", "metrics.json", "history.csv", "splits.csv", "checkpoints/best.ckpt",
                     "predictions/val.parquet", "predictions/test.parquet", "figures/learning_curves.png"):  # fmt: skip
            assert (kept / name).read_bytes() == (run.directory / name).read_bytes(), name
        weights, state = load_file(kept / "weights.safetensors"), torch.load(run.best, weights_only=True)["state_dict"]
        assert weights.keys() == state.keys() and all(torch.equal(weights[name], state[name]) for name in state)
    again = RepeatSet(root / "set")
    assert [member.run.directory for member in again.members] == [root / "runs" / r.directory.name for r in runs]
    assert again.metrics() == repeats.metrics() == json.loads((root / "set" / "metrics.json").read_text())
    assert set(again.metrics()) == {"val", "test"}
    facts = json.loads((root / "release.json").read_text())
    assert facts["kind"] == "set" and facts["checks"] == dict.fromkeys(CHECKS, "passed")
    assert f"numpy=={np.__version__}" in (root / "environment.txt").read_text().splitlines()


def test_the_archive_proves_itself_elsewhere(repeats, runs, place):
    archive, expected = released(repeats), count(*runs)
    moved = place / "elsewhere" / "a release.zip"
    moved.parent.mkdir()
    shutil.move(archive, moved)
    shutil.rmtree(place / "outputs")
    shutil.rmtree(place / "clone")
    done = subprocess.run(
        [sys.executable, "-m", "hallmark.console", "release", "--verify", str(moved)],
        cwd=moved.parent, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = rf"\d+ files as they were written, {expected} metrics computed again .* and equal, \d+ tensors equal in"
    assert expected >= 4 * 10 and re.search(said, done.stdout)
    assert list(moved.parent.iterdir()) == [moved]


def test_the_test_split_is_looked_at_once_for_the_set_and_by_no_second_release(repeats, runs, monkeypatch):
    first = released(repeats).read_bytes()
    (look,) = receipts_of(repeats)
    assert look.covers(runs) and look.reason is None
    monkeypatch.setattr("lightning.Trainer.predict", lambda *_, **__: pytest.fail("the test split was read again"))
    assert released(repeats).read_bytes() == first
    assert receipts_of(repeats) == [look]


def test_a_run_that_had_its_look_is_released_with_what_it_gave(evaluate, runs):
    evaluate(runs[0], "split=test")
    table = (runs[0].directory / "predictions" / "test.parquet").read_bytes()
    archive = released(runs[0])
    assert len(receipts_of(runs[0])) == 1
    with ZipFile(archive) as opened:
        name = f"{archive.stem}/runs/{runs[0].directory.name}/predictions/test.parquet"
        assert opened.read(name) == table
        assert f"{archive.stem}/repeats/runs.csv" in opened.namelist()
    assert verify(archive).metrics == count(runs[0])


def test_a_seal_that_others_opened_stops_the_release_before_it_writes(evaluate, repeats, runs, place):
    evaluate(runs[0], "split=test")
    with pytest.raises(SealedError, match=r"run=\S+ split=test seal\.reason=\"\.\.\.\"` does, and the release can"):
        released(repeats)
    assert not list((place / "outputs").rglob("*.zip")) and git(place / "clone", "tag") == ""


def test_a_release_is_tagged_and_written_between_markers(repeats, place):
    readme = place / "NOTES.md"
    readme.write_text("# Notes\n\nbefore\n")
    archive = released(repeats, into=readme)
    tag = f"hallmark/{NAME}/{repeats.set_id}"
    assert git(place / "clone", "rev-parse", f"{tag}^{{commit}}") == git(place / "clone", "rev-parse", "HEAD")
    assert archive.name in git(place / "clone", "tag", "-n1", "-l", tag)
    text = readme.read_text()
    test = repeats.metrics()["test"]["main"]["accuracy"]
    pooled = table_metrics(repeats.predictions("test").drop(columns="repetition"))["main"]
    assert text.startswith("# Notes\n\nbefore\n\n<!-- hallmark release: sentiment_tfidf -->\n")
    assert f"{test['mean']:.3f} ± {test['std']:.3f} (n = 2)" in text
    assert f"| accuracy | {repeats.metrics()['val']['main']['accuracy']['mean']:.3f} [" in text
    assert f"test (n = {pooled['n']})" in text and "2 runs, seeds:2; seed 0, 1" in text
    assert all(f"- {name}: passed" in text for name in CHECKS)
    assert "ngrams: " in text and "cache:" not in text
    assert str(receipts_of(repeats)[0]) in text
    readme.write_text(text + "after\n")
    released(repeats, into=readme)
    assert readme.read_text() == text + "after\n"


def test_without_a_tag(repeats, place):
    released(repeats, tagged=False)
    assert git(place / "clone", "tag") == ""


def test_a_tag_of_another_commit_stops_the_release_before_the_look(repeats, place):
    tag = f"hallmark/{NAME}/{repeats.set_id}"
    git(place / "clone", "commit", "-q", "--allow-empty", "-m", "second")
    git(place / "clone", "tag", tag)
    git(place / "clone", "checkout", "-q", "HEAD~1")
    with pytest.raises(ValueError, match=f"the tag {tag} is on another commit"):
        released(repeats)
    assert receipts_of(repeats) == []


def test_all_that_is_wrong_is_listed_at_once_and_nothing_was_looked_at(runs, repeats, place):
    shutil.rmtree(repeats.directory)
    (place / "clone" / "new.py").touch()
    leakage = {"checks": {"id": "clean", "group": "unknown", "duplicate text": "found"}}
    selected = {**runs[0].record.selected, "metric": "train/loss"}
    versions = {**runs[0].record.versions, "numpy": "1.0"}
    dirty = {"commit": "f" * 40, "dirty": True}
    change(runs[0], leakage=leakage, selected=selected, versions=versions, git=dirty)
    with pytest.raises(ValueError, match="cannot be released yet") as caught:
        released(runs[0])
    message = str(caught.value)
    for part in (
        "git: the working tree has uncommitted changes: commit or stash them",
        "it was trained with uncommitted changes: commit them and train again",
        "it was trained at commit ffffffffffff, and the tree is at",
        "leakage: splits share content (duplicate text; see leakage.csv)", "nothing is known of group",
        "repeats: there is one run and no spread: train with repeat=seeds:5",
        "selection: weights were selected on train/loss", "environment: packages changed",
        f"numpy 1.0 then, {np.__version__} now",
        "--waive git --waive leakage --waive repeats --waive selection --waive environment releases it",
    ):  # fmt: skip
        assert part in message, part
    assert receipts_of(runs[0]) == []
    archive = released(runs[0], *CHECKS)
    with ZipFile(archive) as opened:
        facts = json.loads(opened.read(f"{archive.stem}/release.json"))
    assert facts["checks"]["repeats"].startswith("waived: there is one run")
    assert facts["checks"]["selection"].startswith("waived: weights were selected on train/loss")
    assert verify(archive).metrics == count(runs[0])
    assert git(place / "clone", "tag") == ""


def test_one_waived_check_does_not_waive_another(runs, repeats):
    shutil.rmtree(repeats.directory)
    change(runs[0], leakage={})
    with pytest.raises(ValueError, match="its data was not checked") as caught:
        released(runs[0], "repeats")
    assert "there is one run" not in str(caught.value)


@pytest.mark.parametrize("state", ["interrupted", "failed", "running"])
def test_what_is_not_done_is_not_released(runs, state):
    change(runs[0], state=state)
    with pytest.raises(ValueError, match=f"the run is {state}"):
        released(runs[0], *CHECKS)


def test_outside_of_a_repository(repeats, runs, place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(place.parent))
    with pytest.raises(ValueError, match="git: the working folder is in no git repository"):
        released(repeats)
    assert verify(released(repeats, "git")).metrics == count(*runs)


def flip_prediction(root: Path) -> None:
    path = next(root.glob("runs/*/predictions/test.parquet"))
    table = read_predictions(path)
    row = table.index[table["target"] == table["prediction"]][0]
    table.loc[row, "prediction"] = next(name for name in table["target"].unique() if name != table.loc[row, "target"])
    write_predictions(path, table)


def polish(root: Path) -> None:
    for path in root.glob("runs/*/metrics.json"):
        metrics = json.loads(path.read_text())
        metrics["test"]["main"]["accuracy"] += 1e-12
        write_json(path, metrics)


def other_weights(root: Path) -> None:
    path = next(root.glob("runs/*/weights.safetensors"))
    tensors = load_file(path)
    first = sorted(tensors)[0]
    save_file({**tensors, first: tensors[first] + 1}, path)


def other_checkpoint(root: Path) -> None:
    path = next(root.glob("runs/*/checkpoints/best.ckpt"))
    saved = torch.load(path, weights_only=True)
    torch.save({**saved, "epoch": 99}, path)


def better_spread(root: Path) -> None:
    metrics = json.loads((root / "set" / "metrics.json").read_text())
    metrics["test"]["main"]["accuracy"]["std"] += 0.125
    write_json(root / "set" / "metrics.json", metrics)


def other_members(root: Path) -> None:
    path = root / "set" / "repeats.json"
    path.write_text(path.read_text().replace("../runs/", "../../../"))


def without_receipts(root: Path) -> None:
    (root / "receipts.json").unlink()


def without_runs(root: Path) -> None:
    shutil.rmtree(root / "runs")


def without_predictions(root: Path) -> None:
    next(root.glob("runs/*/predictions/val.parquet")).unlink()


FORGED = {
    "a prediction": (flip_prediction, r"metrics\.json: test/main/accuracy is 0\.\d+, its predictions give 0\.\d+\n"),
    "a metric": (polish, r"scored otherwise than its metrics\.json[\s\S]*test/main/accuracy is 0\.\d+, its pred"),
    "a weight": (other_weights, r"weights\.safetensors: \S+ differs from the checkpoint"),
    "a checkpoint": (other_checkpoint, r"receipts\.json: no look at the test split was at these runs"),
    "a spread": (better_spread, r"set/metrics\.json: not the mean and standard deviation of its runs"),
    "members": (other_members, r"set/repeats\.json: names other runs than there are"),
    "missing predictions": (without_predictions, r"metrics\.json: val/main/accuracy is 0\.\d+, its .* give None"),
    "missing runs": (without_runs, "it holds no run"),
    "missing receipts": (without_receipts, r"not a release \(FileNotFoundError: .*receipts\.json"),
}


@pytest.mark.parametrize(("edit", "message"), FORGED.values(), ids=FORGED)
def test_a_forged_archive_with_right_checksums_does_not_agree_with_itself(repeats, place, edit, message):
    archive = repack(released(repeats), place / "there", edit)
    assert damage(archive) == []
    with pytest.raises(ValueError, match=rf"whole, but [\s\S]*{message}"):
        verify(archive)


def test_a_flipped_byte_is_found_and_its_file_named(repeats, capsys):
    archive = released(repeats)
    with ZipFile(archive) as opened:
        entry = next(item for item in opened.infolist() if item.filename.endswith("best.ckpt"))
    changed = bytearray(archive.read_bytes())
    changed[entry.header_offset + 200] ^= 1
    archive.write_bytes(changed)
    with pytest.raises(ArchiveError, match=rf"{entry.filename.partition('/')[2]} is damaged"):
        verify(archive)
    assert main(["release", "--verify", str(archive)]) == 2
    assert "best.ckpt is damaged" in capsys.readouterr().err


def test_a_pickle_in_place_of_the_checkpoint_is_not_run(repeats, place):
    class Explosion:
        def __reduce__(self):
            return Path.touch, (place / "exploded",)

    def edit(root: Path) -> None:
        import pickle

        next(root.glob("runs/*/checkpoints/best.ckpt")).write_bytes(pickle.dumps({"state_dict": Explosion()}))

    archive = repack(released(repeats), place / "there", edit)
    with pytest.raises(ValueError, match="refused, because it holds pickled objects"):
        verify(archive)
    assert not (place / "exploded").exists()


def test_the_wandb_run_of_each_member_hears_of_the_release(repeats, runs, monkeypatch):
    heard: list[tuple[Path, str]] = []
    monkeypatch.setattr(
        "hallmark.engine.loggers.wandb.release_to_wandb",
        lambda run, archive: heard.append((run.directory, archive.name)),
    )
    config = runs[1].directory / "config.yaml"
    config.write_text(re.sub(r"^logger:.*$", "logger: {wandb: {_target_: x}}", config.read_text(), flags=re.MULTILINE))
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


@pytest.mark.parametrize("text", ["<!-- hallmark release: a -->\n", "<!-- end of hallmark release: a -->\n"])
def test_half_a_pair_of_markers_is_not_written_over(tmp_path, text):
    (tmp_path / "R.md").write_text(text)
    with pytest.raises(ValueError, match="needs both"):
        write_between_markers(tmp_path / "R.md", "a", "block")
    assert (tmp_path / "R.md").read_text() == text


def test_blocks_of_two_experiments_live_in_one_file(tmp_path):
    path = tmp_path / "R.md"
    for name, block in (("a", "one"), ("ab", "two"), ("a", "three")):
        write_between_markers(path, name, block)
    text = path.read_text()
    assert "one" not in text and text.index("three") < text.index("two")
    assert len(re.findall("<!-- hallmark release", text)) == 2


def test_pooled_tables_of_a_set_have_all_rows(repeats):
    released(repeats)
    assert len(repeats.predictions("test")) == sum(
        len(pd.read_parquet(member.run.directory / "predictions" / "test.parquet")) for member in repeats.members
    )
