"""How a sweep walks its space: which points, how many, in which stages.

A plan that does not look at results lists its points beforehand, so that they do not depend on who trains them, in
which order, or how often the sweep was stopped.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from hallmark.checks import require
from hallmark.engine.search.space import Point, Space


class Plan(ABC):
    """The shape of every plan; constructor arguments come from `sweep.plan`."""

    @property
    def sampler(self) -> BaseSampler:
        """What fills a point that the plan leaves empty."""
        return RandomSampler(seed=0)

    @abstractmethod
    def points(self, space: Space) -> list[Point]:
        """The points known before the first trial; an empty one is left to the sampler."""

    def refine(self, space: Space, best: FrozenTrial) -> list[Point]:
        """Further points, once all of `points` are done; [] where there is no second stage."""
        return []


class Grid(Plan):
    """Every combination of the listed values."""

    def points(self, space: Space) -> list[Point]:
        return space.grid()


class Random(Plan):
    """`trials` points drawn beforehand with `seed`; more trials later begin with the same ones."""

    def __init__(self, trials: int, seed: int) -> None:
        require(trials >= 1, "trials", trials, "at least 1")
        self.trials, self.seed = trials, seed

    def points(self, space: Space) -> list[Point]:
        return _drawn(space, self.trials, self.seed)


class Tpe(Plan):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate, after `startup` random points.

    Workers know of each other's running trials (constant liar).
    """

    def __init__(self, trials: int, startup: int, seed: int) -> None:
        require(trials >= 1, "trials", trials, "at least 1")
        require(startup >= 1, "startup", startup, "at least 1")
        self.trials = trials
        self.startup, self.seed = startup, seed

    @property
    def sampler(self) -> BaseSampler:
        return TPESampler(n_startup_trials=self.startup, seed=self.seed, multivariate=True, constant_liar=True)

    def points(self, space: Space) -> list[Point]:
        random = _drawn(space, min(self.startup, self.trials), self.seed)
        return [*random, *({} for _ in range(self.trials - len(random)))]


class CoarseToFine(Plan):
    """`coarse` random points over the space, then `fine` ones in the `share` of it around the best."""

    def __init__(self, coarse: int, fine: int, share: float, seed: int) -> None:
        require(coarse >= 1, "coarse", coarse, "at least 1")
        require(fine >= 1, "fine", fine, "at least 1")
        require(0 < share < 1, "share", share, "a share of each range in (0, 1)")
        self.coarse, self.fine, self.share, self.seed = coarse, fine, share, seed

    def points(self, space: Space) -> list[Point]:
        return _drawn(space, self.coarse, self.seed)

    def refine(self, space: Space, best: FrozenTrial) -> list[Point]:
        return _drawn(space.around(best.params, self.share), self.fine, self.seed + 1)


class JobList(Plan):
    """A list of jobs: the overrides of each by its name, as a user would type them after the preset's."""

    KEY = "job"

    def __init__(self, jobs: Mapping[str, Sequence[str]]) -> None:
        require(bool(jobs), "jobs", dict(jobs), "overrides by name of the job")
        self.jobs = jobs

    def points(self, space: Space) -> list[Point]:
        return [{self.KEY: name} for name in self.jobs]


def _drawn(space: Space, number: int, seed: int) -> list[Point]:
    require(bool(space.distributions), "sweep.space", {}, "values or ranges by key of the preset")
    study = optuna.create_study(sampler=RandomSampler(seed=seed))
    points = []
    for _ in range(number):
        trial = study.ask()
        points.append(space.suggest(trial))
        study.tell(trial, 0.0)
    return points
