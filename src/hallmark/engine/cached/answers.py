"""An evaluation or a sweep that is typed again: answered as before, without torch, where nothing has changed since."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from hallmark.engine.cached.notes import Note, print_again, result_files
from hallmark.engine.config.stored import refuse_links
from hallmark.engine.config.symbolic import plain
from hallmark.engine.config.targets import trusted_packages
from hallmark.engine.config.trust import Trust
from hallmark.engine.messages import Block
from hallmark.runs.metrics import OUT_OF_FOLD, TEST, UNLABELLED
from hallmark.runs.repeats import open_result, runs_of
from hallmark.storage.unchanged import state_of

if TYPE_CHECKING:
    from hallmark.data.module import DataModule
    from hallmark.engine.search.study import SweepStudy

_VARIABLE = re.compile(r"oc\.env:\s*(\w+)")


def is_answered(note: Note | None) -> bool:
    """Print what `note` holds, where it still holds; gives whether it does."""
    content = note.read() if note is not None else None
    if content is not None:
        print_again(content)
    return content is not None


def evaluation_note(config: DictConfig) -> Note | None:
    """The note on an evaluation; None where the answer takes more than the stored predictions of a run."""
    elsewhere = (TEST, UNLABELLED, OUT_OF_FOLD)  # these ask the seal, the data, and fits of their own
    if config.run is None or config.get("analysis") or config.split in elsewhere:
        return None
    try:
        result = open_result(config.run)
        for folder in (result.directory, *(run.directory for run in runs_of(result))):
            refuse_links(folder, Trust.of(config))
        tables = [run.directory / "predictions" / f"{config.split}.parquet" for run in runs_of(result)]
        return _note("evaluate", config, str(result.directory.absolute())) if all(map(Path.exists, tables)) else None
    except ValueError:  # which the evaluation itself says
        return None


def note_evaluation(note: Note, directory: Path, printed: Sequence[Block]) -> None:
    """Leave `note` of the result in `directory`, whose lock the caller holds."""
    files = result_files(directory)
    note.write(printed, [(files, state_of(files, "contents"))])


def sweep_note(config: DictConfig) -> Note | None:
    """The note on a finished sweep; None where its answer is kept elsewhere, or depends on other runs."""
    written = str(config.get("sweep"))
    other_runs = config.get("init_from") or config.get("parents") or "init_from" in written or "parents" in written
    if config.get("sweep") is None or config.rerun or config.storage or other_runs or not HydraConfig.initialized():
        return None
    return _note("sweep", config, _presets())


def note_sweep(note: Note, study: "SweepStudy", data: "DataModule", printed: Sequence[Block]) -> None:
    """Leave `note` of a sweep whose trials have all ended."""
    if data.read_state is None:  # what was read is not known
        return
    files = [path for path in study.directory.iterdir() if path.name != "workers" and not path.name.startswith(".")]
    runs = [Path(trial.user_attrs["directory"]) for trial in study.trials()]
    results = [file for run in runs for file in result_files(run)]
    note.write(
        printed, [(data.read_from, data.read_state), (files, state_of(files)), (results, state_of(results))]
    )  # fmt: skip


def _note(command: str, config: DictConfig, *more: object) -> Note | None:
    if trusted_packages(config) or not HydraConfig.initialized():  # what foreign code reads is not known
        return None
    try:
        return Note.of(config, [command, plain(config), list(HydraConfig.get().overrides.task), *more])
    except ValueError:
        return None


def _presets() -> list[object]:
    """Content of all presets, and of the environment variables that they name: listed jobs are composed of them."""
    folders = [Path(source.path) for source in HydraConfig.get().runtime.config_sources if source.schema == "file"]
    texts = [path.read_text(encoding="utf-8") for folder in folders for path in sorted(folder.rglob("*.yaml"))]
    variables = sorted({name for text in texts for name in _VARIABLE.findall(text)})
    return [texts, [os.environ.get(name) for name in variables]]
