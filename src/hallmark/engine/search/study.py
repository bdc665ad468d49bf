"""The study of a sweep: an ordinary Optuna study whose trials fill the slots of a plan, each once.

Slots are enqueued beforehand, so a sweep has exactly as many trials as its plan says, however many workers and
machines take part and however often it is stopped.

Whether a worker is alive is Optuna's heartbeat, by the clock of the database. What follows is not Optuna's: its
`fail_stale_trials` ends a trial, and `RetryHeartbeatStaleTrialCallback` enqueues a copy under another number, without
its running time and only after a silence. Here the trial itself waits again, with all that it has, because its run
goes on from a checkpoint; and a worker of this machine is known to be gone at once.
"""

import json
import socket
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb.models import TrialModel, TrialUserAttributeModel
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import make_url, select
from sqlalchemy.exc import DatabaseError, IntegrityError, SQLAlchemyError

from hallmark.checks import SettingError
from hallmark.engine.search.plans import Plan
from hallmark.engine.search.space import Space
from hallmark.runs.locks import is_locked
from hallmark.storage.files import write_json
from hallmark.storage.secrets import redacted

HEARTBEAT_SECONDS, STALE_SECONDS = 10, 60
ATTEMPTS = 3
"""Workers that may crash over one trial before it counts as failed."""

