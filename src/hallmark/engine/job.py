"""A configuration as one job: resolved, named, placed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hallmark.engine.config.settings import check_run_settings
from hallmark.engine.config.stored import reopen
from hallmark.engine.config.symbolic import plain, refuse_configured_secrets, stored_form
from hallmark.engine.config.targets import trusted_packages
from hallmark.engine.config.trust import TRUST_KEYS, Trust
from hallmark.runs.identity import relevant_settings, run_id
from hallmark.runs.run import Run, open_run
from hallmark.runs.selection import LATEST
from hallmark.runs.source_code import code_hashes


@dataclass(frozen=True)
class Job:
    """One run to be made.

    Attributes:
        config: resolved; `id`: hash of what can change the result.
        stored: as files hold it, with what is read from environment variables unresolved.
        trusted: packages whose classes may be built, as the command says; no part of the run.
    """

    config: DictConfig
    id: str
    directory: Path
    stored: DictConfig
    trusted: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: DictConfig) -> "Job":
        """Resolve and name `config`.

        Raises:
            SettingError: a value of the run's own is of another type or out of range.
            ValueError: no experiment was chosen, a value is missing, or one is a secret.
        """
        refuse_configured_secrets(config)
        start = config.get("init_from")
        if isinstance(start, str) and Path(start).name == LATEST:  # another run tomorrow than now
            config = config.copy()
            config.init_from = str(open_run(start).directory)
        if OmegaConf.is_missing(config, "name") or config.get("model") is None:
            raise ValueError("experiment: choose a preset, such as experiment=clip_final (`--help` lists them)")
        trusted = trusted_packages(config)
        config = without(config, TRUST_KEYS)
        resolved = config.copy()
        OmegaConf.resolve(resolved)
        check_run_settings(resolved)
        # The id is of the settings alone: a project that was moved keeps its ids.
        symbolic = config.copy()
        symbolic.paths = {key: f"<{key}>" for key in config.paths}
        number = run_id(_plain(symbolic))
        fixed = resolved.paths.run_dir
        directory = Path(fixed) if fixed else Path(resolved.paths.outputs) / resolved.name / number
        return cls(resolved, number, directory, stored_form(config), trusted)

    @classmethod
    def reopened(cls, run: Run, trust: Trust) -> "Job":
        """The job that made `run`, as its directory holds it and as far as `trust` goes.

        Raises:
            ValueError: a setting that a stored configuration may not have, or that cannot be resolved; see
                `hallmark.engine.config.stored`.
        """
        config, stored = reopen(run.directory, trust)
        return cls(config, run.record.run_id, run.directory, stored, trust.packages)

    @cached_property
    def code(self) -> dict[str, str]:
        """Hash of every source file that the result depends on."""
        cached = Path(self.config.paths.cache) / "source_code.json"
        return code_hashes(relevant_settings(_plain(self.config)), cached)

    @property
    def run(self) -> Run:
        return Run(self.directory)

    @property
    def plain(self) -> dict[str, Any]:
        """`stored` in plain containers, for what is shown elsewhere."""
        return _plain(self.stored, resolve=False)


def without(config: DictConfig, keys: Sequence[str]) -> DictConfig:
    """A copy of `config` less `keys`, which may be absent."""
    copied = config.copy()
    OmegaConf.set_struct(copied, False)
    for key in keys:
        copied.pop(key, None)
    return copied


def in_group(config: DictConfig, name: str) -> None:
    """Let the run of `config` log into the W&B group `name`, unless it logs elsewhere or has a group."""
    key = "logger.wandb.group"
    if OmegaConf.select(config, key, default="") is None:
        OmegaConf.update(config, key, name)


def _plain(config: DictConfig, *, resolve: bool = True) -> dict[str, Any]:
    values = plain(config) if resolve else OmegaConf.to_container(config)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}
