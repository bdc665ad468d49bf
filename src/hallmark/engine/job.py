"""A configuration as one job: resolved, named, placed."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from hallmark.checks import SettingError, require, setting
from hallmark.engine.config.parents import find_parent, kept_for, key_of, made_parent, parent_settings
from hallmark.engine.config.preset_parents import parent_config
from hallmark.engine.config.settings import check_run_settings
from hallmark.engine.config.stored import reopen, with_present_names
from hallmark.engine.config.symbolic import plain, refuse_configured_secrets, stored_form
from hallmark.engine.config.trust import NO_TRUST, TRUST_KEYS, Trust
from hallmark.runs.configuration import FILE, load_plain
from hallmark.runs.identity import relevant_settings, run_id
from hallmark.runs.links import linked_run, list_run
from hallmark.runs.parents import INIT_FROM, Parent, kept_parents
from hallmark.runs.record import RunState
from hallmark.runs.run import Run, RunConflict, RunDirectory, RunLocked
from hallmark.runs.source_code import code_hashes


@dataclass(frozen=True)
class Job:
    """One run to be made.

    Attributes:
        config: resolved; `id`: hash of what can change the result.
        stored: as files hold it, with what is read from environment variables unresolved.
        parents: by role, those that are there; read from the run's own folder once it was begun.
        presets: by role the presets that are parents, which may have to be made first.
        trust: what the command trusts; no part of the run.
    """

    config: DictConfig
    id: str
    directory: Path
    stored: DictConfig
    parents: Mapping[str, Parent] = field(default_factory=dict)
    presets: "Mapping[str, PresetParent]" = field(default_factory=dict)
    trust: Trust = NO_TRUST

    @classmethod
    def of(cls, config: DictConfig, *, below: "Sequence[_MadeFor]" = ()) -> "Job":
        """Resolve and name `config`.

        Args:
            below: the presets that `config` is a parent of, itself the last of them.

        Raises:
            SettingError: a value of the run's own is of another type or out of range; a parent that is no finished run,
                or a preset that would be made for itself.
            ValueError: no experiment was chosen, a value is missing, or one is a secret.
        """
        refuse_configured_secrets(config)
        if OmegaConf.is_missing(config, "name") or config.get("model") is None:
            raise ValueError("experiment: choose a preset, such as experiment=clip_final (`--help` lists them)")
        trust, typed = Trust.of(config), config
        config = without(config, TRUST_KEYS)
        resolved = config.copy()
        OmegaConf.resolve(resolved)
        check_run_settings(resolved)
        # The id is of the settings alone: a project that was moved keeps its ids.
        symbolic = config.copy()
        symbolic.paths = {key: f"<{key}>" for key in config.paths}
        settings = _plain(symbolic)
        nodes = parent_settings(resolved)
        presets = {
            role: PresetParent.of(role, node, typed, below) for role, node in nodes.items() if isinstance(node, dict)
        }
        number, parents = _with_parents(settings, resolved, presets, trust)
        directory = _directory(resolved, number)
        if directory != _listed(resolved, number):  # there already, at a fixed place
            for values in (config, resolved):
                OmegaConf.update(values, "paths.run_dir", str(directory))
        for role, parent in parents.items():
            is_itself = parent.source == os.path.realpath(directory)
            require(not is_itself, key_of(role), nodes[role], "another run than the one that is to be made there")
        for role, path in nodes.items():
            if isinstance(path, str) and os.path.realpath(Path(path).expanduser()) != parents[role].source:
                for values in (config, resolved):  # `<folder>/latest` is another run tomorrow than now
                    key = role if role == INIT_FROM and values.get(INIT_FROM) is not None else f"parents.{role}"
                    OmegaConf.update(values, key, parents[role].source, force_add=True)
        return cls(resolved, number, directory, stored_form(config), parents, presets, trust)

    @classmethod
    def reopened(cls, run: Run, trust: Trust) -> "Job":
        """The job that made `run`, as its directory holds it and as far as `trust` goes.

        Raises:
            ValueError: a setting that a stored configuration may not have, or that cannot be resolved; see
                `hallmark.engine.config.stored`.
        """
        config, stored = reopen(run.directory, trust)
        parents = kept_parents(run.directory, run.record)
        start = config.get(INIT_FROM)
        if INIT_FROM in run.record.parents.keys() - parents.keys() and start is not None:  # of an earlier version
            with suppress(SettingError):  # gone; whoever needs it says so
                parents[INIT_FROM] = find_parent(INIT_FROM, start, config, trust)
        return cls(config, run.record.run_id, run.directory, stored, parents, trust=trust)

    @property
    def trusted(self) -> tuple[str, ...]:
        """Packages whose classes may be built."""
        return self.trust.packages

    @cached_property
    def code(self) -> dict[str, str]:
        """Hash of every source file that the result depends on, those of its parents' models included."""
        # The cache below a run of a stranger could say of any source that it is the one that the run was made with.
        cached = Path(self.trust.roots["cache"]) / "source_code.json" if "cache" in self.trust.roots else None
        hashes = code_hashes({**relevant_settings(_plain(self.config)), "parents": _models(self.parents)}, cached)
        for parent in self.presets.values():
            hashes |= parent.job.code
        return dict(sorted(hashes.items()))

    @property
    def run(self) -> Run:
        return Run(self.directory)

    def list_run(self) -> None:
        """Let a run at a fixed place be found among those of its name, by their parents, children and listings.

        A refit is none of them: it lies in the run that it is of.
        """
        above = self.directory.absolute().parents
        if self.config.paths.run_dir and not any((folder / "record.json").exists() for folder in above):
            list_run(self.directory, _listed(self.config, self.id))

    @property
    def is_done(self) -> bool:
        """Whether the run lies finished in its folder; with which data and code is not looked at."""
        record = RunDirectory(self.directory).read_record()
        return record is not None and record.run_id == self.id and record.state is RunState.DONE

    @property
    def keeps_parents(self) -> bool:
        """Whether all of its parents are read from its own folder."""
        inside = [role for role, parent in self.parents.items() if parent.directory.is_relative_to(self.directory)]
        return set(inside) >= self.parents.keys() | self.presets.keys()

    @property
    def plain(self) -> dict[str, Any]:
        """`stored` in plain containers, for what is shown elsewhere."""
        return _plain(self.stored, resolve=False)


