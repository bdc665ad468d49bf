"""Which names and values are secrets, and that they are taken out of texts and refused in settings."""

import os

import pytest

from hallmark.storage.secrets import has_login, is_secret_name, redacted, refuse_secrets, secret_values

VALUE = "5f3c9a1e77"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """One secret, whatever the machine has."""
    for name in [name for name, value in os.environ.items() if value in secret_values()]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MAIL_TOKEN", VALUE)


@pytest.mark.parametrize(
    "name", ["api_key", "a.b.token", "HF_TOKEN", "password", "client-secret", "apikey", "credentials"]
)
def test_names_that_say_secret(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["token_length", "tokens", "monkey", "secretary", "key_frames", "data.keys", ""])
def test_names_that_do_not(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [
        ("OPENAI_API_KEY", "0123456789", True),
        ("AWS_ACCESS_KEY_ID", "0123456789", True),
        ("PGPASSWORD", "0123456789", True),
        ("USE_TOKEN", "1", False),
        ("TOKEN_HOST", "localhost", False),
    ],
)
def test_variables_that_hold_secrets(monkeypatch, variable, value, found):
    monkeypatch.setenv(variable, value)
    assert set(secret_values()) == {VALUE, *([value] if found else [])}


def test_a_secret_within_another_leaves_nothing(monkeypatch):
    monkeypatch.setenv("LONG_KEY", f"{VALUE}-and-more")
    assert redacted(f"401: {VALUE}-and-more, {VALUE}!") == "401: ***, ***!"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"logger": {"wandb": {"api_key": "x"}}}, "logger.wandb.api_key"),
        ({"data": {"folder": f"/data/{VALUE}/x"}}, "data.folder"),
        ({"callbacks": [{"hf_token": "x"}]}, "callbacks.hf_token"),
        ({"tags": ["a", VALUE]}, "tags"),
    ],
)
def test_settings_that_are_secrets_are_named_but_not_told(settings, key):
    with pytest.raises(ValueError, match="secrets come from environment variables only") as refusal:
        refuse_secrets(settings)
    assert str(refusal.value).startswith(f"{key}: ")
    assert VALUE not in str(refusal.value)


def test_settings_without_secrets_pass():
    refuse_secrets({"api_key": None, "token": "", "data": {"folder": "/data", "rows": 3, "tags": ["a"]}})


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("postgresql://user:word@host/db", True),
        ("postgresql://user@host:5432/db", False),
        ("http://host:80/a@b", False),
    ],
)
def test_addresses_with_a_password(text, has):
    assert has_login(text) is has
