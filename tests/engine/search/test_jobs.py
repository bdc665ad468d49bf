"""A sweep's configuration: what its trials are, and what is refused before anything is written."""

import re

import pytest
from omegaconf import OmegaConf

from hallmark.engine.job import Job
from hallmark.engine.search.jobs import Search

STRENGTH = "model.inverse_regularisation"
GRID = ["sweep=grid", f"sweep.space={{model.ngrams: [1, 2], {STRENGTH}: [1.0, 4.0]}}"]
RANGE = f"sweep.space={{{STRENGTH}: {{low: 0.1, high: 10.0, log: true}}}}"
RANDOM = ["sweep=random", RANGE]
POINTS = ["sweep=sentiment_fusion", "experiment=clip_final"]
PRUNER = "sweep.pruner={_target_: optuna.pruners.MedianPruner}"


def points(jobs: str) -> list[str]:
    return ["+sweep={name: listed, objectives: null, pruner: null, plan: "
            f"{{_target_: hallmark.engine.search.plans.JobList, jobs: {jobs}}}}}"]  # fmt: skip


def test_a_trial_is_the_run_that_train_makes_of_the_same_settings(search_of, compose, small):
    search = search_of(*GRID, "seed=3")
    ids = {
        Job.of(compose("experiment=sentiment_tfidf", *small, "seed=3", f"model.ngrams={n}", f"{STRENGTH}={c}")).id
        for n in (1, 2) for c in (1.0, 4.0)
    }  # fmt: skip
    assert len(ids) == 4
    assert {Job.of(search.at(point)).id for point in search.plan.points(search.space)} == ids


def test_a_key_that_a_point_lacks_is_the_presets(search_of):
    search = search_of(*GRID)
    config = search.at({"model.ngrams": 1})
    assert (config.model.ngrams, config.model.inverse_regularisation) == (1, search.base.model.inverse_regularisation)
    assert search.base.model.ngrams == 2


def test_trials_of_one_sweep_are_a_group_in_the_tracker(search_of):
    assert search_of(*GRID, "logger=wandb").at({}).logger.wandb.group.startswith("grid-")
    assert search_of(*GRID, "logger=wandb", "logger.wandb.group=mine").at({}).logger.wandb.group == "mine"


def test_listed_jobs_are_the_runs_of_their_overrides(search_of, compose, small):
    search = search_of(*points('{one: [], two: ["seed=3", "model.ngrams=1"]}'), "data.batch_size=8")
    typed_alone = ["experiment=sentiment_tfidf", *small, "data.batch_size=8"]
    expected = {
        "one": Job.of(compose(*typed_alone)).directory,
        "two": Job.of(compose(*typed_alone, "seed=3", "model.ngrams=1")).directory,
    }
    directories = {point["job"]: Job.of(search.at(point)).directory for point in search.plan.points(search.space)}
    assert directories == expected


def test_listed_jobs_keep_a_setting_whose_name_begins_like_one_of_the_sweep(search_of):
    search = search_of(*points("{one: []}"), "+jobs_note=here")
    assert search.at({"job": "one"}).jobs_note == "here"


@pytest.mark.parametrize("overrides", [GRID, points('{one: [], two: ["model.ngrams=1"]}')], ids=["grid", "listed"])
def test_a_worker_reads_the_same_search_from_the_folder(search_of, overrides):
    search = search_of(*overrides)
    search.save()
    read = Search.load(search.directory)
    assert (read.directory, read.description()) == (search.directory, search.description())
    every = search.plan.points(search.space)
    assert read.plan.points(read.space) == every
    assert [Job.of(read.at(point)).id for point in every] == [Job.of(search.at(point)).id for point in every]


def test_the_folder_of_a_sweep_depends_on_the_preset_and_not_on_the_search(search_of, tmp_path):
    grid, other, seed = search_of(*GRID), search_of(*RANDOM, "sweep.name=grid", "jobs=2"), search_of(*GRID, "seed=1")
    assert grid.directory == other.directory != seed.directory
    assert grid.directory == tmp_path / "outputs" / "sentiment_tfidf" / "sweeps" / grid.name
    assert grid.name == f"grid-{Job.of(grid.base).id}"


def test_the_number_of_trials_is_not_part_of_what_a_sweep_is(search_of):
    assert search_of(*RANDOM, "sweep.plan.trials=4").description() == search_of(*RANDOM).description()
    assert search_of(*RANDOM, "sweep.plan.seed=1").description() != search_of(*RANDOM).description()


def test_the_objective_is_the_monitored_metric_unless_told(search_of):
    objectives = "sweep.objectives=[{metric: val/accuracy, mode: max}, {metric: val/loss, mode: min}]"
    assert [vars(objective) for objective in search_of(*GRID).objectives] == [{"metric": "val/macro_f1", "mode": "max"}]
    assert [(objective.metric, objective.direction) for objective in search_of(*GRID, objectives).objectives] == [
        ("val/accuracy", "maximize"), ("val/loss", "minimize"),
    ]  # fmt: skip


