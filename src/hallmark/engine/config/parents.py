"""The runs that a configuration names as parents, found on disk without torch."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from hallmark.checks import SettingError, UserError, require
from hallmark.engine.config.stored import refuse_links
from hallmark.engine.config.symbolic import plain
from hallmark.engine.config.trust import Trust
from hallmark.runs.configuration import FILE, load_plain
from hallmark.runs.fitted import check_fitted
from hallmark.runs.parents import INIT_FROM, Parent, check_roles, file_hash, kept_parents
from hallmark.runs.repeats import FILE as REPEATS
from hallmark.runs.repeats import RepeatSet, open_result, runs_of
from hallmark.runs.run import Run
from hallmark.storage.hashing import digest


class Begun(NamedTuple):
    """A run or a set of repeats that lies on disk, by its id, its start and the parents that it keeps."""

    id: str
    started: str
    parents: dict[str, Parent]


_EXPECTED = "a finished run, such as outputs/clip_probe/<run id>, or a preset: {experiment: clip_probe}"


def parent_settings(config: DictConfig) -> dict[str, str | dict[str, Any]]:
    """The path of each parent by its role, or what a preset is made of, that of `init_from` included.

    Raises:
        SettingError: neither of these, no name for a role, or two runs as `init_from`.
    """
    written = plain(config, "parents") if config.get("parents") is not None else {}
    paths = {str(role): path for role, path in written.items() if path is not None}
    start = config.get(INIT_FROM)
    if start is not None:
        expected = f"null, because {INIT_FROM}={start} gives that role as well"
        require(paths.get(INIT_FROM, start) == start, f"parents.{INIT_FROM}", paths.get(INIT_FROM), expected)
        paths[INIT_FROM] = start
    check_roles(paths)
    for role, path in paths.items():
        named = isinstance(path, dict) or (isinstance(path, str) and bool(path.strip()))
        require(named, key_of(role), path, _EXPECTED)
    return paths


def find_parent(role: str, path: str, config: DictConfig, trust: Trust) -> Parent:
    """The run that `path` means in the resolved `config`; a whole set, if `config` asks for repeats as well.

    Raises:
        SettingError: there is none; it is not finished, has no weights or others than its record names, or leads out of
            its folder; a set of repeats has no member of the seed and fold of `config`.
    """
    try:
        result = open_result(Path(path).expanduser())
        for run in runs_of(result):
            refuse_links(run.directory, trust)
    except ValueError as error:
        raise SettingError(key_of(role), path, f"a finished run ({error})") from error
    source = os.path.realpath(result.directory)
    if isinstance(result, Run):
        return _parent(role, result, source)
    if config.get("repeat") is None:
        return _parent(role, _member(role, path, result, config), source)
    members = [_parent(role, run, source) for run in runs_of(result)]
    weights, data = (digest([getattr(member, name) for member in members]) for name in ("weights", "data"))
    record = result.record
    return Parent(role, result.directory, record.name, record.set_id, weights=weights, data=data, source=source)


def made_parent(role: str, run: Run) -> Parent:
    """The finished run of a preset, as a parent that was made for its role.

    Raises:
        SettingError: it has no weights, or others than its record names.
    """
    return _parent(role, run, os.path.realpath(run.directory))


def key_of(role: str) -> str:
    """The setting that names the parent of a role, as a user types it."""
    return role if role == INIT_FROM else f"parents.{role}"


def kept_for(directory: Path, sources: Mapping[str, str]) -> Begun | None:
    """The run or set of repeats that was begun in `directory` with the parents that lay at `sources`."""
    try:
        if (directory / REPEATS).exists():
            repeats = RepeatSet(directory).record
            # Of presets each run has parents of its own.
            entries = {role: entry for role, entry in repeats.parents.items() if "source" in entry}
            parents = {role: Parent(role, directory, **entry) for role, entry in entries.items()}
            begun = Begun(repeats.set_id, "", parents)
        else:
            record = Run(directory).record
            begun = Begun(record.run_id, record.started, kept_parents(directory, record))
    except (ValueError, TypeError, AttributeError):  # none, or one of another version
        return None
    fits = all(
        role in begun.parents and begun.parents[role].source == os.path.realpath(Path(path).expanduser())
        for role, path in sources.items()
    )
    return begun if fits and all(parent.directory.is_dir() for parent in begun.parents.values()) else None


def _member(role: str, path: str, repeats: RepeatSet, config: DictConfig) -> Run:
    """The member of a set that has the seed and the split of `config`, as far as members differ in them."""
    runs = [member.run for member in repeats.members]
    splits = [(load_plain(run.directory / FILE).get("data") or {}).get("split") for run in runs]
    wanted = plain(config, "data").get("split")
    by_fold = any(split != splits[0] for split in splits)
    by_seed = len({run.record.seed for run in runs}) > 1
    fitting = [
        run
        for run, split in zip(runs, splits, strict=True)
        if (not by_fold or _agree(split, wanted)) and (not by_seed or run.record.seed == config.seed)
    ]
    if len(fitting) == 1:
        return fitting[0]
    seeds = ", ".join(str(seed) for seed in sorted({run.record.seed for run in runs}))
    what = "data.split of this run" if by_fold else f"seed {config.seed}; it has {seeds}"
    raise SettingError(key_of(role), path, f"a set of repeats with a member of {what}; one of its runs can be given")


def _agree(split: Any, wanted: Any) -> bool:
    """Whether two splits have equal settings; one of an earlier version has fewer."""
    return isinstance(split, dict) and all(split[key] == wanted[key] for key in split.keys() & wanted.keys())


def _parent(role: str, run: Run, source: str) -> Parent:
    key, record = key_of(role), run.record
    try:
        check_fitted(run.directory, record)
    except UserError as error:
        raise SettingError(key, str(run.directory), f"a run as it was measured ({error})") from error
    if not run.best.is_file() and record.fitted and role != INIT_FROM:  # a model that is not trained by steps
        weights = {"tensors": digest(record.fitted)}
        require((record.selected or {}).get("checkpoint") is None, key, str(run.directory), f"{run.best}, its weights")
    elif not run.best.is_file():
        raise SettingError(key, str(run.directory), f"a run with weights; there is no {run.best}")
    elif record.weights is not None and not {"tensors", "file"} <= set(record.weights):
        raise SettingError(key, str(run.directory), "a run whose record names the hashes of its weights")
    elif record.weights is None:  # of an earlier version
        from hallmark.learning.callbacks.checkpoints import checkpoint_hashes  # torch loads here

        weights = checkpoint_hashes(run.best)
    else:
        weights = record.weights
        expected = f"the weights that its record names; {run.best} is damaged, or was replaced"
        require(file_hash(run.best) == weights["file"], key, str(run.directory), expected)
    return Parent(
        role, run.directory, record.name, record.run_id,
        weights=weights["tensors"], data=record.provenance.data, source=source,
    )  # fmt: skip
