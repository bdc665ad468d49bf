"""A configuration as one job: resolved, named, placed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from hallmark.runs.identity import run_id
from hallmark.runs.run import Run
from hallmark.storage.secrets import refuse_secrets


@dataclass(frozen=True)
class Job:
    """One run to be made.

    Attributes:
        config: resolved; `id`: hash of what can change the result.
    """

    config: DictConfig
    id: str
    directory: Path

    @classmethod
    def of(cls, config: DictConfig) -> "Job":
        """Resolve and name `config`.

        Raises:
            ValueError: no experiment was chosen, a value is missing, or one is a secret.
        """
        if OmegaConf.is_missing(config, "name") or config.get("model") is None:
            raise ValueError("experiment: choose a preset, such as experiment=clip_final (`--help` lists them)")
        symbolic = config.copy()
        OmegaConf.set_struct(symbolic, False)
        symbolic.paths = {key: f"<{key}>" for key in config.paths}
        number = run_id(_plain(symbolic))
        fixed = config.paths.run_dir
        directory = Path(fixed) if fixed else Path(config.paths.outputs) / config.name / number
        resolved = config.copy()
        OmegaConf.resolve(resolved)
        refuse_secrets(_plain(resolved))
        return cls(resolved, number, directory)

    @property
    def run(self) -> Run:
        return Run(self.directory)

    @property
    def plain(self) -> dict[str, Any]:
        return _plain(self.config)


def in_group(config: DictConfig, name: str) -> None:
    """Let the run of `config` log into the W&B group `name`, unless it logs elsewhere or has a group."""
    key = "logger.wandb.group"
    if OmegaConf.select(config, key, default="") is None:
        OmegaConf.update(config, key, name)


def device_name() -> str:
    return f"cuda ({torch.cuda.get_device_name()})" if torch.cuda.is_available() else "cpu"


def device_facts() -> dict[str, Any]:
    """Device and driver for the record."""
    facts: dict[str, Any] = {"device": device_name(), "threads": torch.get_num_threads()}
    if torch.cuda.is_available():
        facts |= {"cuda": torch.version.cuda, "capability": list(torch.cuda.get_device_capability())}
    return facts


def _plain(config: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
