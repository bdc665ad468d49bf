"""From a sweep's configuration to those of its trials, all checked before the first one starts."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import Any

import optuna
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from optuna.pruners import BasePruner

from hallmark.checks import SettingError, require
from hallmark.engine.build import build, check_types
from hallmark.engine.command import refuse_without_effect, root, typed_settings
from hallmark.engine.config.overrides import refuse_typed_secrets
from hallmark.engine.config.settings import check_search_settings
from hallmark.engine.config.stored import is_remembered, remembered, text_digest
from hallmark.engine.config.symbolic import refuse_configured_secrets, stored_form
from hallmark.engine.config.targets import trusted_packages
from hallmark.engine.config.trust import TRUST_KEYS
from hallmark.engine.job import Job, in_group, without
from hallmark.engine.launch import setting_names
from hallmark.engine.monitor import check_direction, check_mode
from hallmark.engine.repeats import check_repeat, refuse_fixed_place
from hallmark.engine.search.plans import JobList, Plan
from hallmark.engine.search.space import Point, Space
from hallmark.engine.search.study import Objective, SweepStudy, open_storage
from hallmark.runs.configuration import FILE, parse_config, read_text
from hallmark.runs.metrics import OUT_OF_FOLD
from hallmark.storage.files import write_text

_OF_THE_SWEEP = ("sweep", "jobs", "storage", "workers")
_JOBS = "jobs"  # folder of the configurations of listed jobs


@dataclass
class Search:
    """A sweep as its configuration describes it.

    Attributes:
        config: of the sweep; `base`: of a run at the preset's own values.
        listed: configurations by name, for a plan that lists its jobs.
    """

    config: DictConfig
    base: DictConfig
    plan: Plan
    space: Space
    objectives: list[Objective]
    pruner: BasePruner | None
    listed: Mapping[str, DictConfig]

    @classmethod
    def of(cls, config: DictConfig) -> "Search":
        """Build what `config.sweep` describes, and check every configuration that can be known beforehand.

        Raises:
            SettingError: a wrong key, value or combination, by its name.
        """
        search = cls._built(config, None)
        for each in (search.base, *search.listed.values()):
            refuse_fixed_place(each, "a sweep")
        corners = search.space.corners()
        for point in [*corners, *(point for point in search.plan.points(search.space) if point not in corners)]:
            trial = search.at(point)
            check_types(Job.of(trial).config, search.trusted)
            check_repeat(trial)
        return search

    @classmethod
    def _built(cls, config: DictConfig, listed: Mapping[str, DictConfig] | None) -> "Search":
        require(config.get("sweep") is not None, "sweep", None, "a search space, such as sweep=clip_grid")
        refuse_configured_secrets(config)
        check_search_settings(config)
        ignored = [key for key in typed_settings() if root(key) in ("analysis", OUT_OF_FOLD)]
        refuse_without_effect(ignored, "a sweep runs no analyses; evaluate.py does, on the run of a trial")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        base = without_sweep(config)
        trusted = trusted_packages(config)
        plan: Plan = build(config.sweep.plan, Plan, trusted=trusted)
        if listed is None:
            listed = listed_configs(plan.jobs) if isinstance(plan, JobList) else {}
        space = _space(config, base, plan)
        _refuse_overruled(plan, space)
        objectives = _objectives(config)
        node = config.sweep.pruner
        pruner = build(node, BasePruner, trusted=trusted) if node is not None else None
        return cls(config, base, plan, space, objectives, pruner, listed)

    @cached_property
    def name(self) -> str:
        return f"{self.config.sweep.name}-{Job.of(self.base).id}"

    @property
    def directory(self) -> Path:
        return Path(self.config.paths.outputs) / self.base.name / "sweeps" / self.name

    def at(self, point: Point) -> DictConfig:
        """The configuration of the run at `point`; keys that it lacks are the preset's."""
        listed = self.listed.get(point.get(JobList.KEY, ""))
        config = (self.base if listed is None else listed).copy()
        OmegaConf.set_struct(config, False)
        for key, value in point.items() if listed is None else ():
            OmegaConf.update(config, key, value)
        in_group(config, self.name)
        return config

    def study(self, *, from_scratch: bool = False) -> SweepStudy:
        """The study in its storage, made if it is not there; with `from_scratch`, what was there is removed first."""
        name = f"{self.base.name}/{self.name}"
        if from_scratch:
            if self.config.storage:
                with suppress(KeyError):
                    optuna.delete_study(study_name=name, storage=open_storage(self.config.storage))
            rmtree(self.directory, ignore_errors=True)
        url = self.config.storage or f"sqlite:///{self.directory / 'study.db'}"
        return SweepStudy(
            self.directory, name, url,
            plan=self.plan, space=self.space, objectives=self.objectives, pruner=self.pruner,
        )  # fmt: skip

    def description(self) -> dict[str, Any]:
        """What may not change while a sweep goes on; the number of trials may."""
        stored: Any = OmegaConf.to_container(stored_form(self.config).sweep)
        return {
            "plan": {key: value for key, value in stored["plan"].items() if key != "trials"},
            "space": stored.get("space") or {},
            "objectives": [vars(objective) for objective in self.objectives],
            "pruner": stored["pruner"],
        }

    def save(self) -> None:
        """Leave what a worker needs in the sweep's folder, but for `trusted`, which no folder says."""
        write_text(self.directory / FILE, remembered(without(self.config, TRUST_KEYS)))
        for name, config in self.listed.items():
            write_text(self.directory / _JOBS / f"{name}.yaml", remembered(without(config, TRUST_KEYS)))

    @property
    def saved(self) -> list[str]:
        """Digests of what `save` leaves, by which a worker knows it again."""
        return [text_digest(remembered(without(each, TRUST_KEYS))) for each in (self.config, *self.listed.values())]

    @property
    def trusted(self) -> tuple[str, ...]:
        """Packages whose classes the configurations may name."""
        return trusted_packages(self.config)

    @classmethod
    def load(cls, directory: Path, trusted: Sequence[str] = ()) -> "Search":
        """What `save` left; its trials were checked before.

        Args:
            trusted: as the command of the sweep says.

        Raises:
            ValueError: the folder holds something else than this process, or the one that started it, has saved.
        """
        config = _saved_config(directory / FILE, trusted)
        plan = config.sweep.plan
        names = list(plan.jobs) if plan._target_ == f"{JobList.__module__}.{JobList.__name__}" else []
        listed = {name: _saved_config(directory / _JOBS / f"{name}.yaml", trusted) for name in names}
        return cls._built(config, listed)


