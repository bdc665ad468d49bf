"""Plans: which points, known when, drawn how."""

import math

import optuna
import pytest
from omegaconf import OmegaConf

from hallmark.engine.search.plans import CoarseToFine, Grid, JobList, Random, Tpe
from hallmark.engine.search.space import Space

RANGES = {
    "lr": {"low": 1e-4, "high": 1.0, "log": True},
    "width": {"low": 8, "high": 64, "step": 8},
    "head": ["concat", "interaction"],
}
SPACE = Space.of(OmegaConf.create(RANGES), list(RANGES))


def inside(point: dict) -> bool:
    width = point["width"] % 8 == 0 and 8 <= point["width"] <= 64
    return 1e-4 <= point["lr"] <= 1 and width and point["head"] in RANGES["head"]


@pytest.mark.parametrize("kind", [lambda n: Random(n, seed=3), lambda n: Tpe(n, startup=12, seed=3)])
def test_more_random_points_begin_with_the_same_ones(kind):
    few, many = kind(4).points(SPACE), kind(12).points(SPACE)
    assert many[:4] == few
    assert len({point["lr"] for point in many}) == 12
    assert all(map(inside, many))


def test_random_points_depend_on_the_seed_and_cover_the_logarithm():
    assert Random(4, seed=3).points(SPACE) != Random(4, seed=4).points(SPACE)
    logs = [math.log10(point["lr"]) for point in Random(400, seed=0).points(SPACE)]
    assert sum(logs) / 400 == pytest.approx(-2, abs=0.2)


def test_tpe_leaves_what_follows_its_start_to_the_sampler():
    points = Tpe(7, startup=3, seed=0).points(SPACE)
    assert points[:3] == Random(3, seed=0).points(SPACE)
    assert points[3:] == [{}] * 4


def test_tpe_goes_where_the_values_are_good():
    study = optuna.create_study(direction="maximize", sampler=Tpe(40, startup=15, seed=0).sampler)
    for point in Tpe(40, startup=15, seed=0).points(SPACE):
        study.enqueue_trial(point)
        trial = study.ask()
        point = SPACE.suggest(trial)
        study.tell(trial, -abs(math.log10(point["lr"]) + 1))
    distances = [-trial.value for trial in study.trials]
    assert sum(distances[25:]) / 15 < sum(distances[:15]) / 15 / 2


def test_the_second_stage_lies_around_the_best_of_the_first():
    best = optuna.trial.create_trial(
        params={"lr": 1e-2, "width": 24, "head": "concat"}, distributions=dict(SPACE.distributions), value=1.0
    )
    plan = CoarseToFine(coarse=5, fine=40, share=0.25, seed=0)
    assert plan.points(SPACE) == Random(5, seed=0).points(SPACE)
    fine = plan.refine(SPACE, best)
    assert len(fine) == 40
    assert all(10**-2.5 <= point["lr"] <= 10**-1.5 for point in fine)
    assert {point["width"] for point in fine} == {16, 24, 32}
    assert {point["head"] for point in fine} == {"concat"}
    assert plan.refine(SPACE, best) == fine


def test_only_coarse_to_fine_has_a_second_stage():
    best = optuna.trial.create_trial(value=1.0)
    plans = [Grid(), Random(2, seed=0), Tpe(2, startup=1, seed=0), JobList({"one": []})]
    assert [plan.refine(SPACE, best) for plan in plans] == [[]] * 4


def test_points_are_jobs_by_name():
    assert JobList({"one": [], "two": ["seed=1"]}).points(SPACE) == [{"job": "one"}, {"job": "two"}]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Random(0, seed=0), "trials=0: expected at least 1"),
        (lambda: Tpe(0, startup=1, seed=0), "trials=0"),
        (lambda: Tpe(1, startup=0, seed=0), "startup=0"),
        (lambda: CoarseToFine(0, 1, 0.5, 0), "coarse=0"),
        (lambda: CoarseToFine(1, 0, 0.5, 0), "fine=0"),
        (lambda: CoarseToFine(1, 1, 1.0, 0), "share=1.0"),
        (lambda: CoarseToFine(1, 1, 0.0, 0), "share=0.0"),
        (lambda: JobList({}), "jobs={}"),
        (lambda: Random(1, seed=0).points(Space({})), "sweep.space={}"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        build()
