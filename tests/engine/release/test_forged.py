"""An archive that was changed and has right checksums does not agree with itself."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.engine.releasing import repack

from hallmark.engine.release.verify import verify
from hallmark.runs.archive import damage
from hallmark.runs.predictions import COLUMNS, read_predictions, write_predictions
from hallmark.storage.files import write_json

pytestmark = pytest.mark.e2e


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