_CONNECT_SECONDS, _LOCK_SECONDS = 20, 60
_OPENINGS = 20  # each one that fails finds more tables than the one before
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
_OPEN = (TrialState.WAITING, TrialState.RUNNING)
_SLOT = ("slot", "place")  # user attributes; the second as studies had it that were begun earlier


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
        address = make_url(url)
        settings: dict[str, Any] | None = None
        if address.get_backend_name() == "postgresql" and "connect_timeout" not in address.query:
            settings = {"connect_args": {"connect_timeout": _CONNECT_SECONDS}}  # its driver would wait much longer
        elif address.get_backend_name() == "sqlite" and "timeout" not in address.query:
            settings = {"connect_args": {"timeout": _LOCK_SECONDS}}  # the file is locked for each write of any worker
        for opening in range(_OPENINGS):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExperimentalWarning)
                    storage = RDBStorage(
                        url, settings, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=STALE_SECONDS
                    )
                return get_storage(storage)
            except DatabaseError as error:
                made_elsewhere = isinstance(error, IntegrityError) or "already exists" in str(error)
                if not made_elsewhere or opening + 1 == _OPENINGS:
                    raise
        raise AssertionError("the last opening returns or raises")
    except (SQLAlchemyError, ImportError, StorageInternalError) as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        reason = " ".join(str(cause).split())
        raise SettingError("storage", _without_password(url), f"a database that answers: {reason}") from error


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
        storage = open_storage(url)
        assert isinstance(storage, _CachedStorage)  # as Optuna wraps every database
        self.storage = storage
        directory.mkdir(parents=True, exist_ok=True)
        self.study: Study = optuna.create_study(
            study_name=name, storage=self.storage, sampler=plan.sampler, pruner=pruner or NopPruner(),
            directions=[objective.direction for objective in objectives], load_if_exists=True,
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
        """One trial for each slot in their order: the one that ended, or is open, or failed last."""
        by_slot: dict[int, FrozenTrial] = {}
        # Of several trials in a slot the one that counts comes last, and stays.
        for trial in sorted(self.storage.get_all_trials(self._id, deepcopy=False), key=_sort_key, reverse=True):
            if (slot := slot_of(trial)) is not None:
                by_slot[slot] = trial
        return [trial for _, trial in sorted(by_slot.items()) if not states or trial.state in states]

    @property
    def unfinished(self) -> list[FrozenTrial]:
        return self.trials(*_OPEN)

    def enqueue_pending(self) -> None:
        """Enqueue what is missing: new slots and those whose trials failed."""
        with self._alone():
            self._enqueue(0, self.plan.points(self.space), again=True)
            self._enqueue_second_stage(again=True)

    def enqueue_next_stage(self) -> None:
        """Enqueue the second stage of the plan, once the first has ended."""
        with self._alone():
            self._enqueue_second_stage(again=False)

    def _enqueue_second_stage(self, *, again: bool) -> None:
        first = self.trials()[: self._first_stage]
        completed = [trial for trial in first if trial.state is TrialState.COMPLETE]
        if completed and all(trial.state.is_finished() for trial in first):
            self._enqueue(self._first_stage, self.plan.refine(self.space, self.best(completed)), again=again)

    @cached_property
    def _first_stage(self) -> int:
        return len(self.plan.points(self.space))

    def _enqueue(self, start: int, points: Sequence[dict[str, Any]], *, again: bool) -> None:
        states = (*_ENDED, *_OPEN) if again else (*_ENDED, *_OPEN, TrialState.FAIL)
        filled = {slot_of(trial) for trial in self.trials(*states)}
        for slot, point in enumerate(points, start=start):
            if slot not in filled:
                self.study.enqueue_trial(point, user_attrs={"slot": slot})

    @property
    def completed(self) -> list[FrozenTrial]:
        return self.trials(TrialState.COMPLETE)

    def best(self, among: Sequence[FrozenTrial] | None = None) -> FrozenTrial:
        """The best complete trial by the first objective; of equals the first."""
        sign = -1 if self.objectives[0].mode == "max" else 1
        return min(among if among is not None else self.completed, key=lambda trial: sign * trial.values[0])

    def claim(self, worker: str) -> Trial | None:
        """The next waiting trial, now running for `worker`; None when nothing waits."""
        with self._alone():
            while (waiting := self._first_waiting()) is not None:
                trial_id = waiting._trial_id
                # Before the trial runs, or another machine could see it run without a sign of life.
                self.storage.record_heartbeat(trial_id)
                try:
                    if not self.storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                        continue
                except UpdateFinishedTrialError:  # another machine was quicker, and is done
                    continue
                if self._is_duplicate(waiting):
                    self.storage.set_trial_user_attr(trial_id, "duplicate", True)
                    self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
                    continue
                trial = Trial(self.study, trial_id)
                trial.set_user_attr("worker", worker)
                return trial
            return None

    def _first_waiting(self) -> FrozenTrial | None:
        """The waiting trial of the lowest number, read alone: Optuna would read all that are not done."""
        backend = self.storage._backend
        waiting = select(TrialModel.trial_id).where(
            TrialModel.study_id == self._id, TrialModel.state == TrialState.WAITING
        )
        with backend.engine.connect() as connection:
            trial_id = connection.scalar(waiting.order_by(TrialModel.trial_id).limit(1))
        if trial_id is None:
            return None
        trial = backend.get_trial(trial_id)
        self.storage._add_trials_to_cache(self._id, [trial])  # by which it knows the study of the trial
        return trial

    def _is_duplicate(self, waiting: FrozenTrial) -> bool:
        """Whether two machines filled the same slot at the same moment and the other trial comes first."""
        attribute = TrialUserAttributeModel
        earlier = select(attribute.trial_id).join(TrialModel).where(
            TrialModel.study_id == self._id, TrialModel.trial_id < waiting._trial_id,
            TrialModel.state.in_((*_ENDED, *_OPEN)), attribute.key.in_(_SLOT),
            attribute.value_json == json.dumps(slot_of(waiting)),
        )  # fmt: skip
        with self.storage._backend.engine.connect() as connection:
            return connection.scalar(earlier.limit(1)) is not None

    def requeue(self, number: int) -> None:
        """Let a running trial wait again, with all that it has."""
        self.storage.set_trial_state_values(self._trial_id(number), TrialState.WAITING)

    def requeue_stale(self, crashed: Collection[str] = ()) -> list[int]:
        """Let running trials whose worker is gone wait again; gives their numbers.

        A worker of this machine is gone when nobody holds its lock, one elsewhere when its heartbeat stopped.

        Args:
            crashed: names of workers that crashed. A trial over which `ATTEMPTS` of them did has failed.
        """
        numbers = []
        with self._alone():
            silent = self.storage._get_stale_trial_ids(self._id)
            for trial in self.trials(TrialState.RUNNING):
                trial_id, worker = self._trial_id(trial.number), trial.user_attrs.get("worker", "")
                lock = worker_lock(self.directory, worker)
                if is_locked(lock) if lock.exists() else trial_id not in silent:
                    continue
                attempts = trial.user_attrs.get("attempts", 0) + int(worker in crashed)
                self.storage.set_trial_user_attr(trial_id, "attempts", attempts)
                if attempts >= ATTEMPTS:
                    self.fail(trial.number, f"its worker crashed {attempts} times")
                else:
                    self.requeue(trial.number)
                numbers.append(trial.number)
        return numbers

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


def slot_of(trial: FrozenTrial) -> int | None:
    """The slot that a trial fills; None for a duplicate, and for a trial that no plan has enqueued."""
    attributes = trial.user_attrs
    if attributes.get("duplicate") or attributes.get("spare"):
        return None
    return next((attributes[key] for key in _SLOT if key in attributes), None)


def _sort_key(trial: FrozenTrial) -> tuple[int, int]:
    """Lower for the trial that counts where a slot has several."""
    if trial.state in _ENDED:
        return 0, trial.number
    return (1, trial.number) if trial.state in _OPEN else (2, -trial.number)


def worker_lock(directory: Path, worker: str) -> Path:
    """The file that a worker of this machine holds locked for as long as it lives.

    It bears the machine's name, because a lock of another machine in a shared folder may not be seen here.
    """
    return directory / "workers" / f"{socket.gethostname()}-{worker}.lock"