WRONG = {
    "no sweep at all": ([], "sweep=None: expected a search space, such as sweep=clip_grid"),
    "no workers": ([*GRID, "jobs=0"], "jobs=0: expected at least one worker"),
    "workers by name": ([*GRID, "jobs=all"], "jobs='all': expected a valid integer"),
    "a key that does not exist": (
        ["sweep=grid", "sweep.space={model.ngrams: [1], model.ngram: [1]}"],
        "sweep.space.model.ngram=[1]: expected a key of this preset; did you mean model.ngrams?",
    ),
    "a section": (
        ["sweep=grid", "sweep.space={model: [1, 2]}"],
        "sweep.space.model=[1, 2]: expected a single setting",
    ),
    "a wrong type among values": (
        ["sweep=grid", "sweep.space={model.ngrams: [1, two]}"], "model.ngrams='two': expected a valid int",
    ),
    "a wrong type in the data": (
        ["sweep=grid", "sweep.space={data.batch_size: [8, x]}"], "data.batch_size='x': expected a valid int",
    ),
    "a wrong type at the lower end": (
        ["sweep=random", "sweep.space={model.ngrams: {low: 0.5, high: 3}}"], "model.ngrams=0.5: expected a valid int",
    ),
    "a wrong type at the upper end": (
        ["sweep=random", "sweep.space={model.ngrams: {low: 1, high: 2.5}}"], "model.ngrams=1.0: expected a valid int",
    ),
    "a range in a grid": (["sweep=grid", RANGE], f"sweep.space.{STRENGTH}="),
    "a plan without trials": ([*RANDOM, "sweep.plan.trials=0"], "sweep.plan.trials=0: expected at least 1"),
    "a plan of a wrong type": ([*RANDOM, "sweep.plan.trials=ten"], "sweep.plan.trials='ten': expected a valid int"),
    "an objective on test": (
        [*GRID, "sweep.objectives=[{metric: val/accuracy, mode: max}, {metric: test/accuracy, mode: max}]"],
        "sweep.objectives[1].metric='test/accuracy': expected a validation metric: val/...",
    ),
    "a metric that is best at neither end": (
        [*GRID, "sweep.objectives=[{metric: val/nyquist_energy, mode: max}]"],
        "sweep.objectives[0].metric='val/nyquist_energy': expected a metric",
    ),
    "an objective without direction": (
        [*GRID, "sweep.objectives=[{metric: val/accuracy, mode: up}]"],
        "sweep.objectives[0].mode='up': expected min or max",
    ),
    "the monitored metric the other way round": (
        [*GRID, "sweep.objectives=[{metric: val/macro_f1, mode: min}]"],
        "sweep.objectives[0].mode='min': expected max, as monitor.mode",
    ),
    "a pruner with several objectives": (
        [*GRID, PRUNER, "sweep.objectives=[{metric: val/accuracy, mode: max}, {metric: val/macro_f1, mode: max}]"],
        "expected null with several objectives",
    ),
    "a pruner of what is not monitored": (
        [*GRID, PRUNER, "sweep.objectives=[{metric: val/loss, mode: min}]"],
        "expected null where the objective is not monitor.metric",
    ),
    "a repeat that is none": ([*GRID, "repeat='seed:3'"], "repeat='seed:3': expected seeds:N"),
    "a typo in the last listed job": (
        points('{one: [], two: ["model.ngrams=1", "model.ngram=2"]}'), "sweep.plan.jobs.two=['model.ngrams=1', ",
    ),
    "a wrong type in the last listed job": (
        points('{one: [], two: ["model.ngrams=x"]}'), "model.ngrams='x': expected a valid int",
    ),
    "no listed job": (points("{}"), "jobs={}: expected overrides by name"),
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_before_anything_is_written(search_of, tmp_path, overrides, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        search_of(*overrides)
    assert not (tmp_path / "outputs").exists()


def test_a_storage_with_a_password_is_refused_without_repeating_it(search_of, tmp_path):
    with pytest.raises(ValueError, match="put it into HALLMARK_STORAGE") as refused:
        search_of(*GRID, "storage='postgresql+psycopg://me:verysecret@host/base'")
    assert "verysecret" not in str(refused.value)
    assert not (tmp_path / "outputs").exists()


@pytest.mark.filterwarnings("ignore:Query string argument")
def test_a_storage_of_the_environment_is_written_nowhere(search_of, begin, monkeypatch, tmp_path):
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}?user=me&password=verysecret"
    monkeypatch.setenv("HALLMARK_STORAGE", url)
    search = search_of(*GRID)
    begin(search)
    search.save()
    files = [path for path in search.directory.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"config.yaml", "manifest.json"}
    assert not any(b"verysecret" in path.read_bytes() for path in files)
    assert Search.load(search.directory).config.storage == url


def test_settings_that_are_null_by_default_can_be_searched(search_of):
    space = "sweep.space={callbacks.early_stopping.patience: [1], data.extra: [null, somewhere]}"
    search = search_of("sweep=grid", space)
    configs = [search.at(point) for point in search.plan.points(search.space)]
    assert [OmegaConf.select(config, "data.extra") for config in configs] == [None, "somewhere"]
