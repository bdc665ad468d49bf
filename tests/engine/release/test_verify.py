"""An archive verifies itself, or says where it is inconsistent."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from zipfile import ZipFile

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.engine.releasing import NAME, count, released, seal_under

from hallmark.console import main
from hallmark.engine.release.verify import verify
from hallmark.runs.archive import ArchiveError, damage, unpack, write_archive
from hallmark.runs.predictions import COLUMNS, read_predictions, write_predictions
from hallmark.runs.repeats import RepeatSet
from hallmark.storage.files import write_json
from hostile import mutate

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def _released(_trained_set, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    shutil.copytree(_trained_set, folder, dirs_exist_ok=True)
    for run in (folder / "outputs" / NAME).glob("*/record.json"):
        seal_under(run.parent, folder / "outputs" / "seals")
    (file,) = (folder / "outputs" / NAME).glob("*/repeats.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "clone")
        return released(RepeatSet(file.parent), tagged=False)


@pytest.fixture
def archive(_released, tmp_path) -> Path:
    """A released set of this test alone."""
    return Path(shutil.copy(_released, tmp_path))


def repack(archive: Path, folder: Path, edit) -> None:
    """Change the content of an archive as somebody would who also makes its checksums new."""
    root = unpack(archive, folder)
    edit(root)
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    files.pop("MANIFEST.sha256")
    write_archive(archive, files)


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
    verdict = rf"\d+ files as they were written, {expected} metrics computed again .* and equal, \d+ tensors equal in"
    assert expected >= 4 * 10 and re.search(verdict, done.stdout)
    assert list(moved.parent.iterdir()) == [moved]


def flip_prediction(root: Path) -> None:
    path = next(root.glob("runs/*/predictions/test.parquet"))
    table = read_predictions(path)
    row = table.index[table["target"] == table["prediction"]][0]
    table.loc[row, "prediction"] = next(name for name in table["target"].unique() if name != table.loc[row, "target"])
    write_predictions(path, table)


def raise_accuracy(root: Path) -> None:
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


def members_elsewhere(root: Path) -> None:
    """Members in a folder that is not the archive's, where nothing may be read."""
    path, elsewhere = root / "set" / "repeats.json", root.parent.parent / "elsewhere"
    for run in (root / "runs").iterdir():
        (elsewhere / run.name).mkdir(parents=True)
        (elsewhere / run.name / "record.json").write_text("{}")
    path.write_text(path.read_text().replace("../runs/", f"{elsewhere}/"))


def without_receipts(root: Path) -> None:
    (root / "receipts.json").unlink()


def without_runs(root: Path) -> None:
    shutil.rmtree(root / "runs")


def without_predictions(root: Path) -> None:
    next(root.glob("runs/*/predictions/val.parquet")).unlink()


def without_a_checkpoint(root: Path) -> None:
    next(root.glob("runs/*/checkpoints/best.ckpt")).unlink()


def without_tensors(root: Path) -> None:
    next(root.glob("runs/*/weights.safetensors")).unlink()


def without_weights(root: Path) -> None:
    path = next(root.glob("runs/*/record.json")).parent
    (path / "checkpoints" / "best.ckpt").unlink()
    (path / "weights.safetensors").unlink()


def without_a_fit(root: Path) -> None:
    """A fitted run that says that nothing was fitted in it."""
    without_weights(root)
    path = next(root.glob("runs/*/record.json"))
    record = json.loads(path.read_text())
    record["selected"]["checkpoint"] = None
    write_json(path, record)


def nested(root: Path) -> None:
    next(root.glob("runs/*/record.json")).write_text("[" * 100_000)


def nested_metrics(root: Path) -> None:
    next(root.glob("runs/*/metrics.json")).write_text('{"val":' * 100_000)


def no_table(root: Path) -> None:
    next(root.glob("runs/*/predictions/val.parquet")).write_bytes(b"PAR1" + bytes(100) + b"PAR1")


def many_values(root: Path) -> None:
    """A small file that declares two million rows of nothing."""
    path = next(root.glob("runs/*/predictions/val.parquet"))
    pd.DataFrame({name: pd.array([None] * 2 * 10**6, dtype="Int8") for name in COLUMNS[:1]}).to_parquet(path)


def huge_tensor(root: Path) -> None:
    """A checkpoint of a few bytes that declares more than any memory holds."""
    path = next(root.glob("runs/*/checkpoints/best.ckpt"))
    saved = torch.load(path, weights_only=True)
    state = {name: torch.zeros(1).expand(10**13) for name in saved["state_dict"]}
    torch.save({**saved, "state_dict": state}, path)


def escape_sequence(root: Path) -> None:
    path = next(root.glob("runs/*/metrics.json"))
    path.write_text(path.read_text().replace('"accuracy"', '"\\u001b[31maccuracy"', 1))


