"""Configurations that are read back from a run folder, which may come from anyone.

What such a file may do:

- It names classes that `hallmark.engine.config.targets` admits; a package of one's own is trusted by the command that
  reads it, never by the file.
- It writes inside its run and below the `paths` of the command that reads it: what lay below its own `paths` is moved
  there.
- It reads there, in the working folder, in Hallmark's own package, and in the data folder that the run's record names;
  anything else is named by `trusted_paths` of the command.
- It asks this machine and `trusted_hosts` of the command.
- It refers to its own keys and to variables of the environment that hold no secrets.

A configuration that this very process composed and stored is as it was typed, and only its classes are checked.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from hallmark.checks import SettingError, require
from hallmark.engine.config.earlier import present_name, with_present_data
from hallmark.engine.config.symbolic import plain, refuse_configured_secrets
from hallmark.engine.config.targets import check_targets
from hallmark.engine.config.trust import TRUST_KEYS, Trust, is_below
from hallmark.runs.configuration import FILE, parse_config, read_text
from hallmark.runs.parents import INIT_FROM, kept_parents
from hallmark.runs.record import Record
from hallmark.storage.files import write_text
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.regular import is_class_name

_WRITTEN = frozenset(
    {"cache", "default_root_dir", "directory", "dirpath", "file", "filename", "folder", "ledger", "log_path", "path"}
)
_READ = frozenset(
    {"checkpoint", "expressions", "extra", "init_from", "name", "source", "synonyms", "vgg16_weights", "weights"}
)
_READ_HERE = re.compile(r"data\.(folder|split\.(outer\.)*path)|parents\.\w+")
# Names of classes, `~` and `file:x` among them: what is no part of a path leads nowhere.
_CLASS_NAMES = re.compile(r"(data|model)\.(.+\.)?(classes(\.[^.\[]+)?|target_class|characters|unknown)(\[\d+\])*")
_RESOLVER = re.compile(r"\$\{([^:${}]*):")

_composed: set[str] = set()  # digests of what this process composed of typed settings


def store_config(directory: Path, config: DictConfig) -> None:
    """Write a composed configuration into its run folder."""
    write_text(directory / FILE, remembered(config))


def remembered(config: DictConfig) -> str:
    """The text of a composed configuration, which this process knows again when it reads it."""
    text = OmegaConf.to_yaml(config)
    _composed.add(text_digest(text))
    return text


def remember(digest: str) -> None:
    """Know a text again that the process which started this one composed."""
    _composed.add(digest)


def is_remembered(text: str) -> bool:
    """Whether this process, or the one that started it, composed `text`."""
    return text_digest(text) in _composed


def text_digest(text: str) -> str:
    """Hash by which the text of a configuration is known again."""
    return digest_bytes(text.encode())


class Reopened(NamedTuple):
    """What a run folder holds.

    Attributes:
        config: resolved; `stored`: as it may be stored again, with variables of the environment unresolved.
    """

    config: DictConfig
    stored: DictConfig


def read_config(directory: Path, trust: Trust) -> DictConfig:
    """As `reopen`, the resolved configuration alone."""
    return reopen(directory, trust).config


def reopen(directory: Path, trust: Trust) -> Reopened:
    """The configuration in a run folder, of which nothing was built yet.

    Raises:
        SettingError: a class, path, address or interpolation that it may not have, by its key.
        ValueError: no file, or one that is no configuration; a secret in it; a link that leaves the folder.
    """
    path = directory / FILE
    text = read_text(path)
    stored = parse_config(path, text)
    try:
        if not is_remembered(text):
            refuse_links(directory, trust)
            return _confined(stored, directory, trust)
        config = OmegaConf.create(plain(stored))
    except SettingError:
        raise
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    check_targets(config, trust.packages)
    return Reopened(config, stored)


def with_present_names(stored: Any) -> Any:
    """A stored part of a configuration, its classes by the names that they have now."""
    return _mapped(stored, present_name)


def refuse_links(directory: Path, trust: Trust) -> None:
    """See that nothing in a run folder is a link to somewhere else, through which a run would be written there.

    Raises:
        ValueError: one is.
    """
    for folder, names, files in os.walk(directory):
        if Path(folder) == directory:  # W&B has links of its own below its folder
            names[:], linked = [name for name in names if name != "wandb"], [name for name in names if name == "wandb"]
        else:
            linked = []
        for name in (*names, *linked, *files):
            path = Path(folder) / name
            if path.is_symlink() and not is_below(path, [directory, *trust.paths]):
                raise ValueError(
                    f"{path}: a link out of the run folder, to {os.path.realpath(path)}; replace it by what it leads "
                    "to, or name that in trusted_paths"
                )


def _confined(stored: DictConfig, directory: Path, trust: Trust) -> Reopened:
    """`stored` in this command's places, with everything refused that a stranger's file may not have."""
    for key in TRUST_KEYS:
        expected = "no such key in a stored configuration: the command that reads it says what is trusted"
        require(key not in stored, key, "***", expected)
    written = OmegaConf.to_container(stored, resolve=False)
    for key, text in _texts(written):
        resolvers = {match[1].strip() for match in _RESOLVER.finditer(text)}
        expected = "a value, a reference to another key such as ${seed}, or a variable as ${oc.env:NAME}"
        require(resolvers <= {"oc.env"}, key, text, expected)
    refuse_configured_secrets(stored)
    values = with_present_data(plain(stored))
    check_targets(_mapped(values, present_name), trust.packages)
    places = values.get("paths") if isinstance(values.get("paths"), dict) else {}
    roots = {name: trust.roots.get(name, str(directory / name)) for name in ("outputs", "cache", "seals")}
    moves = {_normal(str(places[name])): roots[name] for name in roots if places.get(name)}
    values["paths"] = {**roots, "run_dir": str(directory)}
    record = Record.read(directory)
    if record is not None and (parents := kept_parents(directory, record)):  # wherever they were copied from
        values[INIT_FROM] = None
        values["parents"] = {role: str(parent.directory) for role, parent in parents.items()}
    source = record.data.get("source") if record is not None else None
    if record is not None:
        _check_record(record)
    writable: list[Any] = [directory, *roots.values()]
    readable = [*writable, *trust.paths]

    def confined(key: str, value: str) -> str:
        name = re.sub(r"(\[\d+\])+$", "", key).rpartition(".")[2]
        reads = name in _READ or _READ_HERE.fullmatch(key) is not None
        if (reads or name in _WRITTEN) and not is_below(value, [directory]):
            value = _moved(value, moves)
        require("${" not in value, key, "${…}", "a value that is plain once it is resolved")
        trust.check_addresses(key, value)
        if reads:
            folders = [*readable, str(source)] if source and key.startswith("data.") else readable
            _check_read(key, value, folders, trust.packages)
        elif _CLASS_NAMES.fullmatch(key) and is_class_name(value):
            pass
        elif name in _WRITTEN or _looks_like_path(value):
            expected = "a path inside the run, or below paths.outputs, paths.cache or paths.seals of this command"
            require(is_below(value, writable), key, value, expected)
        return present_name(key, value)

    config = OmegaConf.create(_mapped(values, confined, skip=("paths",)))
    again = config.copy()
    for key, text in _texts(written):
        if "oc.env" in text and OmegaConf.select(config, key) == OmegaConf.select(stored, key):
            OmegaConf.update(again, key, text)
    return Reopened(config, again)


def _check_record(record: Record) -> None:
    """See that what names the access records of a run is no path."""
    names = {"name": record.name, "run_id": record.run_id, "data.content": record.data.get("content")}
    for key, value in names.items():
        pattern = r"[^/\\\0]+(/[^/\\\0]+)*" if key == "name" else r"[\w.-]+"
        is_plain = isinstance(value, str) and re.fullmatch(pattern, value) is not None and ".." not in value.split("/")
        require(value is None or is_plain, f"record.json: {key}", value, "a name, which is no path to elsewhere")


def _check_read(key: str, value: str, folders: list[Any], packages: tuple[str, ...]) -> None:
    if value.startswith("package:"):
        top = value.removeprefix("package:").partition("/")[0]
        require(top in ("hallmark", *packages), key, value, "a file of package:hallmark, or of a trusted package")
        require(".." not in Path(value).parts, key, value, "a path without ..")
        return
    # A link inside of the run is followed; the user's own links in the working folder lead where they are meant to.
    within_run = Path(os.path.normpath(Path.cwd() / value)).is_relative_to(Path.cwd() / folders[0])
    if (not within_run and not _looks_like_path(value)) or is_below(value, folders):
        return
    expected = "a path inside the run, its data folder, or the working folder"
    raise SettingError(key, value, f"{expected}; trusted_paths=[{value}] on the command line admits this one")


def _looks_like_path(value: str) -> bool:
    """Whether `value` can mean a place outside of the working folder."""
    text = value.strip()
    absolute = text.startswith(("/", "~", "\\", "file:")) or re.match(r"[A-Za-z]:[\\/]", text) is not None
    return absolute or ".." in re.split(r"[\\/]", text)


def _moved(value: str, moves: Mapping[str, str]) -> str:
    normal = _normal(value)
    for old in sorted(moves, key=len, reverse=True):
        if normal == old or normal.startswith(old.rstrip(os.sep) + os.sep):
            return str(Path(moves[old]) / os.path.relpath(normal, old))
    return value


def _normal(path: str) -> str:
    return os.path.normpath(Path(path).expanduser()) if path else path


def _mapped(value: Any, change: Callable[[str, str], str], key: str = "", *, skip: tuple[str, ...] = ()) -> Any:
    """`value` with `change(key, text)` in the place of every text."""
    if isinstance(value, dict):
        dotted = {name: f"{key}.{name}" if key else str(name) for name in value}
        return {name: part if name in skip else _mapped(part, change, dotted[name]) for name, part in value.items()}
    if isinstance(value, list):
        return [_mapped(part, change, f"{key}[{number}]") for number, part in enumerate(value)]
    return change(key, value) if isinstance(value, str) else value


def _texts(plain: Any) -> Iterator[tuple[str, str]]:
    """Every text with its key; keys are texts as well."""
    texts: list[tuple[str, str]] = []

    def note(key: str, text: str) -> str:
        texts.append((key, text))
        return text

    _mapped(plain, note)
    return iter(texts)
