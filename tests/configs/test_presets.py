"""Every option in conf/ composes, is what it says it is, and every preset takes a step."""

import math
import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from hallmark.engine.config.replaced import REPLACED
from hallmark.engine.search.jobs import Search
from hallmark.engine.train import train
from hallmark.runs.metrics import find_metric
from hallmark.runs.run import open_run
from hallmark.statistics.metrics import lower_is_better
from hallmark.statistics.metrics.sets import SET_METRICS

CONF = Path(__file__).parents[2] / "conf"
NEEDS_MORE = {
    "deepfake_cascade": "the filter, members and their stack; run in tests/e2e/test_deepfake.py",
    "deepfake_stack": "three members; run with the commands of README.md in tests/readme/test_readme.py",
    "digits_stack": "three members with refits; run in tests/e2e/test_stack.py",
    "refseg_own": "the user's pictures; run in tests/e2e/test_refseg.py",
    "refseg_vlm": "an endpoint; run in tests/e2e/test_refseg.py",
}


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def is_variant(name: str) -> bool:
    """Whether a preset is another one at a fixed place, which it names first in its defaults."""
    first = OmegaConf.load(CONF / "experiment" / f"{name}.yaml").defaults[0]
    return isinstance(first, str) and first in options("experiment")


@pytest.mark.parametrize("profile", ["sample", "full"])
@pytest.mark.parametrize("name", options("experiment"))
def test_a_preset_composes_under_the_name_of_its_file(compose, name, profile):
    config = compose(f"experiment={name}", f"profile={profile}")
    assert config.profile == profile
    if is_variant(name):  # so that it is the same run, and found where the other one is a parent
        other = compose(f"experiment={config.name}", f"profile={profile}")
        assert config.paths.run_dir.startswith(f"output/{name}") and other.paths.run_dir is None
        config.paths.run_dir = None
        assert OmegaConf.to_container(config, resolve=True) == OmegaConf.to_container(other, resolve=True)
    else:
        assert config.name == name
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert plain["model"]["_target_"].startswith(("hallmark.systems.", "hallmark.learning.stacking."))
    made_for_the_sample = name.startswith("refseg_train_")
    if "sample" in plain["data"]:  # data that come with a package are no sample, and the same in both profiles
        assert (plain["data"]["sample"] is None) == (profile == "full" and not made_for_the_sample)


@pytest.mark.parametrize("name", options("experiment"))
def test_no_preset_gives_a_model_what_only_the_generator_of_its_data_knows(compose, name):
    model = OmegaConf.to_yaml(compose(f"experiment={name}").model, resolve=True)
    assert ".sample." not in model
    if name == "refseg_loop":
        assert compose(f"experiment={name}").model.rewriter.synonyms is None  # the package's own table


@pytest.mark.parametrize("name", options("experiment"))
def test_a_preset_opens_with_its_command(name):
    text = (CONF / "experiment" / f"{name}.yaml").read_text()
    header = text.partition("defaults:")[0]
    commands = ("train.py", "train.py -m", "evaluate.py")
    assert any(f"# python {command} experiment={name}" in header for command in commands)


@pytest.mark.parametrize(("name", "command"), REPLACED.items())
def test_what_is_typed_for_a_replaced_preset_composes(compose, name, command):
    assert name not in options("experiment")
    preset, *overrides = shlex.split(command)
    config = compose(preset, *overrides, f"name={name}")
    assert config.name == name and config != compose(preset, f"name={name}")


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize(
    "name", [name for name in options("experiment") if name not in NEEDS_MORE and not is_variant(name)]
)
def test_a_preset_runs(compose, small_of, tmp_path, name):
    value = train(compose(f"experiment={name}", "debug=fast", *small_of(name)))
    metric = compose(f"experiment={name}").monitor.metric.rpartition("/")[2]
    if metric in SET_METRICS:  # of which one can be below 0
        assert SET_METRICS[metric].low <= value < math.inf
    else:
        assert value >= 0 and (value <= 1 or lower_is_better(metric))
    run = open_run(tmp_path / "outputs" / name)
    assert run.record.selected["value"] == value
    measured = find_metric(run.metrics, run.record.selected["metric"])
    assert measured is not None and math.isclose(measured, value, rel_tol=1e-5)
    left = {"config.yaml", "predictions/val.parquet"}
    if run.record.selected["checkpoint"]:
        left |= {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "history.csv"}
    assert left <= {path.relative_to(run.directory).as_posix() for path in run.directory.rglob("*")}


@pytest.mark.parametrize("group", ["logger", "debug", "callbacks", "trainer", "paths", "profile"])
def test_the_options_of_a_group_compose(compose, group):
    for name in options(group):
        config = compose("experiment=clip_final", f"{group}={name}")
        assert OmegaConf.to_container(config, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("name", [name for name in options("sweep") if name != "base"])
def test_a_sweep_is_sound_as_its_command_says(typed, name, tmp_path):
    """Its space, plan and jobs fit the preset that its command names: every value, both ends of every range."""
    text = (CONF / "sweep" / f"{name}.yaml").read_text()
    command = next(line for line in text.splitlines() if line.startswith("# python sweep.py "))
    overrides = shlex.split(command)[3:]
    assert f"sweep={name}" in overrides
    search = Search.of(typed(*overrides, "profile=sample"))
    assert search.config.sweep.name == name
    assert len(search.plan.points(search.space)) >= 2
    assert not (tmp_path / "outputs").exists()


GENERIC = [name for name in options("sweep") if "space: ???" in (CONF / "sweep" / f"{name}.yaml").read_text()]


@pytest.mark.parametrize("name", GENERIC)
def test_a_generic_sweep_asks_for_its_space(compose, name):
    with pytest.raises(ValueError, match=r"sweep\.space"):
        Search.of(compose("experiment=sentiment_tfidf", f"sweep={name}", command="sweep"))


def test_the_analyses_compose_together(compose):
    names = options("analysis")
    config = compose("run=somewhere", f"analysis=[{','.join(names)}]", command="evaluate")
    assert sorted(config.analysis) == names
