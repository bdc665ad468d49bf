"""Presets as parents: on the rows and the split of their child, and refused where they are none."""

import pytest
from tests.engine.student import DIGITS, MADE

from hallmark.checks import SettingError
from hallmark.engine.job import Job

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report")]


@pytest.fixture
def preset(tmp_path, typed):
    """A function that writes presets, as `{name: text}`, and composes the first of them with what is typed."""

    def preset(texts: dict[str, str], *overrides: str):
        for name, text in texts.items():
            path = tmp_path / "conf" / "experiment" / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# @package _global_\n{text}\n")
        first = next(iter(texts))
        search = f"hydra.searchpath=['file://{tmp_path / 'conf'}']"
        return typed(search, f"experiment={first}", "callbacks.progress=null", *DIGITS[1:], *overrides, command="train")

    return preset


def test_a_parent_has_the_rows_split_and_seed_of_its_child(compose, small, tmp_path):
    typed = (*small, *MADE, "seed=3", "data.split.seed=5", "data.classes=['2','3']", "data.batch_size=4")
    parent = Job.of(compose(*typed)).presets["init_from"].job
    data = parent.config.data
    assert (parent.config.seed, data.seed, data.split.seed, list(data.classes)) == (3, 3, 5, ["2", "3"])
    assert data.batch_size == 32 and parent.config.model.classes == data.classes
    shared = [
        Job.of(compose(*typed, f"seed={seed}", "+parents.init_from.seed=0")).presets["init_from"] for seed in (1, 2)
    ]
    assert shared[0].job.id == shared[1].job.id != parent.id
    moved = compose(*typed, f"paths.outputs={tmp_path / 'elsewhere'}")
    assert Job.of(moved).presets["init_from"].job.id == parent.id


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "data.split.seed=1",
        "data.classes=[a,b]",
        "paths.run_dir=x",
        "repeat=seeds:2",
        "analysis=[slices]",
        "logger=wandb",
        "features.enabled=false",
        "on_code_change=warn",
        "trusted_packages=[tests]",
    ],
)
def test_what_a_parent_has_of_its_child_is_not_overridden(compose, small, override):
    node = f"+parents.init_from={{experiment: digits_classifier, overrides: ['{override}']}}"
    with pytest.raises(SettingError) as raised:
        Job.of(compose(*small, *DIGITS, node))
    assert raised.value.key == "parents.init_from.overrides"


@pytest.mark.parametrize(
    ("node", "key"),
    [
        ("{experiment: no_such_preset}", "parents.init_from"),
        ("{experiment: digits_classifier, overides: []}", "parents.init_from.overides"),
        ("{overrides: []}", "parents.init_from.experiment"),
        ("{experiment: digits_classifier, overrides: ['model.nothing=1']}", "parents.init_from"),
        ("3", "init_from"),
    ],
)
def test_what_is_no_preset_is_refused(compose, small, node, key):
    with pytest.raises(SettingError) as raised:
        Job.of(compose(*small, *DIGITS, f"+parents.init_from={node}"))
    assert raised.value.key == key


def test_a_preset_that_would_be_made_with_itself_is_refused(preset, tmp_path):
    base = "defaults: [digits_classifier]\nname: {name}\nparents: {{init_from: {{experiment: {parent}}}}}"
    config = preset({"alone": base.format(name="alone", parent="alone")})
    with pytest.raises(SettingError, match="alone, whose init_from is alone"):
        Job.of(config)
    config = preset({
        "first": base.format(name="first", parent="second"), "second": base.format(name="second", parent="first"),
    })  # fmt: skip
    with pytest.raises(SettingError, match=r"whose init_from is first.*, whose init_from is second") as raised:
        Job.of(config)
    assert raised.value.key.endswith("parents.init_from") and not (tmp_path / "outputs").exists()


def test_a_preset_of_several_runs_is_one_run_as_a_parent(preset):
    several = "defaults: [digits_classifier]\nrepeat: seeds:5\npaths: {run_dir: elsewhere}"
    child = "defaults: [digits_classifier]\nname: child\nparents: {init_from: {experiment: several}}"
    parent = Job.of(preset({"child": child, "several": several})).presets["init_from"]
    assert parent.config.repeat is None and parent.config.paths.run_dir is None


@pytest.mark.parametrize(
    ("overrides", "key"),
    [(["monitor.mode=up"], "parents.init_from.monitor.mode"), (["model.width=0"], "parents.init_from.model.width")],
)
def test_a_setting_of_a_parent_is_named_as_that(fit, compose, small, overrides, key):
    with pytest.raises(SettingError) as raised:
        fit(*DIGITS, "name=child", f"+parents.init_from={{experiment: digits_classifier, overrides: {overrides}}}")
    assert raised.value.key == key
    with pytest.raises(SettingError) as raised:
        Job.of(compose(*small, *DIGITS, "+parents.init_from={experiment: digits_classifier, seed: -1}"))
    assert raised.value.key == "parents.init_from.seed"


@pytest.mark.parametrize("overrides", [
    ["model=digits_gan", "model.class_weight=0", "model.judged=false"],
    ["model._target_=tests.engine.centroids.Centroids", "~model.width", "~model.dropout", "~model.optimizer"],
])  # fmt: skip
def test_a_preset_whose_weights_cannot_start_the_run_is_not_fitted(fit, fits, overrides):
    node = f"{{experiment: digits_classifier, overrides: {overrides}}}"
    with pytest.raises(SettingError) as raised:
        fit(*DIGITS, "name=child", "trusted_packages=[tests]", f"+parents.init_from={node}")
    assert raised.value.key == "init_from" and fits == []
