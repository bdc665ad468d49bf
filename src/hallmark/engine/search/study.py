"""The study of a sweep: an ordinary Optuna study whose trials are places to be filled, each once.

Places are enqueued beforehand, so a sweep has exactly as many trials as its plan says, however many workers and
machines take part and however often it is stopped. A trial whose worker died goes back to the queue as it is, and its
run goes on from its checkpoint.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import make_url
from sqlalchemy.exc import DatabaseError, IntegrityError, SQLAlchemyError

from hallmark.checks import SettingError
from hallmark.engine.search.plans import Plan
from hallmark.engine.search.space import Space
from hallmark.runs.locks import is_held
from hallmark.storage.files import write_json
from hallmark.storage.secrets import redacted

BEAT_SECONDS, SILENT_SECONDS = 10.0, 60.0
ATTEMPTS = 3
"""Workers that may die over one trial before it counts as failed."""

_CONNECT_SECONDS = 20
_OPENINGS = 20  # each one that fails finds more tables than the one before
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
_OPEN = (TrialState.WAITING, TrialState.RUNNING)


@dataclass(frozen=True)
class Objective:
    metric: str
    mode: str

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        return "maximize" if self.mode == "max" else "minimize"


def open_storage(url: str) -> BaseStorage:
    """The storage at `url`, with its tables, which several processes may find missing at the same time.

    One of them makes a table, and the others fail over it, whatever was checked before; they find it when they try
    again.

    Raises:
        SettingError: no database answers there, or its driver is not installed.
    """
    try:
        settings = _connection(url)
        for _ in range(_OPENINGS):
            try:
                return get_storage(RDBStorage(url, settings))
            except DatabaseError as error:
                if not isinstance(error, IntegrityError) and "already exists" not in str(error):
                    raise
        return get_storage(RDBStorage(url, settings))
    except (SQLAlchemyError, ImportError, StorageInternalError) as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        reason = " ".join(str(cause).split())
        raise SettingError("storage", _without_password(url), f"a database that answers: {reason}") from error


def _connection(url: str) -> dict[str, Any] | None:
    """Arguments of SQLAlchemy's engine: a server that does not answer is not waited for as long as its driver would."""
    address = make_url(url)
    if address.get_backend_name() != "postgresql" or "connect_timeout" in address.query:
        return None
    return {"connect_args": {"connect_timeout": _CONNECT_SECONDS}}


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "***"  # not an address, so it is unknown where a password is in it


