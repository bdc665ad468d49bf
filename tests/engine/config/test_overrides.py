"""Secrets typed as key=value."""

import pytest
from omegaconf import OmegaConf

from hallmark.checks import SettingError
from hallmark.engine.config.overrides import refuse_typed_secrets
from hallmark.engine.launch import setting_names
from hallmark.storage.secrets import is_secret_name


@pytest.mark.parametrize(
    ("argument", "key"),
    [
        ("+logger.wandb.api_key=abc", "logger.wandb.api_key"),
        ("++model.hf_token=abc", "model.hf_token"),
        ("logger.wandb={project: a, api_key: b}", "logger.wandb.api_key"),
        ("+callbacks={mail: {to: [{password: b}]}}", "callbacks.mail.to.password"),
        ("sweep.space={client.token: [a, b]}", "sweep.space.client.token"),
        ("seed=1,2", None),
        ("model.token_length=4", None),
        ("~logger.wandb", None),
        ("api_key=null", None),
        ("seal.reason='the secret: x'", None),
        ("data.augment={_target_: a.B, crop: 0.7}", None),
        ("a={b", None),
        ("--multirun", None),
        ("model.smtp_password=12345678", "model.smtp_password"),
        ("note=a,sk-0123456789abcdef-x", "note"),
        ("sk-0123456789abcdef-x", "command line"),
        ("note='${oc.env:HIDDEN_PWD}'", "note"),
        ("+sweep.plan.jobs={a: ['seed=1', 'b.token=x']}", "sweep.plan.jobs.a"),
        ("note=${oc.env:HOME}", None),
    ],
)
def test_which_overrides_are_refused(argument, key, monkeypatch):
    monkeypatch.setenv("HIDDEN_PWD", "x")
    if key is None:
        refuse_typed_secrets([argument])
        return
    with pytest.raises(ValueError, match="secrets come from environment variables only") as refusal:
        refuse_typed_secrets(["seed=1", argument])
    assert str(refusal.value).startswith(f"{key}: ")


def test_an_address_with_a_password_is_to_come_from_the_environment():
    with pytest.raises(ValueError, match=r"give 'storage=\$\{oc\.env:NAME\}'") as refusal:
        refuse_typed_secrets(["storage=postgresql://me:hidden@host/db"])
    assert "hidden" not in str(refusal.value)
    refuse_typed_secrets(["storage=${oc.env:STORAGE}"])


def test_no_setting_of_a_preset_reads_like_a_secret(project):
    files = sorted((project / "conf").rglob("*.yaml"))
    names = {name for file in files for name in setting_names(OmegaConf.load(file))}
    assert len(names) > 100
    assert [name for name in names if is_secret_name(name)] == []


def test_a_number_of_more_digits_than_python_reads_is_refused():
    with pytest.raises(SettingError) as refused:
        refuse_typed_secrets([f"model.target_class={'9' * 5000}"])
    assert refused.value.key == "model.target_class"
