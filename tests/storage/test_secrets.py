"""Which names and values are secrets, and that they are taken out of texts and refused in settings."""

import os

import pytest

from hallmark.storage.secrets import (
    SecretError,
    has_login,
    is_secret_name,
    names_variable,
    redacted,
    refuse_secrets,
    secret_values,
)

VALUE = "5f3c9a1e77"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """One secret, whatever the machine has."""
    for name in [name for name, value in os.environ.items() if value in secret_values()]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MAIL_TOKEN", VALUE)


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "a.b.token",
        "HF_TOKEN",
        "password",
        "client-secret",
        "apikey",
        "credentials",
        "db_pass",
        "MYSQL_PWD",
        "accessToken",
        "API_KEY_2",
        "smtp.passphrase",
    ],
)
def test_names_that_say_secret(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["token_length", "tokens", "monkey", "secretary", "key_frames", "data.keys", "", "bypass", "key_variable"]
)
def test_names_that_do_not(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("model.rewriter.key_variable", True), ("api_key_env", True), ("tokenVar", True), ("password_env", True),
        ("variable", False), ("env", False), ("api_key", False), ("key_frames", False),
    ],
)  # fmt: skip
def test_names_of_settings_that_name_a_variable(name, names):
    assert names_variable(name) is names


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [
        ("OPENAI_API_KEY", "0123456789", True),
        ("AWS_ACCESS_KEY_ID", "0123456789", True),
        ("PGPASSWORD", "0123456789", True),
        ("USE_TOKEN", "1", False),
        ("TOKEN_HOST", "localhost", False),
        ("DB_PASS", "0123456789", True),
        ("MYSQL_PWD", "0123456789", True),
        ("SECRET_KEY_BASE", "0123456789", True),
        ("OLDPWD", "/home/somebody", False),
        ("KEY_FILE_SECRET", "/proc/self", False),  # a path is none
        ("COLOR", "0123456789", False),
    ],
)
def test_variables_that_hold_secrets(monkeypatch, variable, value, found):
    monkeypatch.setenv(variable, value)
    assert set(secret_values()) == {VALUE, *([value] if found else [])}


@pytest.mark.parametrize(
    ("address", "passwords"),
    [
        ("postgresql+psycopg://me:0123456789@host/db", {"0123456789"}),
        ("http://me:01234%2F6789@proxy:3128", {"01234%2F6789", "01234/6789"}),
        ("redis://:0123456789@host", {"0123456789"}),
        ("postgresql://postgres:postgres@host/db", set()),  # would be found everywhere
        ("http://proxy:3128/me@there", set()),
    ],
)
def test_passwords_in_addresses_of_the_environment(monkeypatch, address, passwords):
    monkeypatch.setenv("SOME_ADDRESS", address)
    assert set(secret_values()) == {VALUE, *passwords}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at http://me:ab@host:80/x, twice", "at http://me:***@host:80/x, twice"),
        ("key sk-0123456789abcdef-x refused", "key *** refused"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ", "***"),
        ("task-force-2024-winter-edition", "task-force-2024-winter-edition"),
    ],
)
def test_what_has_the_form_of_a_secret_is_taken_out(text, shown):
    assert redacted(text) == shown


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
        ({"mail": {"password": 12345678}}, "mail.password"),
        ({"note": "Server=x;Password=y"}, "note"),
        ({"note": "sk-0123456789abcdef-x"}, "note"),
        ({"note": "see https://host/v1?api_key=x"}, "note"),
        ({"note": "${oc.env:MAIL_TOKEN}"}, "note"),
        ({"url": "redis://:x@host"}, "url"),
        ({"url": "https://token@host/v1"}, "url"),
        ({"base_url": "https://host/v1?x=y"}, "base_url"),
    ],
)
def test_settings_that_are_secrets_are_named_but_not_told(settings, key):
    with pytest.raises(SecretError, match="secrets come from environment variables only") as refusal:
        refuse_secrets(settings)
    assert str(refusal.value).startswith(f"{key}: ")
    assert VALUE not in str(refusal.value)


@pytest.mark.parametrize("value", ["sk-x", "hunter2", "AKIA0123456789ABCDEF", "0123456789ABCDEF", "ABCDEF0123456789"])
def test_a_value_where_the_name_of_its_variable_belongs(value):
    with pytest.raises(SecretError, match=r"^model\.key_variable: ") as refusal:
        refuse_secrets({"model": {"key_variable": value}})
    assert value not in str(refusal.value)


def test_names_of_variables_pass(monkeypatch):
    monkeypatch.setenv("LLM", "x")
    refuse_secrets({"key_variable": "SOME_API_KEY", "token_env": "LLM", "api_key_env": None, "b": {"key_var": "${a}"}})


def test_settings_without_secrets_pass():
    refuse_secrets({"api_key": None, "token": "", "data": {"folder": "/data", "rows": 3, "tags": ["a"]}})
    refuse_secrets({"storage": "postgresql://me@host/db", "base_url": "http://host:80/v1", "reason": "see a@b: x = 3"})


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
