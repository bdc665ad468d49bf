"""The study: every slot of the plan is filled once, whoever claims it and whoever crashes over it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy
from filelock import FileLock
from omegaconf import OmegaConf
from optuna.trial import TrialState
from tests.engine.sweeping import silence

from hallmark.checks import SettingError
from hallmark.engine.search.plans import CoarseToFine, Grid, Plan, Random, Tpe
from hallmark.engine.search.space import Space
from hallmark.engine.search.study import ATTEMPTS, Objective, SweepStudy, open_storage, slot_of, worker_lock
from hallmark.storage.files import read_json

pytestmark = pytest.mark.filterwarnings("ignore:Selection of the SingletonThreadPool")

LISTED = {"a": [1, 2, 3], "b": ["x", "y"]}
RANGE = {"a": {"low": 0.0, "high": 8.0}}
PRODUCT = [{"a": a, "b": b} for a in (1, 2, 3) for b in ("x", "y")]


@pytest.fixture
def study_of(tmp_path):
    """A function from a plan to a filled study in one database; `machine` has a folder of its own on each machine."""

    def study_of(plan: Plan, raw: dict = LISTED, machine: str = "here", fill: bool = True) -> SweepStudy:
        space = Space.of(OmegaConf.create(raw), list(raw))
        url = f"sqlite:///file:{tmp_path}?mode=memory&cache=shared&uri=true"  # a disk would take most of the time
        study = SweepStudy(
            tmp_path / machine, "try", url, plan=plan, space=space, objectives=[Objective("val/macro_f1", "max")]
        )
        if fill:
            study.enqueue_pending()
        return study

    return study_of


def carry_out(study: SweepStudy, value=lambda point: float(point["a"]), most: int = 100) -> list[tuple[int, dict]]:
    """Number and point of each trial that could be claimed, in their order."""
    results = []
    while len(results) < most and (trial := study.claim("w")) is not None:
        point = study.space.suggest(trial)
        study.study.tell(trial, value(point))
        results.append((trial.number, point))
    return results


def test_the_trials_of_a_grid_are_its_product_each_once(study_of):
    grid = study_of(Grid())
    assert [point for _, point in carry_out(grid)] == PRODUCT
    grid.enqueue_pending()
    assert grid.claim("w") is None
    assert [trial.params for trial in grid.completed] == PRODUCT


def test_the_best_is_the_highest_or_lowest_first_one(study_of):
    grid = study_of(Grid())
    carry_out(grid)
    assert grid.best().params == {"a": 3, "b": "x"}
    grid.objectives = [Objective("val/loss", "min")]
    assert grid.best().params == {"a": 1, "b": "x"}


def open_at_once(url: str, number: int = 6) -> list[object]:
    """The same empty storage, opened by several threads in the same moment."""
    begun = threading.Barrier(number)

    def opened(_):
        begun.wait()
        return open_storage(url)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(opened, range(number)))


def test_an_empty_storage_may_be_opened_by_several_at_once(tmp_path):
    for attempt in range(3):
        assert len(open_at_once(f"sqlite:///{tmp_path / str(attempt)}.db")) == 6


@pytest.mark.e2e
def test_an_empty_postgres_may_be_opened_by_several_at_once(postgres):
    engine = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for attempt in range(3):
            connection.execute(sqlalchemy.text(f"CREATE DATABASE at_once_{attempt}"))
            url = postgres.rpartition("/")[0] + f"/at_once_{attempt}"
            assert len(open_at_once(url)) == 6
    engine.dispose()


def test_several_threads_never_have_the_same_trial(study_of):
    studies = [study_of(Random(12, seed=0), RANGE) for _ in range(3)]
    claimed: list[int] = []

    def claim_all(mine: SweepStudy) -> None:
        while (trial := mine.claim(threading.current_thread().name)) is not None:
            claimed.append(trial.number)

    threads = [threading.Thread(target=claim_all, args=[study]) for study in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == list(range(12))


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "still running"])
def test_a_slot_that_two_machines_enqueued_is_carried_out_once(study_of, monkeypatch, ended):
    here = study_of(Grid(), fill=False)
    there = study_of(Grid(), machine="there", fill=False)
    with monkeypatch.context() as patch:
        patch.setattr(there, "trials", lambda *states: [])  # it looked before the other one wrote
        here.enqueue_pending()
        there.enqueue_pending()
    assert len(here.study.trials) == 12
    claimed = []
    while (trial := (here, there)[len(claimed) % 2].claim("w")) is not None:
        claimed.append(here.space.suggest(trial))
        if ended:
            here.study.tell(trial, 1.0)
    assert claimed == PRODUCT
    assert [trial.number for trial in there.trials()] == list(range(6))
    assert there.trials(TrialState.FAIL) == []


def test_a_trial_that_ended_elsewhere_since_it_was_seen_is_passed_over(study_of, monkeypatch):
    here, there = study_of(Grid()), study_of(Grid(), machine="there")
    record = here.storage.record_heartbeat

    def late(trial_id: int) -> None:
        if not there.completed:
            there.study.tell(there.claim("w"), 1.0)
        record(trial_id)

    monkeypatch.setattr(here.storage, "record_heartbeat", late)
    assert here.claim("w").number == 1


def test_random_trials_raised_later_are_the_same_and_further_ones(study_of):
    few = carry_out(study_of(Random(4, seed=0), RANGE))
    more = carry_out(study_of(Random(6, seed=0), RANGE))
    assert [number for number, _ in few + more] == list(range(6))
    assert [point for _, point in few + more] == Random(6, seed=0).points(study_of(Random(6, seed=0), RANGE).space)


def test_tpe_has_exactly_as_many_trials_as_told_and_learns(study_of):
    assert len(carry_out(study_of(Tpe(4, startup=3, seed=0), RANGE))) == 4
    assert len(carry_out(study_of(Tpe(6, startup=3, seed=0), RANGE))) == 2
    assert carry_out(study_of(Tpe(6, startup=3, seed=0), RANGE)) == []
    assert carry_out(study_of(Tpe(5, startup=3, seed=0), RANGE)) == []


@pytest.mark.parametrize("sign", [1, -1])
def test_what_tpe_tries_next_depends_on_the_values(study_of, sign):
    study = study_of(Tpe(18, startup=8, seed=0), RANGE)
    points = [point["a"] for _, point in carry_out(study, lambda point: sign * point["a"])]
    assert points[:8] == [point["a"] for point in Random(8, seed=0).points(study.space)]
    later_ones = sum(points[8:]) / 10
    assert later_ones > 5 if sign > 0 else later_ones < 3


def test_the_second_stage_comes_when_the_first_has_ended(study_of):
    plan = CoarseToFine(coarse=3, fine=4, share=0.25, seed=0)
    study = study_of(plan, RANGE)
    first = [study.claim("w") for _ in range(3)]
    points = [study.space.suggest(trial)["a"] for trial in first]
    for number, value in enumerate((1.0, 3.0)):
        study.study.tell(number, value)
        study.enqueue_next_stage()
        study.enqueue_pending()
        assert len(study.trials()) == 3
    study.study.tell(2, 2.0)
    study.enqueue_next_stage()
    study.enqueue_next_stage()
    assert [trial.state for trial in study.trials()[3:]] == [TrialState.WAITING] * 4
    fine = carry_out(study)
    assert [number for number, _ in fine] == [3, 4, 5, 6]
    assert all(abs(point["a"] - points[1]) <= 1 for _, point in fine)
    study.enqueue_next_stage()
    study.enqueue_pending()
    assert study.unfinished == []


def test_the_second_stage_does_not_wait_for_failed_trials_but_for_those_tried_again(study_of):
    study = study_of(CoarseToFine(coarse=2, fine=1, share=0.25, seed=0), RANGE)
    carry_out(study, most=1)
    study.fail(study.claim("w").number, "bad luck")
    study.enqueue_pending()
    assert len(study.trials()) == 2
    study.fail(study.claim("w").number, "bad luck")
    study.enqueue_next_stage()
    assert len(study.trials()) == 3


def test_without_one_complete_trial_there_is_no_second_stage(study_of):
    study = study_of(CoarseToFine(coarse=1, fine=1, share=0.25, seed=0), RANGE)
    study.fail(study.claim("w").number, "bad luck")
    study.enqueue_next_stage()
    assert len(study.trials()) == 1


def test_a_failed_place_is_tried_again_by_fill_and_only_it(study_of):
    grid = study_of(Grid())
    carry_out(grid, most=2)
    grid.fail(grid.claim("w").number, "bad luck")
    carry_out(grid)
    assert [trial.number for trial in grid.trials(TrialState.FAIL)] == [2]
    grid.enqueue_pending()
    assert [point for _, point in carry_out(grid)] == [PRODUCT[2]]
    assert grid.trials(TrialState.FAIL) == []
    assert [trial.params for trial in grid.completed] == PRODUCT


def test_an_abandoned_trial_goes_back_with_all_that_it_has(study_of):
    study = study_of(Tpe(4, startup=1, seed=0), RANGE)
    carry_out(study, most=2)
    lock = worker_lock(study.directory, "w")
    lock.parent.mkdir()
    with FileLock(lock):
        trial = study.claim("w")
        point = study.space.suggest(trial)
        trial.report(0.25, 0)
        trial.report(0.5, 1)
        assert study.requeue_stale() == []
    lock.touch()
    assert study.requeue_stale() == [2]
    again = study_of(Tpe(4, startup=1, seed=0), RANGE).claim("other")
    assert (again.number, study.space.suggest(again)) == (2, point)
    assert study.study.trials[2].intermediate_values == {0: 0.25, 1: 0.5}
    assert len(study.study.trials) == 4


def test_a_living_worker_keeps_its_trial_however_long_it_is_silent(study_of):
    grid = study_of(Grid())
    lock = worker_lock(grid.directory, "w")
    lock.parent.mkdir()
    with FileLock(lock):
        grid.claim("w")
        silence(grid, 1e6)
        assert grid.requeue_stale({"w"}) == []
    assert grid.trials()[0].state is TrialState.RUNNING


@pytest.mark.parametrize(("seconds", "expected"), [(50, []), (65, [0])])
def test_a_worker_elsewhere_is_gone_after_a_minute_of_silence(study_of, seconds, expected):
    grid = study_of(Grid())
    grid.claim("w")
    there = study_of(Grid(), machine="there", fill=False)
    silence(grid, seconds)
    assert there.requeue_stale() == expected
    assert grid.trials()[0].state is (TrialState.WAITING if expected else TrialState.RUNNING)
    if expected:
        assert there.claim("v").number == 0
        assert grid.requeue_stale() == [], "its heartbeat is that of the worker before"


def test_a_lock_in_a_shared_folder_says_nothing_of_a_worker_elsewhere(study_of, monkeypatch):
    grid = study_of(Grid())
    lock = worker_lock(grid.directory, "w")
    lock.parent.mkdir()
    lock.touch()
    grid.claim("w")
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert grid.requeue_stale() == []


def test_a_study_that_was_begun_with_the_earlier_names_goes_on(study_of):
    grid = study_of(Grid(), fill=False)
    grid.study.enqueue_trial(PRODUCT[0], user_attrs={"place": 0})
    grid.study.enqueue_trial(PRODUCT[0], user_attrs={"place": 0, "spare": True})
    grid.enqueue_pending()
    assert [slot_of(trial) for trial in grid.study.trials] == [0, None, 1, 2, 3, 4, 5]


def test_the_trial_over_which_three_workers_crashed_has_failed(study_of):
    grid = study_of(Grid())
    lock = worker_lock(grid.directory, "w")
    lock.parent.mkdir()
    lock.touch()
    for attempt in range(1, ATTEMPTS + 1):
        assert grid.claim("w").number == 0
        grid.requeue_stale({"w"})
        state = grid.trials()[0].state
        assert state is (TrialState.FAIL if attempt == 3 else TrialState.WAITING)
    assert [trial.user_attrs["error"] for trial in grid.trials(TrialState.FAIL)] == ["its worker crashed 3 times"]
    assert grid.claim("w").number == 1


def test_a_trial_whose_workers_did_not_crash_may_be_requeued_for_ever(study_of):
    grid = study_of(Grid())
    lock = worker_lock(grid.directory, "w")
    lock.parent.mkdir()
    lock.touch()
    for _ in range(ATTEMPTS + 2):
        assert grid.claim("w").number == 0
        assert grid.requeue_stale() == [0]


def test_the_error_of_a_trial_holds_no_secret(study_of, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    grid = study_of(Grid())
    grid.fail(grid.claim("w").number, "refused 0123456789abcdef")
    assert [trial.user_attrs["error"] for trial in grid.trials(TrialState.FAIL)] == ["refused ***"]


def test_what_a_sweep_was_is_known_wherever_its_study_is_read(study_of, tmp_path):
    here = study_of(Grid())
    assert here.manifest is None
    here.describe({"name": "try", "space": {"a": [1, None, "x"]}})
    there = study_of(Grid(), machine="there")
    assert there.manifest == {"name": "try", "space": {"a": [1, None, "x"]}}
    assert read_json(tmp_path / "here" / "manifest.json") == there.manifest


ADDRESSES = {
    "nothing listens": "postgresql+psycopg://me:hidden@127.0.0.1:1/sweeps",
    "no address": "me:hidden",
    "an unknown kind": "oracle+nothing://me:hidden@host/db",
    "a driver that is not installed": "mysql://me:hidden@host/db",
    "a file that cannot be": "sqlite:////no/such/folder/study.db",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_a_storage_that_cannot_be_opened_is_a_setting(address):
    with pytest.raises(SettingError) as refusal:
        open_storage(address)
    assert refusal.value.key == "storage"
    assert "hidden" not in str(refusal.value)
