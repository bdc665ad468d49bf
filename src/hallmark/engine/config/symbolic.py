"""A configuration as it is stored: resolved, but for what it reads from environment variables."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError
from omegaconf.resolvers import oc

from hallmark.storage.secrets import refuse_secrets


def stored_form(config: DictConfig) -> DictConfig:
    """`config` resolved, but for values that depend on an environment variable, which stay interpolations.

    `paths` are resolved in any case: they say where things of this run lie, whatever another shell has set.

    Raises:
        ValueError: an interpolation cannot be resolved.
    """
    stored = config.copy()
    OmegaConf.set_struct(stored, False)
    OmegaConf.set_readonly(stored, False)
    if OmegaConf.is_dict(stored.get("paths")):
        stored.paths = plain(stored.paths)
    _resolve(stored)
    return stored


def _resolve(node: Any) -> None:
    for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
        if OmegaConf.is_missing(node, key):
            continue
        if OmegaConf.is_interpolation(node, key):
            with _variables_read() as variables:
                value = plain(node, key)
            if not variables and "${" not in str(value):  # what looks like an interpolation was escaped
                node[key] = value
        elif isinstance(node[key], DictConfig | ListConfig) and node[key] is not None:
            _resolve(node[key])


@contextmanager
def _variables_read() -> Iterator[list[str]]:
    """The names of the environment variables that interpolations find set inside the block."""
    variables: list[str] = []

    def env(key: str, *default: Any) -> str | None:
        if key in os.environ:
            variables.append(key)
        return oc.env(key, *default)

    OmegaConf.register_new_resolver("oc.env", env, replace=True)
    try:
        yield variables
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def plain(config: DictConfig | ListConfig, key: Any = None) -> Any:
    """`config` (or its value at `key`) resolved, in plain containers.

    Raises:
        ValueError: an interpolation cannot be resolved, such as one of a variable that is not set.
    """
    try:
        value = config if key is None else config[key]
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except InterpolationResolutionError as error:
        unset = re.search(r"Environment variable '([^']*)' not found", str(error))
        reason = f"the environment variable {unset[1]} is not set" if unset else str(error).splitlines()[0]
        raise ValueError(f"{error.full_key or key}: {reason}") from error


def refuse_configured_secrets(config: DictConfig) -> None:
    """See that no setting of `config` is a secret or holds one, neither as it is written nor resolved.

    A sweep's `storage` may name a variable with a password, because it is stored as written.

    Raises:
        SecretError: one is; the message names the key and not the value.
        ValueError: an interpolation cannot be resolved.
    """
    refuse_secrets(OmegaConf.to_container(config, resolve=False))  # type: ignore[arg-type]
    present = [key for key in config if key != "storage" and not OmegaConf.is_missing(config, key)]
    refuse_secrets({str(key): plain(config, key) for key in present})
