"""The presets that users know by the names of their stages are the parents of the cascade."""

import pandas as pd
import pytest
from omegaconf import OmegaConf
from tests.conftest import PROJECT

from hallmark.checks import SettingError
from hallmark.engine.build import build
from hallmark.engine.job import Job
from hallmark.engine.parents import parent_uses
from hallmark.engine.train import train
from hallmark.learning.module import PredictingModule

JOBS = OmegaConf.load(PROJECT / "conf" / "sweep" / "deepfake_table.yaml").plan.jobs
MEMBERS = {name: [*job] for name, job in JOBS.items() if any("experiment=" in override for override in job)}


@pytest.fixture(scope="module")
def parents(compose) -> dict[str, str]:
    """Run ids of the parents of the cascade, and of its stack's, by role."""
    cascade = Job.of(compose("experiment=deepfake_cascade"))
    of_stack = cascade.presets["stack"].job.presets
    presets = {"filter": cascade.presets["filter"], **of_stack}
    return {role: preset.job.id for role, preset in presets.items()}


@pytest.mark.parametrize(
    ("role", "command"),
    [
        ("filter", ["experiment=stage1"]),
        ("effnet", ["experiment=stage2_effnet"]),
        ("ed", ["experiment=stage2_genconvit", "model.variant=ed"]),
        ("vae", ["experiment=stage2_genconvit", "model.variant=vae"]),
    ],
)
def test_a_stage_at_its_own_place_is_the_run_that_the_cascade_asks_for(compose, parents, role, command):
    job = Job.of(compose(*command))
    assert job.id == parents[role]
    assert job.directory.as_posix().endswith(f"output/{command[0].removeprefix('experiment=')}" + {
        "ed": "/ed", "vae": "/vae"}.get(role, ""))  # fmt: skip


@pytest.mark.parametrize(
    "overrides",
    [*MEMBERS.values(), *([f"experiment=deepfake_genconvit_{variant}", "model/network=as_published"]
                          for variant in ("ed", "vae"))],
    ids=[*MEMBERS, "as published: ED", "as published: VAE"],
)  # fmt: skip
def test_the_model_of_a_job_is_built_and_is_another_one(compose, overrides):
    model = compose(*overrides).model
    module = build(model, PredictingModule, trusted=())
    assert module.classes == ["real", "fake"]
    preset = compose(overrides[0]).model
    assert len(overrides) == 1 or model != preset


def test_a_parent_that_is_no_member_is_named_as_it_is_taken_out(compose):
    with pytest.raises(SettingError) as refused:
        parent_uses(Job.of(compose("experiment=deepfake_stack", "model.members=[effnet,extra]")))
    assert refused.value.key == "parents.ed" and "parents.ed=null parents.vae=null" in refused.value.expected


@pytest.mark.e2e
@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("variant", ["ed", "vae"])
def test_a_network_as_published_is_fitted(compose, small_of, monkeypatch, variant):
    monkeypatch.setattr("hallmark.engine.train.print_result", lambda *_: [])
    preset = f"deepfake_genconvit_{variant}"
    config = compose(f"experiment={preset}", "model/network=as_published", *small_of(preset), "debug=fast")
    train(config)
    assert pd.read_csv(Job.of(config).directory / "history.csv")["train/loss"].notna().all()
