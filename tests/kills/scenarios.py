"""What is killed: five commands on the smallest models, from a fixed start to an end state that can be compared."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import pandas as pd
import torch
from omegaconf import DictConfig

from hallmark.engine.evaluate import evaluate
from hallmark.engine.job import Job
from hallmark.engine.release.release import release
from hallmark.engine.release.verify import verify
from hallmark.engine.repeats import train_repeats
from hallmark.engine.search.sweep import sweep
from hallmark.runs.seal import SealedError
from hallmark.storage.hashing import digest, digest_bytes

PROJECT = Path(__file__).parents[2]
_SMALL = ["data.sample.rows=120", "data.sample.unlabelled=20", "callbacks.progress=null"]
_TEXT = [*_SMALL, "experiment=sentiment_text", "trainer.max_epochs=2", "callbacks.early_stopping=null"]
_TFIDF = [*_SMALL, "experiment=sentiment_tfidf"]
_OF_TIME = {
    "git", "finished", "wall_seconds", "resumed", "started", "command", "opened", "completed", "seconds", "host", "id",
}  # fmt: skip
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(\+\d{2}:\d{2}| UTC)?")
_DRAWN = {".png", ".pdf", ".log", ".db"}  # compared by name alone


def composed(command: str, *overrides: str) -> DictConfig:
    with hydra.initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        return hydra.compose(command, list(overrides))


@dataclass(frozen=True)
class Scenario:
    """A command from a fixed start.

    Attributes:
        prepare: makes the start, once.
        work: the command that is killed; `again`: the one that is typed afterwards.
    """

    prepare: Callable[[], object]
    work: Callable[[], object]
    again: Callable[[], object]


def scenarios() -> dict[str, Scenario]:
    """Every scenario by its name, with the outputs in $HALLMARK_OUTPUTS."""
    fit, rerun = composed("train", *_TEXT), composed("train", *_TEXT, "rerun=true")
    tfidf, repeats = composed("train", *_TFIDF), composed("train", *_TFIDF, "repeat=folds:2")
    measured = composed("evaluate", f"run={Job.of(tfidf).directory}", "split=test")
    grid = ["sweep=grid", "sweep.space={model.inverse_regularisation: [1.0, 2.0, 4.0]}", "jobs=2"]
    searched = composed("sweep", *_TFIDF, *grid)

    def released() -> None:
        release(Job.of(repeats).directory, waived=["git"], into=None, tagged=False)

    def measured_again() -> None:
        with suppress(SealedError):  # killed at its very end, it had its one access, with all that it gave
            evaluate(measured)

    return {
        "fit": Scenario(lambda: None, lambda: train_repeats(fit), lambda: train_repeats(fit)),
        "evaluation on test": Scenario(lambda: train_repeats(tfidf), lambda: evaluate(measured), measured_again),
        "release of a set": Scenario(lambda: train_repeats(repeats), released, released),
        "rerun=true": Scenario(lambda: train_repeats(fit), lambda: train_repeats(rerun), lambda: train_repeats(fit)),
        "sweep": Scenario(lambda: None, lambda: sweep(searched), lambda: sweep(searched)),
    }


def end_state(folder: Path) -> dict[str, str]:
    """A hash of every file below `folder` by its name, less what tells the time; of drawings the name alone."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    return {path.relative_to(folder).as_posix(): _content(path) for path in sorted(paths)}


def _content(path: Path) -> str:
    if path.suffix in _DRAWN:
        return path.suffix
    if path.suffix == ".ckpt":
        saved = torch.load(path, weights_only=True)
        return digest(
            [_plain(saved[part]) for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step")]
        )
    if path.suffix == ".json":
        return digest(_timeless(json.loads(path.read_text())))
    if path.suffix == ".zip":
        verified = verify(path)
        return digest([verified.files, verified.metrics, verified.tensors, sorted(zipfile.ZipFile(path).namelist())])
    if path.suffix == ".csv":
        table = pd.read_csv(path)
        return digest(table.drop(columns=[name for name in table if name in _OF_TIME]).astype(str).to_numpy().tolist())
    if path.suffix in (".md", ".yaml"):  # a run that is replaced may have begun under either command
        return digest_bytes(_MOMENT.sub("", path.read_text()).replace("rerun: true", "rerun: false").encode())
    return digest_bytes(path.read_bytes())


def _timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _timeless(nested) for key, nested in value.items() if key not in _OF_TIME}
    return [_timeless(nested) for nested in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return digest_bytes(value.detach().float().numpy().tobytes())
    if isinstance(value, Mapping):
        return {str(key): _plain(nested) for key, nested in value.items()}
    return [_plain(nested) for nested in value] if isinstance(value, list | tuple) else value


def restore(start: Path, outputs: Path) -> None:
    """Put the start state back into `outputs`."""
    shutil.rmtree(outputs, ignore_errors=True)
    shutil.copytree(start, outputs)
