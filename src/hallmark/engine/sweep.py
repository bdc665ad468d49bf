"""Train one run for each point of a grid, kept in an Optuna study."""

import difflib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution
from rich.console import Console
from rich.table import Table

from hallmark.checks import SettingError, require
from hallmark.engine.build import check_types
from hallmark.engine.job import Job
from hallmark.engine.launch import setting_names
from hallmark.engine.train import train

Point = dict[str, Any]


def sweep(config: DictConfig) -> None:
    """Train every point of `sweep.grid`; the same command goes on with what is missing.

    Each point is the run that `train.py` makes of the same settings, so a point that is done is found done.

    Raises:
        SettingError: a key of the grid is no setting, or a value has the wrong type; before any point starts.
    """
    require(config.get("sweep") is not None, "sweep", None, "a search space, such as sweep=clip_grid")
    points = list(_points(config))
    for point in points:
        check_types(Job.of(_at(config, point)).config)
    study = _study(config)
    results = [(point, _measured(study, config, point)) for point in points]
    _report(config, results)


def _points(config: DictConfig) -> Iterator[Point]:
    grid: Any = OmegaConf.to_container(config.sweep.grid, resolve=True)
    require(isinstance(grid, dict) and bool(grid), "sweep.grid", grid, "lists of values by key of the preset")
    names = setting_names(config)
    for key, values in grid.items():
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingError(f"sweep.grid.{key}", values, f"a key of this preset{hint}")
        require(isinstance(values, list) and bool(values), f"sweep.grid.{key}", values, "a list of values")
    yield from (dict(zip(grid, values, strict=True)) for values in product(*grid.values()))


def _at(config: DictConfig, point: Point) -> DictConfig:
    placed = config.copy()
    OmegaConf.set_struct(placed, False)
    for key, value in point.items():
        OmegaConf.update(placed, key, value)
    del placed["sweep"]  # the grid is not part of a point's identity
    return placed


def _study(config: DictConfig) -> optuna.Study:
    """The study of this grid over these settings; others of the same name lie beside it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = Path(config.paths.outputs) / config.name / "sweep.db"
    file.parent.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        study_name=f"{config.sweep.name}-{Job.of(config).id}", storage=f"sqlite:///{file}",
        direction="maximize" if config.monitor.mode == "max" else "minimize", load_if_exists=True,
    )  # fmt: skip


def _measured(study: optuna.Study, config: DictConfig, point: Point) -> float:
    value = train(_at(config, point))
    known = [(trial.params, trial.value) for trial in study.get_trials(deepcopy=False)]
    if (point, value) not in known:
        choices: dict[str, BaseDistribution] = {
            key: CategoricalDistribution(list(config.sweep.grid[key])) for key in point
        }
        study.add_trial(optuna.create_trial(params=point, distributions=choices, value=value))
    return value


def _report(config: DictConfig, results: list[tuple[Point, float]]) -> None:
    keys = list(results[0][0])
    table = Table(*keys, config.monitor.metric, title=f"{config.sweep.name}: best first")
    for point, value in sorted(results, key=lambda result: result[1], reverse=config.monitor.mode == "max"):
        table.add_row(*(str(point[key]) for key in keys), f"{value:.4f}")
    Console().print(table)
