"""The fits behind a benchmark: made here, or finished ones that another commit of the project has made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from hallmark.engine.finished import sealed_tables
from hallmark.engine.job import Job
from hallmark.engine.repeats import train_repeats
from hallmark.engine.train import train
from hallmark.runs.configuration import FILE, load_config
from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import RunState
from hallmark.runs.repeats import FILE as SET_FILE
from hallmark.runs.repeats import RepeatSet, Result
from hallmark.runs.run import Run, open_run

CONF = Path(__file__).parents[1] / "conf"
_GROUPS = {
    "data/split": "data.split", "model/balance": "model.balance", "model/distillation": "model.distillation"
}  # fmt: skip
_PLACES = ("folder", "weights")  # settings that hold a path, whose last part alone is compared


def composed(overrides: Sequence[str]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [*overrides, "callbacks.progress=null"])


def fitted(overrides: Sequence[str], outputs: Path | None = None) -> Result:
    """The finished run, or set of repeats where `overrides` say `repeat`: fitted, or from `outputs` if that is given.

    Raises:
        ValueError: `outputs` does not hold exactly one finished result of these settings.
    """
    config = composed(overrides)
    if outputs is not None:
        return _stored(overrides, config, outputs)
    if config.get("repeat"):
        train_repeats(config)
        return RepeatSet(Job.of(config).directory)
    train(config)
    return open_run(Job.of(config).directory)


def looked_at(runs: Sequence[Run], outputs: Path | None, *, reason: str | None = None) -> list[pd.DataFrame]:
    """Test predictions of each of `runs`: of one access to the split, or those that an earlier one has stored.

    Raises:
        ValueError: `outputs` is given, and the test split of a run there was not opened.
    """
    if outputs is None:
        return sealed_tables(runs, reason=reason)
    for run in runs:
        if not (run.directory / "looks.json").exists():
            raise ValueError(f"{run.directory}: its test split was not opened")
    return [read_predictions(run.directory / "predictions" / "test.parquet") for run in runs]


def _stored(overrides: Sequence[str], config: DictConfig, outputs: Path) -> Result:
    keys = [override.lstrip("+").partition("=")[0] for override in overrides]
    wanted = {_GROUPS.get(key, key): None for key in keys if key not in ("experiment", "profile")} | {"repeat": None}
    resolved = config.copy()
    OmegaConf.resolve(resolved)
    expected = {key: _comparable(key, OmegaConf.select(resolved, key)) for key in wanted}
    matching = []
    for directory in sorted((outputs / config.name).glob("*/")):
        begun = any((directory / name).exists() for name in ("record.json", SET_FILE))
        if not (begun and (directory / FILE).exists()):
            continue
        stored = load_config(directory / FILE)
        if all(_comparable(key, OmegaConf.select(stored, key)) == value for key, value in expected.items()):
            result = RepeatSet(directory) if (directory / SET_FILE).exists() else Run(directory)
            if result.record.state is RunState.DONE:
                matching.append(result)
    if len(matching) != 1:
        names = ", ".join(result.directory.name for result in matching) or "none"
        raise ValueError(
            f"{outputs / config.name}: expected one finished result of {' '.join(overrides)}; found {names}"
        )
    return matching[0]


def _comparable(key: str, value: Any) -> Any:
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=False)
    return Path(value).name if key.endswith(_PLACES) and isinstance(value, str) else value
