"""What a command and the user's own `conf/` say of configurations that are read back from a folder."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hallmark.checks import SettingError, require
from hallmark.engine.config.targets import trusted_packages

TRUST_KEYS = ("trusted_packages", "trusted_paths", "trusted_hosts")
"""Keys that count where they are typed or in `conf/`, and that no run stores."""

_ROOTS = ("outputs", "cache", "seals")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
# Strict, because clients differ in what they make of odd addresses.
_ADDRESS = re.compile(r"https?://(?:[^/\s?#@\\]*@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::\d+)?(?:[/?#]\S*)?")


@dataclass(frozen=True)
class Trust:
    """What stored configurations may use beside Hallmark's own classes and the run's own folder.

    Attributes:
        packages: whose classes they may name.
        paths: files and folders that they may read.
        hosts: that they may ask, beside this machine.
        roots: `outputs`, `cache` and `seals` of this command, below which they may write.
    """

    packages: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    roots: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: DictConfig) -> "Trust":
        """Of a configuration that was composed for this command.

        Raises:
            SettingError: a trusted_* key that is no list of texts.
        """
        return cls(
            packages=trusted_packages(config),
            paths=_texts(config, "trusted_paths", "a list of files and folders, such as [/models]"),
            hosts=_texts(config, "trusted_hosts", "a list of host names, such as [api.siliconflow.cn]"),
            roots={name: str(config.paths[name]) for name in _ROOTS if config.paths.get(name)},
        )

    @classmethod
    def from_text(cls, text: str) -> "Trust":
        """What `text` was given, in another process of the same command."""
        raw = json.loads(text)
        return cls(**{name: tuple(raw[name]) for name in ("packages", "paths", "hosts")}, roots=raw["roots"])

    @property
    def text(self) -> str:
        """All of it, for `from_text`."""
        return json.dumps(asdict(self))

    def check_addresses(self, key: str, value: str) -> None:
        """Raise `SettingError` where `value` is an address of neither this machine nor a trusted host."""
        if "://" not in value:
            return
        match = _ADDRESS.fullmatch(value.strip())
        host = match[1].lower() if match else None
        if host in _LOOPBACK or host in self.hosts:
            return
        advice = f": trusted_hosts=[{host}] on the command line, if you trust it" if host else ""
        raise SettingError(key, host or "***", f"an address on this machine or a trusted host{advice}")


NO_TRUST = Trust()


def is_below(path: str | Path, folders: Iterable[str | Path]) -> bool:
    """Whether `path` is one of `folders` or lies below one, with links followed."""
    real = os.path.realpath(Path(path).expanduser())
    return any(
        real == folder or real.startswith(folder.rstrip(os.sep) + os.sep)
        for folder in (os.path.realpath(Path(each).expanduser()) for each in folders)
    )


def _texts(config: DictConfig, key: str, expected: str) -> tuple[str, ...]:
    value = config.get(key)
    texts: Any = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_list(value) else value
    valid = texts is None or (isinstance(texts, list) and all(isinstance(text, str) and text for text in texts))
    require(valid, key, texts, expected)
    return tuple(texts or ())