def _saved_config(path: Path, trusted: Sequence[str]) -> DictConfig:
    text = read_text(path)
    if not is_remembered(text):
        raise ValueError(f"{path}: not what the command of this sweep has saved; start the sweep with sweep.py")
    config = parse_config(path, text)
    config.trusted_packages = list(trusted)
    return config


def without_sweep(config: DictConfig) -> DictConfig:
    """`config` less what is not part of a run."""
    return without(config, _OF_THE_SWEEP)


def listed_configs(jobs: Mapping[str, Any]) -> dict[str, DictConfig]:
    """The configuration of each listed job: its overrides after those of the command line.

    Raises:
        SecretError: a job that would store a secret.
        SettingError: overrides that do not compose, by the name of the job.
    """
    hydra = HydraConfig.get()
    conf = next(source.path for source in hydra.runtime.config_sources if source.provider == "main")
    typed = [text for text in hydra.overrides.task if re.split(r"[.=@/]", text.lstrip("+~"))[0] not in _OF_THE_SWEEP]
    for overrides in jobs.values():
        refuse_typed_secrets(overrides)
    configs = {}
    GlobalHydra.instance().clear()
    with initialize_config_dir(conf, version_base="1.3"):
        for name, overrides in jobs.items():
            try:
                configs[name] = compose("train", [*typed, *overrides])
            except Exception as error:  # Hydra and OmegaConf raise a dozen kinds
                key = f"sweep.plan.jobs.{name}"
                raise SettingError(key, list(overrides), f"overrides that fit the preset ({error})") from error
    return configs


def _space(config: DictConfig, base: DictConfig, plan: Plan) -> Space:
    if isinstance(plan, JobList):
        names = optuna.distributions.CategoricalDistribution(list(plan.jobs))
        return Space({JobList.KEY: names})
    space = stored_form(config).sweep.get("space")
    for key in space if OmegaConf.is_dict(space) else ():
        written = OmegaConf.to_yaml(space[key]).strip() if OmegaConf.is_config(space[key]) else ""
        expected = "values that do not depend on environment variables, because the study stores them"
        require("${" not in written, f"sweep.space.{key}", written, expected)
    return Space.of(space, setting_names(base))


def _refuse_overruled(plan: Plan, space: Space) -> None:
    """Raise ValueError for a typed setting that every trial or every listed job gives another value."""
    overruled = set(space.distributions)
    if isinstance(plan, JobList):
        jobs = [{text.partition("=")[0].lstrip("+~") for text in overrides} for overrides in plan.jobs.values()]
        overruled = set.intersection(*jobs) if jobs else set()
    ignored = [key for key in typed_settings() if key in overruled]
    refuse_without_effect(ignored, "the sweep sets it in every trial")


def _objectives(config: DictConfig) -> list[Objective]:
    nodes = config.sweep.objectives or [{"metric": config.monitor.metric, "mode": config.monitor.mode}]
    objectives = [Objective(node["metric"], node["mode"]) for node in nodes]
    for number, objective in enumerate(objectives):
        key = f"sweep.objectives[{number}]"
        require(objective.metric.startswith("val/"), f"{key}.metric", objective.metric, "a validation metric: val/...")
        check_direction(f"{key}.metric", objective.metric)
        check_mode(f"{key}.mode", objective.mode, objective.metric)
        same = objective.metric != config.monitor.metric or objective.mode == config.monitor.mode
        require(same, f"{key}.mode", objective.mode, f"{config.monitor.mode}, as monitor.mode")
    if config.sweep.pruner is not None:  # a fit reports its monitored metric after each epoch, and no other value
        key, written = "sweep.pruner", str(config.sweep.pruner)
        require(len(objectives) == 1, key, written, "null with several objectives: Optuna prunes by one")
        monitored = objectives[0].metric == config.monitor.metric
        require(monitored, key, written, "null where the objective is not monitor.metric, by which trials are pruned")
    return objectives