class _MadeFor(NamedTuple):
    """A preset in the role of a parent, and all of its settings."""

    role: str
    experiment: str
    settings: Any


@dataclass(frozen=True)
class PresetParent:
    """A preset as a parent: `config` is what its run is made of, `job` that run."""

    config: DictConfig
    job: Job

    @classmethod
    def of(
        cls, role: str, node: Mapping[str, Any], config: DictConfig, below: Sequence[_MadeFor] = ()
    ) -> "PresetParent":
        """The parent that `node` describes, of the run of `config`, which itself is made for those `below`.

        Raises:
            SettingError: see `hallmark.engine.config.preset_parents`; it would be made with itself.
        """
        parent = parent_config(role, node, config)
        here = _MadeFor(role, node["experiment"], OmegaConf.to_container(parent))
        circle = [each.settings == here.settings for each in below]
        if any(circle):
            words = [f"whose {each.role} is {each.experiment}" for each in (*below[circle.index(True) + 1 :], here)]
            expected = f"another preset; this one is made with itself: {', '.join([here.experiment, *words])}"
            raise SettingError(f"parents.{role}", dict(node), expected)
        with as_parent(role):
            return cls(parent, Job.of(parent, below=[*below, here]))


@contextmanager
def as_parent(role: str) -> Iterator[None]:
    """Name the role of the preset that is looked for or made, in settings as a user types them and in conflicts."""
    with setting(f"parents.{role}"):
        try:
            yield
        except RunLocked:
            raise
        except RunConflict as error:
            advice = "Remove that folder, and the same command makes it again; rerun=true is for its child alone"
            raise RunConflict(f"parents.{role}: {error.problem}", advice) from error


def _directory(config: DictConfig, number: str) -> Path:
    fixed = config.paths.run_dir
    return Path(fixed) if fixed else linked_run(_listed(config, number)) or _listed(config, number)


def _listed(config: DictConfig, number: str) -> Path:
    return Path(config.paths.outputs) / config.name / number


def _with_parents(
    settings: dict[str, Any], config: DictConfig, presets: Mapping[str, PresetParent], trust: Trust
) -> tuple[str, dict[str, Parent]]:
    """The id of a run of `settings`, and its parents: those that it keeps once it was begun.

    A run that is given is known by what it is. A preset is known by its own run id, as that is before it is made, too.
    Where a folder that is named as a parent is gone, the run that was begun with it is found by what it keeps.

    Raises:
        SettingError: see `find_parent`.
        RunConflict: a preset that is a parent was made again since this run was begun, and came out otherwise.
    """
    paths = {role: path for role, path in parent_settings(config).items() if isinstance(path, str)}
    if not paths and not presets:
        return run_id(settings), {}
    parents = {role: made_parent(role, each.job.run) for role, each in presets.items() if each.job.is_done}
    gone: dict[str, SettingError] = {}
    for role, path in paths.items():
        try:
            parents[role] = find_parent(role, path, config, trust)
        except SettingError as error:
            if config.rerun or Path(path).expanduser().exists():
                raise
            gone[role] = error

    def named(parents: Mapping[str, Parent]) -> str:
        identities: dict[str, Any] = {role: parents[role].identity for role in paths if role in parents}
        identities |= {role: {"run_id": each.job.id} for role, each in presets.items()}
        if identities.keys() - {INIT_FROM}:  # it may be trained on what they predict out of fold
            identities |= {"out_of_fold.folds": config.out_of_fold.folds}
        return run_id({**settings, INIT_FROM: None, "parents": identities})

    number = named(parents)
    if gone:
        folders = sorted((Path(config.paths.outputs) / config.name).glob("*/"))
        fixed = [Path(config.paths.run_dir)] if config.paths.run_dir else folders
        begun = [each for folder in fixed if (each := kept_for(folder, {role: paths[role] for role in gone}))]
        fitting = [each for each in begun if named({**each.parents, **parents}) == each.id]
        if not fitting:
            raise next(iter(gone.values()))
        number = max(fitting, key=lambda each: each.started).id
    directory = _directory(config, number)
    there = None if config.rerun else kept_for(directory, {})
    if there is None or there.id != number or not there.parents.keys() >= paths.keys() | presets.keys():
        return number, parents
    for role in presets.keys() & parents.keys():
        if parents[role].weights != there.parents[role].weights:
            made_again = f"{parents[role].directory}, which was made again since then and came out otherwise"
            raise RunConflict(f"{directory}: its {role} is {made_again}", "Add rerun=true to make it with that one")
    return number, there.parents


def _models(parents: Mapping[str, Parent]) -> dict[str, Any]:
    """The models that are built as parents, and those of their own parents; of `init_from` tensors alone are read."""
    return {
        role: {
            "model": with_present_names(load_plain(parent.directory / FILE).get("model")),
            "parents": _models(kept_parents(parent.directory, parent.record)),
        }
        for role, parent in parents.items()
        if role != INIT_FROM
    }


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