FORGED = {
    "missing checkpoint": (without_a_checkpoint, r"best\.ckpt was selected and is missing"),
    "missing tensors": (without_tensors, r"weights\.safetensors is missing"),
    "missing weights": (without_weights, r"record\.json: checkpoints/best\.ckpt was selected and is missing"),
    "a fit": (without_a_fit, r"receipts\.json: no access to the test split covers these runs"),
    "a record in a thousand brackets": (
        nested,
        r"not a release .runs/\w+/record\.json: .*maximum recursion",
    ),
    "metrics in a thousand brackets": (
        nested_metrics,
        r"not a release .runs/\w+/metrics\.json: .*maximum recursion",
    ),
    "a table of nothing": (no_table, "not a release "),
    "a table that declares too much": (many_values, r"val\.parquet: \S+ bytes that declare 2,000,000 values"),
    "a tensor that declares too much": (huge_tensor, r"weights\.safetensors: \S+ differs from the checkpoint"),
    "an escape sequence": (escape_sequence, r"val/main/\\x1b\[31maccuracy is 0\.\d+, its predictions give None"),
    "a prediction": (flip_prediction, r"metrics\.json: test/main/accuracy is 0\.\d+, its predictions give 0\.\d+\n"),
    "a metric": (
        raise_accuracy,
        r"scored otherwise than its metrics\.json[\s\S]*test/main/accuracy is 0\.\d+, its pred",
    ),
    "a weight": (other_weights, r"weights\.safetensors: \S+ differs from the checkpoint"),
    "a checkpoint": (other_checkpoint, r"receipts\.json: no access to the test split covers these runs"),
    "a spread": (better_spread, r"set/metrics\.json: not the mean and standard deviation of its runs"),
    "members elsewhere": (members_elsewhere, r"set/repeats\.json: names other runs than there are"),
    "members": (other_members, r"set/repeats\.json: names other runs than there are"),
    "missing predictions": (without_predictions, r"metrics\.json: val/main/accuracy is 0\.\d+, its .* give None"),
    "missing runs": (without_runs, "it holds no run"),
    "missing receipts": (without_receipts, r"not a release \(FileNotFoundError: .*receipts\.json"),
}


@pytest.mark.parametrize(("edit", "message"), FORGED.values(), ids=FORGED)
def test_a_tampered_archive_with_right_checksums_does_not_agree_with_itself(archive, tmp_path, edit, message):
    repack(archive, tmp_path / "there", edit)
    assert damage(archive) == []
    with pytest.raises(ValueError, match=rf"intact, but [\s\S]*{message}"):
        verify(archive)


def test_a_flipped_byte_is_found_and_its_file_named(archive, capsys):
    with ZipFile(archive) as opened:
        entry = next(member for member in opened.infolist() if member.filename.endswith("best.ckpt"))
    changed = bytearray(archive.read_bytes())
    changed[entry.header_offset + 200] ^= 1
    archive.write_bytes(changed)
    with pytest.raises(ArchiveError, match=rf"{entry.filename.partition('/')[2]} is damaged"):
        verify(archive)
    assert main(["release", "--verify", str(archive)]) == 2
    assert "best.ckpt is damaged" in capsys.readouterr().err


def test_a_pickle_in_place_of_the_checkpoint_is_not_run(archive, tmp_path):
    class Explosion:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    def edit(root: Path) -> None:
        import pickle

        next(root.glob("runs/*/checkpoints/best.ckpt")).write_bytes(pickle.dumps({"state_dict": Explosion()}))

    repack(archive, tmp_path / "there", edit)
    with pytest.raises(ValueError, match="refused, because it holds pickled objects"):
        verify(archive)
    assert not (tmp_path / "exploded").exists()


VALUES = [None, [], {}, "", "x", -1, 1e308, True, [[]], {"main": None}, "../../x", "a\0b", 10**30]


def change_json(path: Path, draw: Random) -> None:
    """Put another value somewhere into a JSON file, or take one out."""
    value = json.loads(path.read_text())
    node = parent = value
    while isinstance(node, dict | list) and node and draw.random() < 0.8:
        parent, key = node, draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
        node = parent[key]
    if node is value:
        value = draw.choice(VALUES)
    elif draw.random() < 0.3:
        del parent[key]
    else:
        parent[key] = draw.choice(VALUES)
    path.write_text(json.dumps(value))


def change_table(path: Path, draw: Random) -> None:
    """Take out a column, or fill it with something else."""
    table = read_predictions(path)
    name = draw.choice(list(table))
    attrs = draw.choice([table.attrs, table.attrs, {}, {"classes": None}, {"classes": {"main": []}}])
    table = table.drop(columns=name) if draw.random() < 0.3 else table.assign(**{name: draw.choice(VALUES[3:8])})
    table.attrs = attrs
    table.to_parquet(path)


def change_bytes(path: Path, draw: Random) -> None:
    content = bytearray(path.read_bytes()) or bytearray(1)
    mutate(content, draw)
    path.write_bytes(content)


def exchange(path: Path, draw: Random) -> None:
    """The content of another file, none, or nested as deep as no reader goes."""
    files = sorted(file for file in path.parents[2].rglob("*") if file.is_file())
    path.write_bytes(draw.choice([draw.choice(files).read_bytes(), b"", b"[" * 10**5, b'{"a":' * 10**5]))


CHANGES = {".json": [change_json, change_json], ".parquet": [change_table]}


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_changed_in_the_files_of_an_archive_verifies_or_is_a_sentence(archive, tmp_path, seed):
    draw = Random(seed)
    root = unpack(archive, tmp_path / "there")
    files = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
    files.pop("MANIFEST.sha256")
    read = [name for name in files if name.endswith((".json", ".parquet", ".ckpt", ".safetensors"))]
    for number in range(8):
        name = draw.choice(read)
        path = tmp_path / str(number) / "x" / Path(name).name
        path.parent.mkdir(parents=True)
        shutil.copy(files[name], path)
        draw.choice([change_bytes, exchange, *CHANGES.get(path.suffix, [])])(path, draw)
        write_archive(archive, {**files, name: path})
        try:
            verify(archive)
        except ValueError as error:
            assert str(error).startswith(f"{archive}: intact, but") and len(str(error)) < 15_000
            assert all(line.isprintable() for line in str(error).splitlines())