class SweepStudy:
    """The trials of one sweep in one storage.

    Args:
        directory: the sweep's folder on this machine.
        name: of the study; `url`: of the storage.
    """

    def __init__(
        self, directory: Path, name: str, url: str, *, plan: Plan, space: Space, objectives: Sequence[Objective],
        pruner: BasePruner | None = None,
    ) -> None:  # fmt: skip
        self.directory, self.plan, self.space, self.objectives = directory, plan, space, list(objectives)
        if str(directory) in url:  # a file there
            directory.mkdir(parents=True, exist_ok=True)
        self.storage = open_storage(url)
        directory.mkdir(parents=True, exist_ok=True)
        self.study: Study = optuna.create_study(
            study_name=name, storage=self.storage, sampler=plan.sampler, pruner=pruner or NopPruner(),
            directions=[one.direction for one in objectives], load_if_exists=True,
        )  # fmt: skip
        self._id = self.storage.get_study_id_from_name(name)

    @property
    def manifest(self) -> dict[str, Any] | None:
        """What the sweep was when it began; None for a new one."""
        return self.study.user_attrs.get("manifest")

    def describe(self, manifest: dict[str, Any]) -> None:
        self.study.set_user_attr("manifest", manifest)
        write_json(self.directory / "manifest.json", manifest)

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """One trial for each place in their order: the one that ended, or is open, or failed last."""
        by_place: dict[int, FrozenTrial] = {}
        tries = [one for one in self.storage.get_all_trials(self._id, deepcopy=False) if not _spare(one)]
        for trial in sorted(tries, key=_standing, reverse=True):
            by_place[trial.user_attrs["place"]] = trial
        return [trial for _, trial in sorted(by_place.items()) if not states or trial.state in states]

    @property
    def unfinished(self) -> list[FrozenTrial]:
        return self.trials(*_OPEN)

    def fill(self) -> None:
        """Enqueue what is missing: new places and those whose tries failed."""
        with self._alone():
            self._enqueue(0, self.plan.points(self.space), again=True)
            self._enqueue_second_stage(again=True)

    def advance(self) -> None:
        """Enqueue the second stage of the plan, once the first has ended."""
        with self._alone():
            self._enqueue_second_stage(again=False)

    def _enqueue_second_stage(self, *, again: bool) -> None:
        first = [trial for trial in self.trials() if trial.user_attrs["place"] < self._first_stage]
        completed = [trial for trial in first if trial.state is TrialState.COMPLETE]
        if completed and all(trial.state.is_finished() for trial in first):
            self._enqueue(self._first_stage, self.plan.refine(self.space, self.best(completed)), again=again)

    @cached_property
    def _first_stage(self) -> int:
        return len(self.plan.points(self.space))

    def _enqueue(self, start: int, points: Sequence[dict[str, Any]], *, again: bool) -> None:
        states = (*_ENDED, *_OPEN) if again else (*_ENDED, *_OPEN, TrialState.FAIL)
        taken = {trial.user_attrs["place"] for trial in self.trials(*states)}
        for place, point in enumerate(points, start=start):
            if place not in taken:
                self.study.enqueue_trial(point, user_attrs={"place": place})

    @property
    def completed(self) -> list[FrozenTrial]:
        return self.trials(TrialState.COMPLETE)

    def best(self, among: Sequence[FrozenTrial] | None = None) -> FrozenTrial:
        """The best complete trial by the first objective; of equals the first."""
        sign = -1 if self.objectives[0].mode == "max" else 1
        return min(among if among is not None else self.completed, key=lambda trial: sign * trial.values[0])

    def claim(self, worker: str) -> Trial | None:
        """The next waiting trial, now running for `worker`; None when nothing waits."""
        with self._alone():  # or `reclaim` could see the trial run before it sees for whom
            for waiting in self.storage.get_all_trials(self._id, deepcopy=False, states=(TrialState.WAITING,)):
                trial_id = self._trial_id(waiting.number)
                if not self._taken(trial_id):
                    continue
                if self._already_there(waiting):
                    self.storage.set_trial_user_attr(trial_id, "spare", True)
                    self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
                    continue
                trial = Trial(self.study, trial_id)
                trial.set_user_attr("worker", worker)
                trial.set_user_attr("beat", time.time())
                return trial
            return None

    def _taken(self, trial_id: int) -> bool:
        try:
            return self.storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:  # another machine was quicker
            return False

    def _already_there(self, waiting: FrozenTrial) -> bool:
        """Whether two machines enqueued the same place at the same moment and the other trial comes first."""
        place = waiting.user_attrs["place"]
        others = self.storage.get_all_trials(self._id, deepcopy=False, states=(*_ENDED, *_OPEN))
        return any(one.user_attrs["place"] == place and one.number < waiting.number for one in others)

    def put_back(self, number: int) -> None:
        """Let a running trial wait again, with all that it has."""
        self.storage.set_trial_state_values(self._trial_id(number), TrialState.WAITING)

    def reclaim(self, *, blame: bool) -> list[int]:
        """Put back running trials whose worker is gone; gives the numbers of all such trials.

        A worker of this machine is gone when nobody holds its lock, one elsewhere when it was silent for a minute.
        With `blame` the trial itself is held to have ended its worker, and has failed the `ATTEMPTS`th time.
        """
        found = []
        with self._alone():
            for trial in self.trials(TrialState.RUNNING):
                if not self._abandoned(trial):
                    continue
                attempts = trial.user_attrs.get("attempts", 0) + int(blame)
                self.storage.set_trial_user_attr(self._trial_id(trial.number), "attempts", attempts)
                if attempts >= ATTEMPTS:
                    self.fail(trial.number, f"its worker died {attempts} times")
                else:
                    self.put_back(trial.number)
                found.append(trial.number)
        return found

    def _abandoned(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get("worker")
        if worker is not None and (lock := worker_lock(self.directory, worker)).exists():
            return not is_held(lock)
        assert trial.datetime_start is not None
        heard = max(trial.user_attrs.get("beat", 0.0), trial.datetime_start.timestamp())
        return time.time() - heard > SILENT_SECONDS

    def fail(self, number: int, error: str) -> None:
        self.storage.set_trial_user_attr(self._trial_id(number), "error", redacted(error))
        self.study.tell(number, state=TrialState.FAIL)

    def _alone(self) -> FileLock:
        return FileLock(self.directory / ".lock")

    def _trial_id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._id, number)


def state_name(trial: FrozenTrial) -> str:
    """The state of a trial as it is shown and written."""
    return "failed" if trial.state is TrialState.FAIL else trial.state.name.lower()


def _standing(trial: FrozenTrial) -> tuple[int, int]:
    """Lower for the trial that counts where a place has several."""
    if trial.state in _ENDED:
        return 0, trial.number
    return (1, trial.number) if trial.state in _OPEN else (2, -trial.number)


def worker_lock(directory: Path, worker: str) -> Path:
    """The file that a worker holds locked for as long as it lives."""
    return directory / "workers" / f"{worker}.lock"


def _spare(trial: FrozenTrial) -> bool:
    return "place" not in trial.user_attrs or trial.user_attrs.get("spare", False)
