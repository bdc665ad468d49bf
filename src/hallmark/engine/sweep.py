"""Train one run for each point of a grid, kept in an Optuna study."""

import math
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from hallmark.checks import require
from hallmark.engine.build import check_types
from hallmark.engine.train import train


def sweep(config: DictConfig) -> None:
    """Train every point of `sweep.grid`; the same command goes on with what is missing.

    Raises:
        SettingError: a key of the grid is no setting, or a value has the wrong type; before any point starts.
    """
    require(config.get("sweep") is not None, "sweep", None, "a search space, such as sweep=clip_grid")
    grid: dict[str, list[Any]] = OmegaConf.to_container(config.sweep.grid)  # type: ignore[assignment]
    for key, values in grid.items():
        require(OmegaConf.select(config, key) is not None, f"sweep.grid.{key}", values, "a key of this preset")
        for value in values:
            check_types(_at(config, {key: value}).model)
    study = _study(config, grid)
    left = math.prod(map(len, grid.values())) - len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE]))
    if left > 0:
        study.optimize(lambda trial: train(_at(config, _suggest(trial, grid))), n_trials=left)
    _report(study, config.monitor.metric)


def _study(config: DictConfig, grid: dict[str, list[Any]]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = Path(config.paths.outputs) / config.name / "sweep.db"
    file.parent.mkdir(parents=True, exist_ok=True)
    mode = optuna.study.StudyDirection
    direction = mode.MAXIMIZE if config.monitor.mode == "max" else mode.MINIMIZE
    return optuna.create_study(
        study_name=config.sweep.name, storage=f"sqlite:///{file}", direction=direction,
        sampler=optuna.samplers.GridSampler(grid, seed=0), load_if_exists=True,
    )  # fmt: skip


def _suggest(trial: optuna.Trial, grid: dict[str, list[Any]]) -> dict[str, Any]:
    return {key: trial.suggest_categorical(key, values) for key, values in grid.items()}


def _at(config: DictConfig, point: dict[str, Any]) -> DictConfig:
    placed = config.copy()
    OmegaConf.set_struct(placed, False)
    for key, value in point.items():
        OmegaConf.update(placed, key, value)
    del placed["sweep"]  # the grid is not part of a point's identity
    return placed


def _report(study: optuna.Study, metric: str) -> None:
    keys = list(study.best_params)
    table = Table("trial", *keys, metric, title=f"{study.study_name}: best first")
    best_first = study.direction is optuna.study.StudyDirection.MAXIMIZE
    finished = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    for trial in sorted(finished, key=lambda trial: trial.value or 0.0, reverse=best_first):
        table.add_row(str(trial.number), *(f"{trial.params[key]:g}" for key in keys), f"{trial.value:.4f}")
    Console().print(table)
