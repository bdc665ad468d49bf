"""A release verifies itself from its archive alone; whatever bytes it has, nothing of it is run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from zipfile import ZipFile

import pytest
from tests.engine.releasing import count, released, repack

from hallmark.console import main
from hallmark.engine.release.verify import verify
from hallmark.runs.archive import ArchiveError, unpack, write_archive
from hallmark.runs.predictions import read_predictions
from hostile import mutate

pytestmark = pytest.mark.e2e


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
